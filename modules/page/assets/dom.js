// Making elements, and asking the server to change something.

import { url } from "./client.js";

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export const button = (text, press, more = {}) => {
  const made = element("button", { type: "button", textContent: text, ...more });
  made.addEventListener("click", press);
  return made;
};

// The answer as JSON, or an error with the server's sentence.
export async function send(path, body = {}, method = "POST") {
  const asked = { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(url(path), asked).catch(() => {
    throw new Error("The server does not answer; try again.");
  });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(String(told.detail ?? `The server refused this (${answer.status}).`));
  return told;
}

export const reloadPage = async () => {
  await send("reload-ui");
  location.reload();
};

export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
