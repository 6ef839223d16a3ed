// @ts-check
// Messages to the person: a toast that passes, and the same sentence under the gallery until the next job.

/** @import { Kind, Mode } from "./types.js" */

import { find } from "./dom.js";

// What a dialog covers can be neither seen nor pressed: the list stands in the one that is open.
const home = () => [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;

function listOfToasts() {
  let list = document.querySelector(".toasts");
  if (!list) {
    list = document.createElement("div");
    list.className = "toasts";
    list.setAttribute("role", "status");
    // Before the dialog takes it along.
    document.addEventListener("close", () => list && document.body.append(list), { capture: true });
  }
  if (list.parentElement !== home()) home().append(list);
  return list;
}

/**
 * @param {string} text
 * @param {Kind} kind
 */
export function toast(text, kind = "error") {
  const note = document.createElement("button");
  note.className = `note ${kind}`;
  note.textContent = text;
  note.title = "Dismiss";
  note.onclick = () => note.remove();
  listOfToasts().append(note);
  setTimeout(() => note.remove(), kind === "error" ? 10000 : 5000);
}

/**
 * A message with a button, for as long as an error stays.
 * @param {string} text
 * @param {string} label
 * @param {() => void} act
 */
export function offer(text, label, act) {
  const note = document.createElement("div");
  note.className = "note info offer";
  const words = document.createElement("span");
  words.textContent = text;
  const press = document.createElement("button");
  press.type = "button";
  press.textContent = label;
  press.onclick = () => {
    note.remove();
    act();
  };
  note.append(words, press);
  listOfToasts().append(note);
  setTimeout(() => note.remove(), 10000);
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
