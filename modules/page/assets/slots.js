// @ts-check
// All places for pictures on the page, and the ways between them.

/** @import { Mode, Picture } from "./types.js" */

import { url } from "./client.js";
import { all, sentence, within } from "./dom.js";
import { stamp } from "./jobs.js";
import { toast } from "./messages.js";
import { Slot } from "./slot.js";

const STORE = "webui-pictures";
const INPUTS = ["img2img", "sketch", "inpaint", "inpaint_sketch", "inpaint_upload"];
/** @type {Map<string, Slot>} */
const slots = new Map();

/** @returns {Record<string, Picture | null>} */
function stored() {
  try {
    return JSON.parse(localStorage.getItem(STORE) ?? "{}") ?? {};
  } catch {
    return {};
  }
}

/**
 * @param {string} name
 * @param {Picture | null} state
 */
function store(name, state) {
  localStorage.setItem(STORE, JSON.stringify({ ...stored(), [name]: state }));
  document.dispatchEvent(new CustomEvent("picture-stored", { detail: { name, state } }));
}

/**
 * Shows a picture that the server has in a slot that has another one, or none.
 * @param {string} name
 * @param {string} id
 */
export function setPicture(name, id) {
  const slot = slots.get(name);
  if (!slot || slot.state?.id === id) return;
  const image = new Image();
  image.onload = () => slot.show({ id, width: image.naturalWidth, height: image.naturalHeight });
  image.src = url(`pictures/${id}`);
}

// Gradio draws a tab when it is first opened. Until then what is sent there waits in the store.
export function mount() {
  for (const element of all(document, ".slot:not([data-ready])")) {
    const slot = new Slot(element, stored()[element.dataset.slot ?? ""], store);
    slots.set(slot.name, slot);
    if (slot.name === "pnginfo") {
      element.addEventListener("filled", () => document.getElementById("pnginfo_read")?.click());
      if (slot.state) document.getElementById("pnginfo_read")?.click();
    }
  }
}

/** @param {string} tab */
const isOpen = (tab) => document.getElementById(`${tab}-button`)?.getAttribute("aria-selected") === "true";
/** @param {string[]} names */
const visible = (names) => names.map((name) => slots.get(name)).find((slot) => slot?.element.offsetParent);

/**
 * A slot's picture and painting by their ids, as JSON.
 * @param {string} name
 */
export async function source(name) {
  mount();
  const slot = slots.get(name);
  if (!slot) return "{}";
  try {
    return JSON.stringify(await slot.source());
  } catch (error) {
    return JSON.stringify({ error: sentence(error) });
  }
}

/**
 * Generate on img2img: the open sub-tab's picture and painting, uploaded before the job names them.
 * @param {unknown[]} values
 * @param {Mode} mode
 */
export async function stampWithPictures(values, mode) {
  mount();
  const named = stamp(values.slice(0, -1), mode);
  if (isOpen("img2img_batch_tab")) {
    toast("Reading the files of the batch…", "info");
    return [
      ...named,
      JSON.stringify({ tab: "batch", from: isOpen("img2img_batch_from_dir_tab") ? "directory" : "upload" }),
    ];
  }
  const slot = visible(INPUTS);
  const picture = JSON.parse(slot ? await source(slot.name) : "{}");
  const mask = slots.get("inpaint_mask")?.state?.id ?? null;
  // The chosen script may start from a second picture.
  const second = visible([...slots.keys()].filter((name) => name.startsWith("script_")))?.state?.id ?? null;
  return [...named, JSON.stringify({ ...picture, tab: slot?.name ?? "img2img", mask, second })];
}

/**
 * Generate on Extras: the open sub-tab, and its picture.
 * @param {unknown[]} values
 */
export async function stampExtras(values) {
  mount();
  const named = stamp(values.slice(0, -1), "extras");
  const tabs = { batch: "extras_batch_process_tab", directory: "extras_batch_directory_tab" };
  const [tab] = Object.entries(tabs).find(([, id]) => document.getElementById(id)?.offsetParent) ?? ["single"];
  return [...named, JSON.stringify({ ...JSON.parse(await source("extras")), tab })];
}

/**
 * A picture that was sent from another tab; the server has it already.
 * @param {string} text
 */
export function arrive(text) {
  if (!text) return;
  const { slot, ...picture } = JSON.parse(text);
  put(slot, picture);
  if (picture.notice) toast(picture.notice, "info");
}

/**
 * @param {string} name
 * @param {Picture} picture
 */
function put(name, { id, width, height }) {
  mount();
  const slot = slots.get(name);
  if (!slot) store(name, { id, width, height });
  else slot.show({ id, width, height }).then(() => store(name, slot.state));
}

/** @param {string} target */
export function copyPicture(target) {
  const from = visible(INPUTS);
  if (!from?.state) {
    toast("There is no picture to copy yet.");
    return;
  }
  if (target !== from.name) {
    from.copied().then(
      (picture) => picture && put(target, picture),
      (error) => toast(sentence(error)),
    );
  }
  document.getElementById(`img2img_${target}_tab-button`)?.click();
}

/**
 * What "Resize by" comes to, in A1111's words.
 * @param {number} scale
 */
export function scaleLine(scale) {
  const state = visible(INPUTS)?.state;
  if (!state || !scale) return "";
  /** @param {number} pixels */
  const side = (pixels) => Math.max(64, Math.floor(Math.floor(pixels * scale) / 8) * 8);
  return `resize: from ${state.width}×${state.height} to ${side(state.width)}×${side(state.height)}`;
}

/**
 * The open picture's size as the size fields can hold it; the size that they have where there is no picture.
 * @param {number} width
 * @param {number} height
 */
export function pictureSize(width, height) {
  const state = visible(INPUTS)?.state;
  if (!state) return [width, height];
  /** @param {number} side */
  const near = (side) => Math.min(2048, Math.max(64, Math.round(side / 8) * 8));
  return [near(state.width), near(state.height)];
}

// The line under "Resize by" speaks of the picture of the sub-tab that is open.
const sayScale = () => document.getElementById("img2img_scale_refresh")?.click();
document.addEventListener("filled", sayScale);
document.addEventListener("click", (event) => within(event, "#mode_img2img [role=tab]") && setTimeout(sayScale, 100));

new MutationObserver(mount).observe(document.documentElement, { childList: true, subtree: true });

// A pasted picture goes to the place that is open; text goes where it is typed.
document.addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
  const slot = file && visible([...INPUTS, "extras", "pnginfo"]);
  if (!slot) return;
  event.preventDefault();
  slot.take(file);
});

/** @type {HTMLElement | null} the picture under the mouse */
let under = null;
document.addEventListener("pointermove", (event) => {
  under = within(event, ".slot.filled");
});
document.addEventListener("keydown", (event) => {
  const focused = document.activeElement?.closest(".slot.filled");
  const meant = focused instanceof HTMLElement ? focused : under;
  const typing = event.target instanceof Element && event.target.matches("textarea, input:not([type=range])");
  if (!meant || typing) return;
  if (slots.get(meant.dataset.slot ?? "")?.painter.key(event)) event.preventDefault();
});
document.addEventListener("keyup", (event) => {
  if (event.key.toLowerCase() === "f") for (const slot of slots.values()) slot.painter.moving = false;
});
