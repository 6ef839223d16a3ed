// @ts-check
// A model file dropped on the page: looked at, offered to be put into the folder of its kind, sent in pieces.

import { url } from "./client.js";
import { isUnanswered, sendTo } from "./dom.js";
import { size as written } from "./get_models.js";
import { listAgain } from "./jobs.js";
import { confirmed } from "./localization.js";
import { toast } from "./messages.js";

export const MODEL = /\.(safetensors|ckpt|pt|pth)$/i;
const PIECE = 16 * 2 ** 20;
const LONGEST_HEADER = 1e8;
// Milliseconds before a piece is sent again; one that arrives begins anew.
const WAITS = [1000, 2000, 5000, 10000, 20000];
const SAY_EVERY = 10000;

/**
 * What says the kind: the header of a safetensors file, which stands at its beginning.
 * @param {File} file
 */
async function beginning(file) {
  if (!/\.safetensors$/i.test(file.name)) return file.slice(0, 512);
  const length = Number(new DataView(await file.slice(0, 8).arrayBuffer()).getBigUint64(0, true));
  return file.slice(0, 8 + Math.min(length, LONGEST_HEADER));
}

/**
 * Put a model into its folder, if the person wants that.
 * @param {File} file
 * @throws {Error} with the server's sentence
 */
export async function takeModel(file) {
  if (file.size < 9) throw new Error(`${file.name} is empty, or was cut off.`);
  const about = { name: file.name, size: String(file.size), mark: String(file.lastModified) };
  /** @param {string} path @param {Blob} body @param {Record<string, string>} more */
  const post = (path, body, more = {}) =>
    sendTo(url(`models/${path}?${new URLSearchParams({ ...about, ...more })}`), {}, { body, headers: {} });
  const { kind, family, folder, received } = await post("look", await beginning(file));
  const facts = [family, kind, written(file.size)].filter(Boolean).join(", ");
  if (!confirmed(`Put ${file.name} (${facts}) into ${folder}?`)) return;
  toast(`${file.name} is on its way…`, "info");
  const done = await sent(file, received, (offset, piece) => post("piece", piece, { offset: String(offset) }));
  toast(`${file.name} is in its folder now (${done}).`, "info");
  listAgain();
  document.dispatchEvent(new CustomEvent("webui-models"));
}

/**
 * @param {File} file
 * @param {number} received bytes that are there from before
 * @param {(offset: number, piece: Blob) => Promise<{ received: number, done: boolean, kind: string }>} send
 * @returns {Promise<string>} the kind that the whole file is
 */
async function sent(file, received, send) {
  let offset = received;
  let failures = 0;
  let said = Date.now();
  for (;;) {
    try {
      const answer = await send(offset, file.slice(offset, offset + PIECE));
      if (answer.done) return answer.kind;
      failures = 0;
      offset = answer.received;
    } catch (error) {
      // A refusal stands; a server that doesn't answer may do so again.
      if (!isUnanswered(error)) throw error;
      if (failures >= WAITS.length) throw error;
      await new Promise((resolve) => setTimeout(resolve, WAITS[failures++]));
    }
    if (Date.now() - said > SAY_EVERY) {
      said = Date.now();
      toast(`${file.name}: ${Math.floor((100 * offset) / file.size)} %`, "info");
    }
  }
}
