// @ts-check
// The text of the gallery's search box: its terms, and terms put in and taken out. Text in, text out, no page in here.

const BRACKETS = /[()[\]{}]/;

/**
 * The terms of a search, each with where it stands: words, "phrases", `-without`, `field:value`, `field:"a value"`.
 * @param {string} query
 * @returns {{ text: string, from: number, to: number }[]}
 */
export function terms(query) {
  const found = [];
  let from = -1;
  let quoted = false;
  for (let place = 0; place <= query.length; place += 1) {
    const character = query[place];
    if (place === query.length || (!quoted && /\s/.test(character))) {
      if (from >= 0) found.push({ text: query.slice(from, place), from, to: place });
      from = -1;
      quoted = false;
      continue;
    }
    if (from < 0) from = place;
    if (character === '"' && query[place - 1] !== "\\") quoted = !quoted;
  }
  return found;
}

/**
 * A value as it can stand behind a field, in quotes where it needs them.
 * @param {string} value
 */
export const quoted = (value) => (/^[^\s":]+$/.test(value) ? value : `"${value.replaceAll('"', '\\"')}"`);

/**
 * @param {string} field
 * @param {string} value
 */
export const term = (field, value) => `${field}:${quoted(value)}`;

/**
 * Words of a prompt as a search: in quotes, where they are several, so that they are found beside each other.
 * @param {string} text
 */
export const phrase = (text) => (/^[\p{L}\p{N}_]+$/u.test(text) ? text : `"${text.replaceAll('"', '\\"')}"`);

/**
 * @param {string} query
 * @param {string} one
 */
export const hasTerm = (query, one) => terms(query).some(({ text }) => text.toLowerCase() === one.toLowerCase());

/**
 * @param {string} query
 * @param {string} field
 */
export const hasField = (query, field) => terms(query).some(({ text }) => text.toLowerCase().startsWith(`${field}:`));

/**
 * The search with a term more; without it, where it is there. Another value of the same field goes, where only one
 * value can be meant: a picture lies in one folder.
 * @param {string} query
 * @param {string} one
 * @param {{ alone?: boolean }} how
 */
export function toggledTerm(query, one, { alone = false } = {}) {
  const field = one.slice(0, one.indexOf(":") + 1).toLowerCase();
  const others = terms(query)
    .map(({ text }) => text)
    .filter((text) => text.toLowerCase() !== one.toLowerCase() && !(alone && text.toLowerCase().startsWith(field)));
  return (hasTerm(query, one) ? others : [...others, one]).join(" ");
}

/**
 * The search and the caret after a completion took the place of what stood there.
 * @param {string} query
 * @param {{ text: string, start: number, end: number }} completion
 */
export function completed(query, { text, start, end }) {
  // Behind a whole term the next one begins; behind `field:` its value.
  const before = `${query.slice(0, start)}${text}${/[:<>=]$/.test(text) ? "" : " "}`;
  return { query: before + query.slice(end).trimStart(), at: before.length };
}

/**
 * A prompt in pieces: what can be searched for, and what stands between. `<lora:a:1>` is searched for as a LoRA,
 * weights are left out.
 * @param {string} prompt
 * @returns {{ text: string, search: string | null }[]}
 */
export function promptPieces(prompt) {
  /** @type {{ text: string, search: string | null }[]} */
  const pieces = [];
  for (const text of prompt.match(
    /<[^<>]*>|[,\n|]|\bBREAK\b|\bAND\b|[()[\]{}]|:\s*-?[\d.]+(?=\s*[)\]])|(?:(?!\bBREAK\b|\bAND\b|:\s*-?[\d.]+\s*[)\]])[^,\n|<>()[\]{}])+|[<>]/g,
  ) ?? []) {
    const network = /^<(\w+):([^:>]+)/.exec(text);
    if (network)
      pieces.push({ text, search: network[1] === "lora" || network[1] === "lyco" ? term("lora", network[2]) : null });
    else if (/^\s+$/.test(text) || BRACKETS.test(text) || /^([,\n|<>]|BREAK|AND|:.*)$/.test(text))
      pieces.push({ text, search: null });
    else pieces.push(...padded(text));
  }
  return pieces;
}

/**
 * Without the spaces around them, which stay in the text.
 * @param {string} text
 */
function padded(text) {
  const bare = text.trim();
  if (!/[\p{L}\p{N}\p{S}]/u.test(bare)) return [{ text, search: null }];
  const start = text.indexOf(bare);
  return [
    { text: text.slice(0, start), search: null },
    { text: bare, search: phrase(bare.replace(/\\([()[\]])/g, "$1")) },
    { text: text.slice(start + bare.length), search: null },
  ].filter((piece) => piece.text);
}
