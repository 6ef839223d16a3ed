// @ts-check
// What a click on a card does to the prompts: text in, text out, no page in here.

/** @import { Card, CardKind, Prompts } from "./types.js" */

const TAG = /<(\w+):([^<>]+)>/g;
/** @type {Partial<Record<CardKind, string[]>>} what tags of a kind begin with; the first one is inserted */
const TAG_KINDS = { lora: ["lora", "lyco"], hypernetworks: ["hypernet"] };

/** A stretch of a text. @typedef {{ start: number, end: number }} Stretch */

/** @param {number} weight as people write it: 1, 0.8 */
const written = (weight) => String(Number(weight.toFixed(4)));

/** @param {string} text */
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/**
 * The tags of a prompt that mean one of these names, whatever numbers stand in them.
 * @param {string} prompt
 * @param {string[]} kinds
 * @param {string[]} names
 * @returns {Stretch[]}
 */
function tags(prompt, kinds, names) {
  return [...prompt.matchAll(TAG)]
    .filter(([, kind, text]) => {
      const named = text.split(":").find((part) => part.split("=").length !== 2);
      return kinds.includes(kind) && named !== undefined && names.includes(named);
    })
    .map(({ 0: tag, index }) => ({ start: index, end: index + tag.length }));
}

/**
 * Where a text stands for itself, not as a part of a word; with a weight around it, `(text:1.2)`, that belongs to it.
 * @param {string} prompt
 * @param {string} text
 * @returns {Stretch[]}
 */
function places(prompt, text) {
  const bare = escaped(text);
  const weighed = `\\(\\s*${bare}\\s*:\\s*[+-]?[\\d.]+\\s*\\)`;
  const word = new RegExp(`${weighed}|(?<![\\p{L}\\p{N}_-])${bare}(?![\\p{L}\\p{N}_-])`, "gu");
  return [...prompt.matchAll(word)].map(({ 0: found, index }) => ({ start: index, end: index + found.length }));
}

/**
 * Without these stretches, and without what was put before and behind each of them with it.
 * @param {string} prompt
 * @param {Stretch[]} stretches
 * @param {string} separator
 * @param {string} behind
 */
function without(prompt, stretches, separator, behind = "") {
  let text = prompt;
  for (const { start, end } of stretches.toReversed()) {
    const before = text.slice(0, start);
    let after = text.slice(end);
    if (behind && after.startsWith(` ${behind}`)) after = after.slice(behind.length + 1);
    if (separator && before.endsWith(separator)) text = before.slice(0, -separator.length) + after;
    else if (!before.trim() && separator && after.startsWith(separator)) text = after.slice(separator.length);
    else text = before + after;
  }
  return text;
}

/**
 * @param {string} prompt
 * @param {string} text
 * @param {string} separator
 */
const appended = (prompt, text, separator) => (prompt ? `${prompt}${separator}${text}` : text);

/** @param {Card} card */
const negativeText = (card) => `(${card.negative}:1)`;

/**
 * Whether a prompt has what a click on the card puts there.
 * @param {string} prompt
 * @param {CardKind} kind
 * @param {Card} card
 */
export function isIn(prompt, kind, card) {
  const kinds = TAG_KINDS[kind];
  return (kinds ? tags(prompt, kinds, card.names) : places(prompt, card.title)).length > 0;
}

/**
 * The prompts after a click on a card: what it inserts is put at the end, or taken out everywhere if it is there.
 * `into` is the prompt that a textual inversion goes to.
 * @param {Prompts} prompts
 * @param {CardKind} kind
 * @param {Card} card
 * @param {string} separator
 * @param {keyof Prompts} into
 * @returns {Prompts}
 */
export function clicked(prompts, kind, card, separator, into = "prompt") {
  const kinds = TAG_KINDS[kind];
  if (!kinds) {
    const found = places(prompts[into], card.title);
    const changed = found.length
      ? without(prompts[into], found, separator)
      : appended(prompts[into], card.title, separator);
    return { ...prompts, [into]: changed };
  }
  const { prompt, negative } = prompts;
  const found = tags(prompt, kinds, card.names);
  if (found.length) {
    const there = card.negative ? literal(negative, negativeText(card)) : [];
    return {
      prompt: without(prompt, found, separator, card.activation),
      negative: without(negative, there, separator),
    };
  }
  const tag = `<${kinds[0]}:${card.prompt_name}:${written(card.weight)}>`;
  return {
    prompt: appended(prompt, card.activation ? `${tag} ${card.activation}` : tag, separator),
    negative: card.negative ? appended(negative, negativeText(card), separator) : negative,
  };
}

/**
 * @param {string} text
 * @param {string} part
 * @returns {Stretch[]}
 */
function literal(text, part) {
  const start = text.lastIndexOf(part);
  return start < 0 ? [] : [{ start, end: start + part.length }];
}

/**
 * A comma-separated text with a word put behind it, or without it where it has that word.
 * @param {string} text
 * @param {string} word
 */
export function toggled(text, word) {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.includes(word)) return parts.filter((part) => part !== word).join(", ");
  const bare = text.trim().replace(/,$/, "");
  return bare ? `${bare}, ${word}` : word;
}

/**
 * Tags as people click them: descriptions of whole sentences are taken apart into their words.
 * @param {[string, number][]} tags
 * @returns {[string, number][]} the commonest first
 */
export function clickable(tags) {
  const letters = tags.reduce((sum, [tag]) => sum + tag.length, 0);
  if (!tags.length || letters / tags.length < 16) return tags;
  /** @type {Map<string, number>} */
  const counted = new Map();
  for (const [tag, count] of tags) {
    for (const word of tag.match(/[\p{L}\p{N}_-]{3,}/gu) ?? []) counted.set(word, (counted.get(word) ?? 0) + count);
  }
  return [...counted].sort(([, one], [, other]) => other - one);
}

/**
 * A prompt of the tags, each with the probability that a picture of the training had it.
 * @param {[string, number][]} tags
 * @param {() => number} random from 0 to 1
 */
export function randomPrompt(tags, random = Math.random) {
  const most = Math.max(1, ...tags.map(([, count]) => count));
  return tags
    .filter(([, count]) => random() < count / most)
    .map(([tag]) => tag)
    .sort()
    .join(", ");
}
