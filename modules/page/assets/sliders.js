// @ts-check
// A finger that moves up or down over a slider scrolls the page. Browsers set the slider to where the finger came down
// before they know that; nobody hears of the new value until the finger has moved sideways or left.

const SIDEWAYS = 8; // pixels that a finger has to move before its direction counts

/**
 * A finger on a slider: where it came down and the value then; whether it turned out to move the slider, or scrolls.
 * @typedef {{ slider: HTMLInputElement, value: string, x: number, y: number, moves: boolean, scrolls: boolean }} Touch
 */

/** @type {Touch | null} */
let touch = null;

const speak = (/** @type {HTMLInputElement} */ slider) => slider.dispatchEvent(new Event("input", { bubbles: true }));

/** @param {PointerEvent} event */
function down(event) {
  const slider = event.target;
  if (event.pointerType !== "touch" || !event.isPrimary) return;
  if (!(slider instanceof HTMLInputElement) || slider.type !== "range") return;
  touch = { slider, value: slider.value, x: event.clientX, y: event.clientY, moves: false, scrolls: false };
}

/** @param {PointerEvent} event */
function move(event) {
  if (!touch || touch.moves || touch.scrolls || event.pointerType !== "touch") return;
  const across = Math.abs(event.clientX - touch.x);
  if (across < SIDEWAYS || across < Math.abs(event.clientY - touch.y)) return;
  touch.moves = true;
  speak(touch.slider);
}

// The browser scrolls from here on.
function scroll() {
  if (!touch || touch.moves) return;
  touch.scrolls = true;
  touch.slider.value = touch.value;
}

// The finger was lifted: a tap is meant where it is.
function up() {
  if (!touch || touch.moves || touch.scrolls) return;
  touch.moves = true;
  if (touch.slider.value !== touch.value) speak(touch.slider);
}

/** @param {Event} event */
function hold(event) {
  if (!touch || event.target !== touch.slider || touch.moves || !event.isTrusted) return;
  event.stopImmediatePropagation();
  if (touch.scrolls) touch.slider.value = touch.value;
}

export function guardSliders() {
  const capture = { capture: true };
  document.addEventListener("pointerdown", down, capture);
  document.addEventListener("pointermove", move, capture);
  document.addEventListener("pointercancel", scroll, capture);
  document.addEventListener("pointerup", up, capture);
  document.addEventListener("input", hold, capture);
  document.addEventListener("change", hold, capture);
}
