// Who this browser is, and how the page talks to its server.

function readOrMake(key) {
  let value = localStorage.getItem(key);
  if (!value) {
    value = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    localStorage.setItem(key, value);
  }
  return value;
}

// Kept for as long as the browser keeps it: a phone that slept or a page that was reloaded finds its jobs by it.
export const client = readOrMake("webui-client");

export const url = (path) => new URL(`internal/${path}`, document.baseURI).href;

export async function read(path) {
  const answer = await fetch(url(path), { cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Error(String((await answer.json().catch(() => ({}))).detail ?? answer.status));
  return answer.json();
}

export async function act(path) {
  const answer = await fetch(url(path), { method: "POST", signal: AbortSignal.timeout(10000) });
  if (answer.ok) return null;
  const body = await answer.json().catch(() => ({}));
  return body.detail ?? `The server refused this (${answer.status}).`;
}
