// @ts-check
// The controls of the chosen script are shown, those of the others are not.

import { all, find } from "./dom.js";
import { englishOf } from "./translation.js";

/** @type {Map<string, string>} */
const chosen = new Map();

/** @param {string} title */
export const slug = (title) =>
  title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .replace(/^_+|_+$/g, "");

/**
 * @param {string} mode
 * @param {string} title
 */
export function chooseScript(mode, title) {
  chosen.set(mode, title);
  const own = `script_${mode}_${slug(title ?? "None")}`;
  for (const controls of all(document, `[id^="script_${mode}_"].script-controls`)) {
    controls.classList.toggle("chosen", controls.id === own);
  }
}

// Gradio draws a tab when it is first opened, and may have given the list its value before this script was there.
new MutationObserver(() => {
  for (const mode of ["txt2img", "img2img"]) {
    const list = find(document, `#${mode}_script_list:not([data-seen])`, HTMLElement);
    const field = list && find(list, "input", HTMLInputElement);
    if (!field) continue;
    list.dataset.seen = "";
    chooseScript(mode, chosen.get(mode) ?? englishOf(window.localization?.texts ?? {}, field.value));
  }
}).observe(document.documentElement, { childList: true, subtree: true });
