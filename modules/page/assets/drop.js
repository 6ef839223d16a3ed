// @ts-check
// A picture or a text file dropped on a prompt box: its parameters go into the form, as if pasted and read. A
// model dropped anywhere is offered to be put into its folder.

import { read } from "./client.js";
import { need, sentence, typeInto, within } from "./dom.js";
import { toast } from "./messages.js";
import { MODEL, takeModel } from "./model_upload.js";
import { upload } from "./slot.js";

const LONGEST_TEXT = 1000000;
export const PROMPTS = ["txt2img", "img2img"]
  .map((tab) => `#${tab}_prompt textarea, #${tab}_neg_prompt textarea`)
  .join(", ");

/**
 * @param {File} file
 * @throws {Error} where it holds none
 */
async function parametersOf(file) {
  if (!file.type.startsWith("image/")) {
    if (file.size > LONGEST_TEXT) throw new Error("This file is too long to be a picture's parameters.");
    return file.text();
  }
  const { id } = await upload(file, true);
  const { infotext } = await read(`pictures/${id}/infotext`);
  if (!infotext) throw new Error("There are no generation parameters in this picture.");
  return infotext;
}

/**
 * Parameters go into a tab's form, as if they had been pasted into its prompt and read.
 * @param {string} tab
 * @param {string} text
 */
export function pasteParameters(tab, text) {
  typeInto(need(document, `#${tab}_prompt textarea`, HTMLTextAreaElement), text);
  need(document, `#${tab}_paste`, HTMLElement).click();
}

const EDITABLE = "textarea, input, [contenteditable]";

/**
 * Whether the browser would leave the page for what is dragged: a file anywhere, an address where no text is typed.
 * @param {DragEvent} event
 */
function wouldLeave(event) {
  const kinds = event.dataTransfer?.types ?? [];
  return kinds.includes("Files") || (kinds.includes("text/uri-list") && !within(event, EDITABLE));
}

/**
 * Called last: what a place for files has taken stays with it.
 * @param {DragEvent} event
 */
function stayHere(event) {
  if (event.defaultPrevented || !wouldLeave(event)) return;
  event.preventDefault();
  if (event.dataTransfer) event.dataTransfer.dropEffect = "none";
}

export function listenForDrops() {
  document.addEventListener(
    "drop",
    (event) => {
      const files = [...(event.dataTransfer?.files ?? [])].filter(({ name }) => MODEL.test(name));
      if (!files.length) return;
      event.preventDefault();
      event.stopPropagation();
      const all = files.reduce((before, file) => before.then(() => takeModel(file)), Promise.resolve());
      all.catch((error) => toast(sentence(error)));
    },
    { capture: true },
  );
  // Else the browser shows a sign that nothing may be dropped there.
  document.addEventListener(
    "dragover",
    (event) => {
      const items = [...(event.dataTransfer?.items ?? [])];
      // Of a file that is dragged only the kind is known, and models have none; pictures have places of their own.
      if (items.some(({ kind, type }) => kind === "file" && !type)) event.preventDefault();
    },
    { capture: true },
  );
  for (const name of /** @type {const} */ (["dragover", "drop"])) window.addEventListener(name, stayHere);
  /** @param {DragEvent} event */
  const boxOf = (event) => (event.dataTransfer?.types.includes("Files") ? within(event, PROMPTS) : null);
  document.addEventListener("dragover", (event) => boxOf(event) && event.preventDefault(), { capture: true });
  document.addEventListener(
    "drop",
    (event) => {
      const box = boxOf(event);
      const [file] = event.dataTransfer?.files ?? [];
      if (!box || !file) return;
      event.preventDefault();
      event.stopPropagation();
      const tab = box.closest("#tab_img2img") ? "img2img" : "txt2img";
      parametersOf(file)
        .then((text) => pasteParameters(tab, text))
        .catch((error) => toast(sentence(error)));
    },
    { capture: true },
  );
}
