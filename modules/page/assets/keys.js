// @ts-check
// The keyboard: Ctrl/Cmd+Enter generates, Alt+Enter skips, Esc interrupts, Ctrl+Up/Down weighs, Alt+Left/Right moves.

/** @import { PageSettings, TextChange } from "./types.js" */

import { changeWeight, movePart } from "./weights.js";

const PROMPTS = ["txt2img", "img2img"].map((tab) => `#${tab}_prompt textarea, #${tab}_neg_prompt textarea`).join(", ");

/**
 * Typed in as a person would, so that Ctrl+Z takes it back and Gradio hears of it.
 * @param {HTMLTextAreaElement} box
 * @param {TextChange | null} change
 */
function apply(box, change) {
  if (!change) return;
  box.setSelectionRange(change.from, change.to);
  if (!document.execCommand("insertText", false, change.insert)) {
    box.setRangeText(change.insert, change.from, change.to, "preserve");
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }
  box.setSelectionRange(change.start, change.end);
}

/** @type {Map<string, 1 | -1>} */
const UP_DOWN = new Map([
  ["ArrowUp", 1],
  ["ArrowDown", -1],
]);
/** @type {Map<string, 1 | -1>} */
const LEFT_RIGHT = new Map([
  ["ArrowLeft", -1],
  ["ArrowRight", 1],
]);

/**
 * Whether the key was one that edits a prompt.
 * @param {KeyboardEvent} event
 * @param {PageSettings | undefined} settings
 */
function editPrompt(event, settings) {
  const box = event.target;
  if (!settings || !(box instanceof HTMLTextAreaElement) || !box.matches(PROMPTS)) return false;
  const upDown = UP_DOWN.get(event.key);
  const leftRight = LEFT_RIGHT.get(event.key);
  if ((event.ctrlKey || event.metaKey) && !event.altKey && upDown) {
    apply(box, changeWeight(box.value, box.selectionStart, box.selectionEnd, upDown, settings));
    return true;
  }
  if (event.altKey && !event.ctrlKey && leftRight && settings.move) {
    apply(box, movePart(box.value, box.selectionStart, leftRight));
    return true;
  }
  return false;
}

// Esc first closes what is open: a list, a full-screen picture, a dialog.
const somethingOpen = () =>
  document.querySelector("ul.option-list, dialog[open]") !== null || document.fullscreenElement !== null;

/**
 * @param {{
 *   settings: () => PageSettings | undefined,
 *   generate: () => void,
 *   skip: () => void,
 *   interrupt: () => void,
 *   busy: () => boolean,
 * }} page
 */
export function listen({ settings, generate, skip, interrupt, busy }) {
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.isComposing || event.repeat) {
        if (!(event.key.startsWith("Arrow") && editPrompt(event, settings()))) return;
        event.preventDefault();
        return;
      }
      const enter = event.key === "Enter";
      if (enter && (event.ctrlKey || event.metaKey)) generate();
      else if (enter && event.altKey) skip();
      else if (event.key === "Escape" && busy() && !somethingOpen()) interrupt();
      else if (!editPrompt(event, settings())) return;
      event.preventDefault();
      event.stopPropagation();
    },
    true,
  );
}
