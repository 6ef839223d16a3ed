// @ts-check
// A unit's list of pictures: added as files, shown small, removed one by one.

/** @import { Picture } from "./types.js" */

import { url } from "./client.js";
import { button, element, sentence } from "./dom.js";
import { toast } from "./messages.js";
import { upload } from "./slot.js";

/**
 * The ids in a unit's value; none for what is no list.
 * @param {unknown} value
 * @returns {string[]}
 */
export const idsOf = (value) => (Array.isArray(value) ? value.map(String).filter(Boolean) : []);

/**
 * The control of a list of pictures, folded up: what is seldom needed takes no room.
 * @param {string} label
 * @param {string} id of its input for files
 * @param {() => string[]} ids those that are there now
 * @param {(ids: string[]) => void} change
 * @returns {HTMLDetailsElement}
 */
export function pictureList(label, id, ids, change) {
  const input = element("input", { type: "file", accept: "image/*", multiple: true, id });
  input.setAttribute("aria-label", label);
  input.addEventListener("change", async () => {
    const files = [...(input.files ?? [])];
    input.value = "";
    for (const file of files) {
      try {
        /** @type {Picture} */
        const made = await upload(file);
        change([...ids(), made.id]);
      } catch (error) {
        toast(sentence(error));
      }
    }
  });
  const list = element("div", { className: "unit-thumbnails" });
  return element("details", {}, element("summary", { textContent: label }), input, list);
}

/**
 * Shows the pictures of these ids in a control that `pictureList` made.
 * @param {HTMLElement} row that the control lies in
 * @param {string[]} ids
 * @param {(ids: string[]) => void} change
 */
export function showPictures(row, ids, change) {
  const list = row.querySelector(".unit-thumbnails");
  list?.replaceChildren(
    ...ids.map((id, place) => {
      const image = element("img", { src: url(`pictures/${id}`), alt: "" });
      const remove = button("×", () => change(ids.filter((_, other) => other !== place)));
      remove.title = "Remove the picture";
      remove.setAttribute("aria-label", remove.title);
      return element("span", {}, image, remove);
    }),
  );
  const details = row.querySelector("details");
  if (details && ids.length) details.open = true;
}
