// @ts-check
// What differs between two pictures' parameters, word by word: text in, parts out, no page in here.

/** Of a text and the one before it: what both have, what is new, what is gone.
 * @typedef {{ kind: "same" | "added" | "removed", text: string }} Part */
/** What an infotext says. @typedef {{ prompt: string, negative: string, fields: Record<string, string> }} Parameters */
/** @typedef {{ key: string, before: string, after: string }} FieldChange */

// Two longer texts are compared as wholes: the table for them would take seconds.
const MOST_CELLS = 4_000_000;
// They follow from others, or say nothing of how a picture looks.
const FOLLOWING = new Set(["Model hash", "VAE hash", "Lora hashes", "TI hashes", "Hashes", "Version"]);

/**
 * Words, commas and spaces one by one, so that "red, fox" and "red fox" share their words.
 * @param {string} text
 * @returns {string[]}
 */
const words = (text) => text.match(/[^\s,()[\]<>:|]+|\s+|[,()[\]<>:|]/g) ?? [];

/**
 * How many words two lists have in common from each pair of places on, in order.
 * @param {string[]} before
 * @param {string[]} after
 */
function commonFrom(before, after) {
  const width = after.length + 1;
  const common = new Uint32Array((before.length + 1) * width);
  for (let one = before.length - 1; one >= 0; one -= 1) {
    for (let other = after.length - 1; other >= 0; other -= 1) {
      const place = one * width + other;
      common[place] =
        before[one] === after[other]
          ? common[place + width + 1] + 1
          : Math.max(common[place + width], common[place + 1]);
    }
  }
  return common;
}

/**
 * The parts of `after` and, where they were, those of `before` that are gone.
 * @param {string} before
 * @param {string} after
 * @returns {Part[]}
 */
export function wordDifferences(before, after) {
  if (before === after) return after ? [{ kind: "same", text: after }] : [];
  const [old, now] = [words(before), words(after)];
  /** @type {Part[]} */
  const parts = [];
  /**
   * @param {Part["kind"]} kind
   * @param {string} text
   */
  function push(kind, text) {
    const last = parts.at(-1);
    if (last?.kind === kind) last.text += text;
    else if (text) parts.push({ kind, text });
  }
  if (old.length * now.length > MOST_CELLS) {
    push("removed", before);
    push("added", after);
    return parts;
  }
  const common = commonFrom(old, now);
  const width = now.length + 1;
  let [one, other] = [0, 0];
  while (one < old.length || other < now.length) {
    if (one < old.length && other < now.length && old[one] === now[other]) {
      push("same", now[other]);
      one += 1;
      other += 1;
    } else if (
      one < old.length &&
      (other === now.length || common[(one + 1) * width + other] >= common[one * width + other + 1])
    ) {
      push("removed", old[one]);
      one += 1;
    } else {
      push("added", now[other]);
      other += 1;
    }
  }
  return parts;
}

/**
 * The settings that two pictures don't share, in the order of the newer one's; what is missing is an empty text.
 * @param {Record<string, string>} before
 * @param {Record<string, string>} after
 * @returns {FieldChange[]}
 */
export function fieldChanges(before, after) {
  const keys = new Set([...Object.keys(after), ...Object.keys(before)]);
  return [...keys]
    .map((key) => ({ key, before: before[key] ?? "", after: after[key] ?? "" }))
    .filter((one) => one.before !== one.after);
}

/**
 * The same without what follows from other settings: a checkpoint's hash, if its name is there.
 * @param {FieldChange[]} changes
 */
export const ownChanges = (changes) => changes.filter(({ key }) => !FOLLOWING.has(key));

const FIELD = /\s*([^:,"]+?):\s*("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)/gy;

/** @param {string} value as it stands in an infotext */
function unquoted(value) {
  if (!value.startsWith('"')) return value.trim();
  try {
    return String(JSON.parse(value));
  } catch {
    return value;
  }
}

/**
 * Reads A1111's text: prompt, negative prompt, and the settings on its last line.
 * @param {string} infotext
 * @returns {Parameters}
 */
export function parsedInfotext(infotext) {
  const lines = infotext.trim().split("\n");
  const last = lines.at(-1) ?? "";
  /** @type {Record<string, string>} */
  const fields = {};
  if (/^Steps: |^\s*[A-Z][\w ]*: [^,]*, [A-Z][\w ]*: /.test(last)) {
    lines.pop();
    for (const [, key, value] of last.matchAll(FIELD)) fields[key] = unquoted(value);
  }
  const negativeAt = lines.findIndex((line) => line.startsWith("Negative prompt:"));
  const at = negativeAt < 0 ? lines.length : negativeAt;
  return {
    prompt: lines.slice(0, at).join("\n").trim(),
    negative: lines
      .slice(at)
      .join("\n")
      .replace(/^Negative prompt:\s*/, "")
      .trim(),
    fields,
  };
}
