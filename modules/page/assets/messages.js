// @ts-check
// Messages to the person: a toast that passes, and the same sentence under the gallery until the next job.

/** @import { Kind, Mode } from "./types.js" */

import { find } from "./dom.js";

/**
 * @param {string} text
 * @param {Kind} kind
 */
export function toast(text, kind = "error") {
  let list = document.querySelector(".toasts");
  if (!list) {
    list = document.createElement("div");
    list.className = "toasts";
    list.setAttribute("role", "status");
    document.body.append(list);
  }
  const note = document.createElement("button");
  note.className = `note ${kind}`;
  note.textContent = text;
  note.title = "Dismiss";
  note.onclick = () => note.remove();
  list.append(note);
  setTimeout(() => note.remove(), kind === "error" ? 10000 : 5000);
}

/**
 * @param {string | null} text nothing takes the message away
 * @param {Mode} mode
 * @param {Kind} kind
 */
export function lasting(text, mode = "txt2img", kind = "error") {
  const message = find(document, `#${mode}_message .message`, HTMLElement);
  if (!message) return;
  message.hidden = !text;
  message.className = `message ${kind}`;
  message.textContent = text ?? "";
}

/**
 * @param {string} text
 * @param {Mode} [mode]
 */
export function fail(text, mode) {
  toast(text);
  lasting(text, mode);
}

/**
 * A sentence from one of Gradio's events.
 * @param {string} message JSON, or nothing to say
 */
export function say(message) {
  if (!message) return;
  const { text, kind } = JSON.parse(message);
  toast(text, kind);
}
