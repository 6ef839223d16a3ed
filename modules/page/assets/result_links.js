// @ts-check
// Under a result: the way to its picture in the gallery, and what changed since the picture before.

/** @import { Part } from "./differences.js" */
/** @import { Mode } from "./types.js" */

import { fieldChanges, ownChanges, parsedInfotext, wordDifferences } from "./differences.js";
import { marked } from "./differences_view.js";
import { element, find, within } from "./dom.js";
import { showInGallery } from "./gallery_tab.js";
import { toast } from "./messages.js";
import { selectedIndex, thumbnails } from "./selection.js";

/** @type {Map<Mode, string>} by tab, what stood under the last result */
const before = new Map();

/**
 * The text of what was written with line breaks.
 * @param {Node} node
 * @returns {string}
 */
const textOf = (node) =>
  node.nodeName === "BR"
    ? "\n"
    : node.nodeType === 3
      ? (node.nodeValue ?? "")
      : [...node.childNodes].map(textOf).join("");

/**
 * Of a difference, what is new and gone, without what stands around it.
 * @param {Part[]} parts
 * @returns {Part[]}
 */
export const changedParts = (parts) =>
  parts
    .filter(({ kind, text }) => kind !== "same" && /[^\s,]/.test(text))
    .map(({ kind, text }) => ({ kind, text: text.replace(/^[\s,]+|[\s,]+$/g, "") }));

/**
 * What changed from one infotext to the next, each piece for itself.
 * @param {string} old
 * @param {string} now
 * @returns {(Node | string)[][]}
 */
export function changedPieces(old, now) {
  const [one, other] = [parsedInfotext(old), parsedInfotext(now)];
  const pieces = /** @type {const} */ ([
    ["Prompt", one.prompt, other.prompt],
    ["Negative prompt", one.negative, other.negative],
  ]).flatMap(([title, from, to]) => {
    const parts = changedParts(wordDifferences(from, to));
    return parts.length
      ? [
          [
            element("b", { textContent: title }),
            " ",
            ...marked(parts).flatMap((part, place) => (place ? [" ", part] : [part])),
          ],
        ]
      : [];
  });
  const fields = ownChanges(fieldChanges(one.fields, other.fields)).map(({ key, before: from, after: to }) => [
    element("b", { textContent: key }),
    " ",
    ...marked(
      changedParts([
        { kind: "removed", text: from },
        { kind: "added", text: to },
      ]),
    ).flatMap((part, place) => (place ? [" ", part] : [part])),
  ]);
  return [...pieces, ...fields];
}

/** @param {Mode} mode */
async function drawChanges(mode) {
  // Gradio draws the infotext a moment later.
  await selectedIndex(mode);
  const shown = find(document, `#html_info_${mode} p`, HTMLElement);
  const line = find(document, `#${mode}_recent .changed`, HTMLElement);
  const text = shown ? textOf(shown) : "";
  if (!line || !text) return;
  const old = before.get(mode);
  before.set(mode, text);
  if (old === text) return;
  const pieces = old ? changedPieces(old, text) : [];
  line.hidden = !pieces.length;
  const list = pieces.map((piece) => element("span", { className: "no-translate" }, ...piece));
  line.replaceChildren(
    element("span", { textContent: "Changed since the picture before:" }),
    ...list.flatMap((one) => [" ", one]),
  );
}

/** @param {string} mode */
function openInGallery(mode) {
  const gallery = document.getElementById(`${mode}_gallery`);
  const small = gallery && thumbnails(gallery).find((item) => item.classList.contains("selected"));
  const image = small?.querySelector("img") ?? gallery?.querySelector("img");
  if (!image) return toast("There is no picture to look for yet.", "info");
  const address = decodeURIComponent(new URL(image.src).pathname).replaceAll("\\", "/");
  return showInGallery(
    address.slice(address.lastIndexOf("/") + 1),
    address,
    document.getElementById(`tab_${mode}-button`),
  );
}

export function watchResults() {
  document.addEventListener("webui-filled", ({ detail }) => drawChanges(detail));
  document.addEventListener("click", (event) => {
    const pressed = within(event, "[id$=_in_library]");
    if (pressed) openInGallery(pressed.id.replace("_in_library", ""));
  });
}
