// @ts-check
// Ctrl+Up and Ctrl+Down on a prompt: text in, text out, no page in here.

/** @import { PageSettings, TextChange } from "./types.js" */

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)$/;
// What ends a word whatever the settings say: these have a meaning of their own in a prompt.
const ENDS_WORD = /[\s()[\]<>|:\\]/;
// Words that part a prompt: no weight can be put on them.
const KEYWORDS = new Set(["AND", "BREAK"]);
const PAIRS = new Map([
  [")", "("],
  ["]", "["],
  [">", "<"],
]);

/** @param {number} value */
const rounded = (value) => String(Number(value.toFixed(4)));

/**
 * @param {string} text
 * @param {number} caret
 * @param {string} delimiters
 * @returns {[number, number]}
 */
function word(text, caret, delimiters) {
  /** @param {string} character */
  const ends = (character) => ENDS_WORD.test(character) || delimiters.includes(character);
  let start = caret;
  let end = caret;
  while (start > 0 && !ends(text[start - 1])) start -= 1;
  while (end < text.length && !ends(text[end])) end += 1;
  return [start, end];
}

/**
 * The innermost pair around a stretch of text: position of the opener, position of the closer.
 * @param {string} text
 * @param {number} start
 * @param {number} end
 * @param {string} opener
 * @param {string} closer
 * @returns {[number, number] | null}
 */
function pair(text, start, end, opener, closer) {
  let depth = 0;
  let left = start - 1;
  for (; left >= 0; left -= 1) {
    if (text[left - 1] === "\\") continue;
    if (text[left] === closer) depth += 1;
    else if (text[left] === opener && depth-- === 0) break;
  }
  if (left < 0) return null;
  depth = 0;
  for (let right = end; right < text.length; right += 1) {
    if (text[right - 1] === "\\") continue;
    if (text[right] === opener) depth += 1;
    else if (text[right] === closer && depth-- === 0) return [left, right];
  }
  return null;
}

/**
 * Where the characters of `marks` stand outside of brackets; null where the brackets don't match.
 * @param {string} text
 * @param {string} marks
 * @returns {number[] | null}
 */
function outside(text, marks) {
  const open = [];
  const found = [];
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    const opener = PAIRS.get(character);
    if (character === "\\") at += 1;
    else if ("([<".includes(character)) open.push(character);
    else if (opener) {
      if (open.pop() !== opener) return null;
    } else if (!open.length && marks.includes(character)) found.push(at);
  }
  return open.length ? null : found;
}

/**
 * Whether brackets around a stretch of text leave the rest of the prompt what it is. They don't where they would cross
 * others, or in [from:to:when] and [one|other] take more than one of the parts, or the time.
 * @param {string} text
 * @param {number} start
 * @param {number} end
 */
function canBeWeighted(text, start, end) {
  const part = text.slice(start, end);
  if (KEYWORDS.has(part.trim()) || !outside(part, "")) return false;
  const around = pair(text, start, end, "[", "]");
  if (!around) return true;
  const separators = outside(text.slice(around[0] + 1, around[1]), ":|")?.map((at) => around[0] + 1 + at);
  if (!separators || separators.some((at) => at >= start && at < end)) return false;
  const last = separators.at(-1) ?? -1;
  const isTime = text[last] === ":" && NUMBER.test(text.slice(last + 1, around[1]).trim());
  return !(isTime && start > last);
}

/**
 * @param {string} inner
 * @returns {[string, number | null]}
 */
function splitWeight(inner) {
  const colon = inner.lastIndexOf(":");
  const tail = colon < 0 ? "" : inner.slice(colon + 1).trim();
  return NUMBER.test(tail) ? [inner.slice(0, colon), Number(tail)] : [inner, null];
}

/**
 * The weight of <lora:name:weight> and its like, 1 where none is written. A negative one, as a LoRA can have, is moved
 * where somebody wrote it; no key crosses 0.
 * @param {string} text
 * @param {[number, number]} tag
 * @param {number} change
 * @returns {TextChange | null}
 */
function changeTag(text, [from, closer], change) {
  const parts = text.slice(from + 1, closer).split(":");
  if (parts.length < 2 || !parts[1].trim()) return null;
  const numbers = parts.flatMap((part, index) => (index > 1 && NUMBER.test(part.trim()) ? [index] : []));
  const place = numbers.at(-1);
  if (place === undefined) parts.splice(2, 0, rounded(1 + change));
  else {
    const weight = Number(parts[place]);
    const next = Math.max(weight < 0 ? -Infinity : 0, weight + change);
    if (next === weight) return null;
    parts[place] = rounded(next);
  }
  const name = parts.slice(0, place ?? 2).join(":");
  return { from, to: closer + 1, insert: `<${parts.join(":")}>`, start: from + 1, end: from + 1 + name.length };
}

/**
 * What to do with the weight at a selection. Null: nothing.
 * @param {string} text
 * @param {number} start
 * @param {number} end
 * @param {1 | -1} direction
 * @param {Pick<PageSettings, "attention" | "extra" | "delimiters">} settings steps of the weights; what ends a word
 * @returns {TextChange | null}
 */
export function changeWeight(text, start, end, direction, { attention, extra, delimiters }) {
  const tag = pair(text, start, end, "<", ">");
  if (tag) return changeTag(text, tag, direction * extra);
  const change = direction * attention;
  if (start === end && !pair(text, start, end, "(", ")")) {
    [start, end] = word(text, start, delimiters);
    if (start === end) return null;
  }
  const part = text.slice(start, end);
  const around = pair(text, start, end, "(", ")");
  if (!around) return canBeWeighted(text, start, end) ? weighted(text, start, end, part, 1, change) : null;
  const [inner, weight] = splitWeight(text.slice(around[0] + 1, around[1]));
  // A part of a longer bracket gets a weight of its own.
  if (part && part.trim() !== inner.trim() && part !== text.slice(around[0] + 1, around[1])) {
    return canBeWeighted(text, start, end) ? weighted(text, start, end, part, 1, change) : null;
  }
  let value = weight ?? 1.1;
  let [from, to] = [around[0], around[1] + 1];
  // ((old style)): each pair of brackets is a factor of 1.1.
  while (weight === null && text[from - 1] === "(" && text[to] === ")") {
    value *= 1.1;
    from -= 1;
    to += 1;
  }
  return weighted(text, from, to, inner, value, change);
}

/**
 * @param {string} text
 * @param {number} from
 * @param {number} to
 * @param {string} inner
 * @param {number} weight until now
 * @param {number} change
 * @returns {TextChange | null}
 */
function weighted(text, from, to, inner, weight, change) {
  // Below 0 a weight turns the words round: only who writes that gets it.
  const next = Number(Math.max(Math.min(0, weight), weight + change).toFixed(2));
  const before = next === 1 ? "" : "(";
  const insert = next === 1 ? inner : `(${inner}:${rounded(next)})`;
  if (insert === text.slice(from, to)) return null;
  const start = from + before.length;
  return { from, to, insert, start, end: start + inner.length };
}

/**
 * Alt+Left and Alt+Right: the part between two commas changes place with its neighbour.
 * @param {string} text
 * @param {number} caret
 * @param {1 | -1} direction
 * @returns {TextChange | null}
 */
export function movePart(text, caret, direction) {
  const parts = text.split(",");
  let index = 0;
  for (let seen = parts[0].length; seen < caret && index < parts.length - 1; seen += parts[index].length + 1)
    index += 1;
  const other = index + direction;
  if (other < 0 || other >= parts.length) return null;
  const [left, right] = [Math.min(index, other), Math.max(index, other)];
  const from = parts.slice(0, left).reduce((sum, part) => sum + part.length + 1, 0);
  const [first, second] = [swapIn(parts[left], parts[right]), swapIn(parts[right], parts[left])];
  const insert = `${first},${second}`;
  const moved = direction < 0 ? first : second;
  const start = from + (direction < 0 ? 0 : first.length + 1) + (moved.length - moved.trimStart().length);
  return {
    from,
    to: from + parts[left].length + 1 + parts[right].length,
    insert,
    start,
    end: start + moved.trim().length,
  };
}

/**
 * The words of `content` with the spaces of `place`.
 * @param {string} place
 * @param {string} content
 */
function swapIn(place, content) {
  const lead = place.slice(0, place.length - place.trimStart().length);
  const trail = place.slice(place.trimEnd().length);
  return `${place.trim() ? lead : ""}${content.trim()}${place.trim() ? trail : ""}`;
}
