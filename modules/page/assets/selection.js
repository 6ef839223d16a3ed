// @ts-check
// Which picture of a gallery is selected, and that what stands under the gallery speaks of the last one selected.

import { all, need } from "./dom.js";

// An answer that is not there by then is taken for lost.
const LONGEST = 5000;

/** @param {ParentNode} gallery */
export const thumbnails = (gallery) => all(gallery, ".thumbnails .thumbnail-item");

/**
 * Which picture of a gallery is selected, once Gradio has drawn that.
 * @param {string} mode
 */
export async function selectedIndex(mode) {
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const gallery = need(document, `#${mode}_gallery`, HTMLElement);
  const small = thumbnails(gallery);
  const pictures = small.length ? small : all(gallery, ".thumbnail-item");
  return Math.max(
    0,
    pictures.findIndex((item) => item.classList.contains("selected")),
  );
}

/** @type {Map<string, Promise<void>>} the answer that each gallery's newest request waits behind */
const answers = new Map();
/** @type {Map<string, () => void>} what ends the wait for the answer under way */
const arrived = new Map();

/**
 * The inputs of the event with which the gallery's infotext follows the selection. Gradio sends one request for several
 * selections, or several at once whose answers overtake each other: here each waits for the answer before it, and then
 * says what is selected by that time.
 * @param {string} mode
 * @param {string} shown the id of the job on display
 * @returns {Promise<[string, number]>}
 */
export async function selectedPicture(mode, shown) {
  const before = answers.get(mode);
  /** @type {() => void} */
  let done = () => {};
  const answer = /** @type {Promise<void>} */ (new Promise((resolve) => (done = resolve)));
  answers.set(mode, answer);
  await before;
  const lost = setTimeout(done, LONGEST);
  arrived.set(mode, () => {
    clearTimeout(lost);
    done();
  });
  return [shown, await selectedIndex(mode)];
}

/**
 * The answer to the request under way is on the page.
 * @param {string} mode
 */
export function selectionShown(mode) {
  arrived.get(mode)?.();
}
