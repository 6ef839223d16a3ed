// @ts-check
// Pictures dragged from the gallery to other parts of the page. Places for pictures take their address by themselves;
// here is the rest: tabs that open under them, prompts that take their parameters, lists of files.

import { all, sentence, within } from "./dom.js";
import { PROMPTS, pasteParameters } from "./drop.js";
import * as api from "./gallery_api.js";
import { toast } from "./messages.js";

const HOVER = 600; // milliseconds over a tab, or the head of a closed part, until it opens
const CLOSED = "[role=tablist] > [role=tab], .label-wrap:not(.open), details:not([open]) > summary, .side-all";

/** @type {HTMLElement | null} */
let over = null;
let timer = 0;

/** @param {DragEvent} event */
const isOurs = (event) => event.dataTransfer?.types.includes(api.SHOTS) ?? false;

/** @param {DragEvent} event */
function hover(event) {
  const tab = isOurs(event) ? within(event, CLOSED) : null;
  if (tab === over) return;
  over = tab;
  clearTimeout(timer);
  if (tab) timer = window.setTimeout(() => tab.click(), HOVER);
}

/**
 * The field of a list of files, if the event happened in one. Places for pictures take what is dropped by themselves,
 * and what holds several fields is none of them.
 * @param {DragEvent} event
 */
function fileField(event) {
  if (within(event, ".slot")) return null;
  for (let place = within(event, "*"); place; place = place.parentElement) {
    const fields = all(place, "input[type=file]");
    const [field] = fields;
    if (field)
      return fields.length === 1 && field instanceof HTMLInputElement && !field.closest(".slot") ? field : null;
    if (place.matches(".block, [data-field]")) return null;
  }
  return null;
}

/**
 * @param {string} id
 * @returns {Promise<File>}
 */
async function fileOf(id) {
  const { name } = await api.detail(id);
  const answer = await fetch(api.fileOf(id));
  if (!answer.ok) throw new Error("The picture is not there any more.");
  const blob = await answer.blob();
  return new File([blob], name, { type: blob.type });
}

/**
 * @param {HTMLInputElement} field
 * @param {string[]} ids
 */
async function choose(field, ids) {
  const chosen = new DataTransfer();
  for (const id of field.multiple ? ids : ids.slice(0, 1)) chosen.items.add(await fileOf(id));
  field.files = chosen.files;
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

/**
 * @param {HTMLElement} box a prompt
 * @param {string} id
 */
async function takeParameters(box, id) {
  const { infotext } = await api.detail(id);
  if (!infotext) throw new Error("There are no generation parameters in this picture.");
  pasteParameters(box.closest("#tab_img2img") ? "img2img" : "txt2img", infotext);
}

/** @param {DragEvent} event */
function dropped(event) {
  over = null;
  clearTimeout(timer);
  if (!isOurs(event) || !event.dataTransfer) return;
  const box = within(event, PROMPTS);
  const field = box ? null : fileField(event);
  if (!box && !field) return;
  event.preventDefault();
  event.stopPropagation();
  /** @type {string[]} */
  const ids = JSON.parse(event.dataTransfer.getData(api.SHOTS));
  const taken = box ? takeParameters(box, ids[0]) : field && choose(field, ids);
  taken?.catch((error) => toast(sentence(error)));
}

export function listenForShots() {
  document.addEventListener("dragover", hover, { capture: true });
  document.addEventListener(
    "dragover",
    (event) => isOurs(event) && (within(event, PROMPTS) || fileField(event)) && event.preventDefault(),
    { capture: true },
  );
  document.addEventListener("drop", dropped, { capture: true });
  document.addEventListener("dragend", () => {
    over = null;
    clearTimeout(timer);
  });
}
