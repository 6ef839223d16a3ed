// @ts-check
// From the gallery to the other tabs: parameters into the form of txt2img, pictures to where they are worked on.

/** @import { ShotDetail } from "./gallery_types.js" */
/** @import { Mode } from "./types.js" */

import { find, need, typeInto } from "./dom.js";
import { pasteParameters } from "./drop.js";
import { fileOf } from "./gallery_api.js";
import { stamp } from "./jobs.js";
import { upload } from "./slot.js";
import { arrive } from "./slots.js";

const PATIENCE = 100; // tries
const PAUSE = 100; // milliseconds between two

/**
 * Open a main tab, and wait until Gradio has drawn a part of it.
 * @param {string} tab its id
 * @param {string} part a selector
 */
async function opened(tab, part) {
  document.getElementById(`${tab}-button`)?.click();
  for (let tries = 0; !document.querySelector(part) && tries < PATIENCE; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  return need(document, part, HTMLElement);
}

/**
 * @param {string} selector
 * @param {string} text
 */
function fill(selector, text) {
  const field = find(document, selector, HTMLElement);
  if (!field) return;
  typeInto(field, text);
  field.dispatchEvent(new FocusEvent("blur"));
}

/** @param {ShotDetail} shot */
export function sizeOf({ fields, width, height }) {
  const found = /^(\d+)\s*[x×]\s*(\d+)$/.exec(fields.Size ?? "");
  return found ? [found[1], found[2]] : [String(width), String(height)];
}

/**
 * @param {ShotDetail} shot
 * @param {"all" | "prompt" | "seed" | "size"} what
 */
export async function useParameters(shot, what) {
  await opened("tab_txt2img", "#txt2img_prompt textarea");
  if (what === "all") return pasteParameters("txt2img", shot.infotext);
  if (what === "prompt") {
    fill("#txt2img_prompt textarea", shot.prompt);
    fill("#txt2img_neg_prompt textarea", shot.negative_prompt);
  } else if (what === "seed") fill("#txt2img_seed :is(input, textarea)", shot.fields.Seed ?? "-1");
  else {
    const [width, height] = sizeOf(shot);
    fill("#txt2img_width input[type=number]", width);
    fill("#txt2img_height input[type=number]", height);
  }
}

/** @type {string | null} what is sent next, instead of the picture on display */
let pending = null;

/**
 * What a button under a result sends: the picture on display, or the one of the gallery that was sent this way.
 * @param {string} shown
 * @param {number} selected
 */
export function sentPicture(shown, selected) {
  const sent = pending;
  pending = null;
  return sent === null ? [shown, selected] : [sent, 0];
}

/**
 * A form's values with the picture that is sent, if one is, in the place of the one on display.
 * @param {any[]} values
 * @param {Mode} mode
 */
export const stampSent = ([shown, selected, ...rest], mode) => stamp([...sentPicture(shown, selected), ...rest], mode);

/** @typedef {"img2img" | "sketch" | "inpaint" | "inpaint_sketch" | "extras" | "pnginfo" | "detail"} Target */

/**
 * @param {ShotDetail} shot
 * @param {Target} target
 */
export async function sendPicture(shot, target) {
  const answer = await fetch(fileOf(shot.id));
  if (!answer.ok) throw new Error("The picture is not there any more.");
  const picture = await upload(await answer.blob(), target === "pnginfo");
  if (target === "pnginfo") {
    await opened("tab_pnginfo", "#pnginfo_read");
    return arrive(JSON.stringify({ slot: "pnginfo", ...picture }));
  }
  if (target === "sketch" || target === "inpaint_sketch") {
    // No button under a result leads there.
    const tab = await opened("tab_img2img", `#img2img_${target}_tab-button`);
    tab.click();
    return arrive(JSON.stringify({ slot: target, ...picture }));
  }
  // What img2img's tabs of ADetailer say is done to it, and img2img shows the result.
  const press =
    target === "detail"
      ? await opened("tab_img2img", "#img2img_detail")
      : await opened("tab_txt2img", `#txt2img_send_to_${target}`);
  pending = JSON.stringify({ picture: picture.id, infotext: shot.infotext });
  press.click();
}
