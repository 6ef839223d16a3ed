// @ts-check
// Finding and making elements, and asking the server to change something.

import { url } from "./client.js";

/**
 * The first element of a kind that matches, or null.
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} selector
 * @param {{ new (): T }} kind
 * @returns {T | null}
 */
export function find(root, selector, kind) {
  const found = root.querySelector(selector);
  return found instanceof kind ? found : null;
}

/**
 * The first element of a kind that matches.
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} selector
 * @param {{ new (): T }} kind
 * @returns {T}
 * @throws {Error} where there is none
 */
export function need(root, selector, kind) {
  const found = find(root, selector, kind);
  if (!found) throw new Error(`The page has no ${selector}.`);
  return found;
}

/**
 * @param {ParentNode} root
 * @param {string} selector
 * @returns {HTMLElement[]}
 */
export const all = (root, selector) => [...root.querySelectorAll(selector)].filter((one) => one instanceof HTMLElement);

/**
 * What an event happened in, if that is inside an element that matches.
 * @param {Event} event
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
export function within(event, selector) {
  const found = event.target instanceof Element ? event.target.closest(selector) : null;
  return found instanceof HTMLElement ? found : null;
}

/** @param {unknown} error */
export const sentence = (error) => (error instanceof Error ? error.message : String(error));

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Partial<HTMLElementTagNameMap[K]>} properties
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

/**
 * Texts side by side, each in an element of its own: so each can be translated.
 * @param {string[]} texts
 * @returns {(Node | string)[]}
 */
export const joined = (texts) => texts.flatMap((text, place) => [place ? " · " : "", element("span", {}, text)]);

/**
 * @param {string} text
 * @param {(event: MouseEvent) => void} press
 * @param {Partial<HTMLButtonElement>} more
 */
export const button = (text, press, more = {}) => {
  const made = element("button", { type: "button", textContent: text, ...more });
  made.addEventListener("click", press);
  return made;
};

/**
 * Typed in as a person would, so that Gradio hears of it.
 * @param {HTMLElement} field of text
 * @param {string} text
 */
export function typeInto(field, text) {
  if (field instanceof HTMLTextAreaElement || field instanceof HTMLInputElement) field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/**
 * The answer as JSON.
 * @param {string} path
 * @param {object} body
 * @returns {Promise<any>}
 * @throws {Error} with the server's sentence
 */
export const send = (path, body = {}, method = "POST") => sendTo(url(path), body, { method });

const UNANSWERED = "The server does not answer; try again.";

/**
 * Whether an error of `send` means that no answer came.
 * @param {unknown} error
 */
export const isUnanswered = (error) => error instanceof Error && error.message === UNANSWERED;

/**
 * As `send`, to a whole address.
 * @param {string} address
 * @param {object} body
 * @param {RequestInit} more
 * @returns {Promise<any>}
 * @throws {Error} with the server's sentence
 */
export async function sendTo(address, body = {}, more = {}) {
  const json = { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(address, { method: "POST", ...json, ...more }).catch(() => {
    throw new Error(UNANSWERED);
  });
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(String(content.detail ?? `The server refused this (${answer.status}).`));
  return content;
}

export const reloadPage = async () => {
  await send("reload-ui");
  location.reload();
};

/**
 * @param {string} name
 * @param {string | Blob} content a text is JSON
 */
export function download(name, content) {
  const blob = typeof content === "string" ? new Blob([content], { type: "application/json" }) : content;
  const address = URL.createObjectURL(blob);
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
