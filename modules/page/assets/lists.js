// @ts-check
// Gradio's lists of choices, put right around its component, which the whole page uses: keys that choose nothing leave a
// list as it is, Enter keeps the focus in its field, a click opens a list that Esc has closed, and a list takes no more
// room than it needs, under its field where there is any.

import { all, find, within } from "./dom.js";

const FIELD = ".wrap-inner input[role=combobox]"; // others have lists and keys of their own
const GAP = 8; // pixels between a list and the window's edge
const LEAST = 150; // with so much room a list is under its field
const HIGHEST = 360;

// Gradio opens the list at any key but Esc, Tab among them, and so after the focus has left.
const SILENT = new Set(["Tab", "Shift", "Control", "Alt", "Meta", "CapsLock"]);
const OPENING = new Set(["Enter", "ArrowDown", "ArrowUp"]);

/**
 * Where a list goes: under its field or over it, and how high it may be.
 * @param {{ top: number, bottom: number }} field in pixels of the window
 * @param {number} height of the window
 * @param {number} wanted by the list's entries
 */
export function placeOf({ top, bottom }, height, wanted) {
  const [over, under] = [top - GAP, height - bottom - GAP];
  const below = under >= Math.min(wanted, LEAST) || under >= over;
  return { below, room: Math.max(0, Math.min(HIGHEST, below ? under : over)) };
}

/** @param {Event} event */
function fieldOf(event) {
  const field = within(event, FIELD);
  return field instanceof HTMLInputElement ? field : null;
}

/** @param {HTMLElement} field */
const isOpen = (field) => field.getAttribute("aria-expanded") === "true";

/** @type {HTMLElement | null} where a choice was made just now: Gradio is about to take the focus from it */
let chosen = null;
/** @type {HTMLElement | null} has got the focus back, which Gradio must not hear: it would open the list again */
let quiet = null;
/** @type {Element | null} had the focus before the mouse or finger came down */
let before = null;

/** @param {HTMLElement} field */
function openList(field) {
  quiet = null;
  // All that Gradio opens a list for without a key.
  field.dispatchEvent(new FocusEvent("focus"));
}

/** @param {KeyboardEvent} event */
function pressed(event) {
  chosen = null;
  const field = fieldOf(event);
  if (!field || event.isComposing || event.ctrlKey || event.metaKey) return;
  if (SILENT.has(event.key)) event.stopPropagation();
  else if (!isOpen(field) && OPENING.has(event.key)) {
    event.preventDefault();
    event.stopPropagation();
    openList(field);
  } else if (event.key === "Enter") chosen = field;
  else if (field === quiet && event.key !== "Escape") {
    // What is typed looks for another entry.
    field.select();
    openList(field);
  }
}

/** @param {PointerEvent} event */
function pointed(event) {
  before = document.activeElement;
  // A finger's choice gives the focus away, and with it the keyboard on the screen.
  const list = event.pointerType === "mouse" ? within(event, ".options") : null;
  chosen = list?.parentElement ? find(list.parentElement, FIELD, HTMLElement) : null;
}

/** @param {MouseEvent} event */
function clicked(event) {
  const field = within(event, ".token-remove") ? null : within(event, ".wrap-inner")?.querySelector(FIELD);
  if (!(field instanceof HTMLInputElement) || field.disabled) return;
  if (document.activeElement !== field) field.focus();
  else if (!isOpen(field)) openList(field);
  if (before !== field) field.select();
}

function guardBlur() {
  const blur = HTMLElement.prototype.blur;
  HTMLElement.prototype.blur = function guarded() {
    const stays = this === chosen && document.activeElement === this;
    chosen = null;
    blur.call(this);
    if (!stays) return;
    quiet = this;
    this.focus({ preventScroll: true });
  };
  document.addEventListener("focus", (event) => event.target === quiet && event.stopImmediatePropagation(), true);
  document.addEventListener(
    "blur",
    (event) => {
      if (event.target !== quiet) return;
      // Gradio has heard it already, when the choice was made.
      event.stopImmediatePropagation();
      quiet = null;
    },
    true,
  );
}

// On a busy machine Gradio handles the last letter after the focus has left its field, and opens the list once more.
function closeLateLists() {
  for (const list of all(document, ".wrap > .options")) {
    const field = list.parentElement && find(list.parentElement, FIELD, HTMLElement);
    if (field && isOpen(field) && field !== document.activeElement) field.dispatchEvent(new FocusEvent("blur"));
  }
}

function placeLists() {
  for (const list of all(document, ".wrap > .options")) {
    const field = list.parentElement?.querySelector(".wrap-inner")?.getBoundingClientRect();
    const entries = list.querySelector("ul");
    if (!field || !entries) continue;
    // Without what the keyboard on a phone's screen covers.
    const seen = window.visualViewport;
    const height = seen ? seen.offsetTop + seen.height : innerHeight;
    const { below, room } = placeOf(field, height, entries.scrollHeight);
    list.dataset.side = below ? "below" : "above";
    list.style.setProperty("--list-top", `${field.bottom}px`);
    list.style.setProperty("--list-bottom", `${innerHeight - field.top}px`);
    list.style.setProperty("--list-room", `${room}px`);
    list.style.setProperty("--list-width", `${document.documentElement.clientWidth - field.left - GAP}px`);
  }
}

export function guardLists() {
  guardBlur();
  document.addEventListener("keydown", pressed, { capture: true });
  document.addEventListener("pointerdown", pointed, { capture: true });
  document.addEventListener("click", clicked);
  new MutationObserver(() => {
    closeLateLists();
    placeLists();
  }).observe(document.body, { childList: true, subtree: true });
  for (const target of [window, window.visualViewport]) {
    target?.addEventListener("scroll", placeLists, { capture: true, passive: true });
    target?.addEventListener("resize", placeLists);
  }
}
