// @ts-check
// What the gallery asks the server: /v1/pictures, boards, searches and prompts.

/** @import { Completion, Day, Facets, Look, Marks, PromptPage, SavedSearch, Shot, ShotDetail, ShotPage } from "./gallery_types.js" */

import { apiUrl, readFrom } from "./client.js";
import { sendTo } from "./dom.js";

// The kind of data of a drag: the pictures' ids as JSON. Beside it stand their addresses.
export const SHOTS = "application/x-webui-pictures";

/**
 * @param {string} path
 * @param {Record<string, string | number | boolean>} query
 * @returns {Promise<any>}
 */
function ask(path, query = {}) {
  const wanted = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  return readFrom(apiUrl(wanted.size ? `${path}?${wanted}` : path));
}

/**
 * @param {string} path
 * @param {object} body
 * @returns {Promise<any>}
 */
const order = (path, body = {}, method = "POST") => sendTo(apiUrl(path), body, { method });

/** @param {string} address as the server gives it, below its root */
export const below = (address) => new URL(address.replace(/^\//, ""), document.baseURI).href;

/** @param {Shot} shot */
export const thumbnailOf = (shot, size = 256) => {
  const address = below(shot.thumbnail);
  return size === 256 ? address : `${address}&size=${size}`;
};

/** @param {string} id */
export const fileOf = (id, download = false) =>
  apiUrl(`pictures/${encodeURIComponent(id)}/file${download ? "?download=1" : ""}`);

/**
 * @param {Look} look
 * @param {number} offset
 * @param {number} limit
 * @returns {Promise<ShotPage>}
 */
export const pictures = ({ q, sort, stack }, offset, limit) => ask("pictures", { q, sort, stack, offset, limit });

/**
 * @param {string} id
 * @returns {Promise<ShotDetail>}
 */
export const detail = (id) => ask(`pictures/${encodeURIComponent(id)}`);

/**
 * @param {string} q
 * @returns {Promise<Day[]>}
 */
export const timeline = (q) => ask("pictures/timeline", { q });

/**
 * @param {string} q
 * @returns {Promise<Facets>}
 */
export const facets = (q) => ask("pictures/facets", { q });

/**
 * @param {string} q
 * @param {number} at
 * @returns {Promise<Completion[]>}
 */
export const completions = (q, at) => ask("pictures/fields", { q, at });

/**
 * @param {string} id
 * @param {"look" | "meaning"} by
 * @returns {Promise<Shot[]>}
 */
export const similar = (id, by) => ask(`pictures/${encodeURIComponent(id)}/similar`, { by });

/** @returns {Promise<Shot[][]>} */
export const duplicates = () => ask("pictures/duplicates");

/**
 * @param {string[]} ids
 * @param {Marks} marks
 */
export const mark = (ids, marks) => order("pictures/marks", { ids, ...marks });

/**
 * @param {string[]} ids
 * @returns {Promise<{ trashed: string[], refused: Record<string, string> }>}
 */
export const trash = (ids) => order("pictures/trash", { ids });

/** @param {string[]} ids */
export const restore = (ids) => order("pictures/restore", { ids });

export const emptyTrash = () => order("pictures/empty-trash");

/**
 * @param {"move" | "copy"} what
 * @param {string[]} ids
 * @param {string} folder its id
 */
export const relocate = (what, ids, folder) => order(`pictures/${what}`, { ids, folder });

/**
 * @param {string[]} ids
 * @param {string} pattern
 */
export const rename = (ids, pattern) => order("pictures/rename", { ids, pattern });

/**
 * @param {string[]} ids
 * @returns {Promise<Blob>}
 */
export async function zip(ids) {
  const json = { headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ids }) };
  const answer = await fetch(apiUrl("pictures/zip"), { method: "POST", ...json });
  if (!answer.ok) throw new Error(String((await answer.json().catch(() => ({}))).detail ?? answer.status));
  return answer.blob();
}

/** @returns {Promise<{ id: string, name: string, count?: number }[]>} */
export const boards = () => ask("boards");
/**
 * @param {string} name
 * @returns {Promise<{ id: string, name: string }>}
 */
export const addBoard = (name) => order("boards", { name });
/**
 * @param {string} id
 * @param {string} name
 */
export const renameBoard = (id, name) => order(`boards/${encodeURIComponent(id)}`, { name }, "PATCH");
/** @param {string} id */
export const deleteBoard = (id) => order(`boards/${encodeURIComponent(id)}`, {}, "DELETE");
/**
 * @param {string} id
 * @param {string[]} ids
 */
export const putOnBoard = (id, ids, remove = false) =>
  order(`boards/${encodeURIComponent(id)}/pictures`, { ids, remove });

/** @returns {Promise<SavedSearch[]>} */
export const searches = () => ask("searches");
/**
 * @param {string} name
 * @param {string} q
 */
export const saveSearch = (name, q) => order("searches", { name, q });
/** @param {string} id */
export const deleteSearch = (id) => order(`searches/${encodeURIComponent(id)}`, {}, "DELETE");

/**
 * @param {string} q
 * @param {boolean} favourites
 * @param {number} offset
 * @returns {Promise<PromptPage>}
 */
export const prompts = (q, favourites, offset = 0, limit = 50) => ask("prompts", { q, favourites, offset, limit });

/**
 * @param {string} id
 * @param {boolean} favourite
 */
export const likePrompt = (id, favourite) => order(`prompts/${encodeURIComponent(id)}`, { favourite });
