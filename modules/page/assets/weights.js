// Ctrl+Up and Ctrl+Down on a prompt: text in, text out, no page in here.

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)$/;
const SPACE = /\s/;

const rounded = (value) => String(Number(value.toFixed(4)));

function word(text, caret, delimiters) {
  const ends = (character) => SPACE.test(character) || delimiters.includes(character);
  let start = caret;
  let end = caret;
  while (start > 0 && !ends(text[start - 1])) start -= 1;
  while (end < text.length && !ends(text[end])) end += 1;
  return [start, end];
}

// The innermost pair around a stretch of text, as [position of the opener, position of the closer].
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

function splitWeight(inner) {
  const colon = inner.lastIndexOf(":");
  const tail = colon < 0 ? "" : inner.slice(colon + 1).trim();
  return NUMBER.test(tail) ? [inner.slice(0, colon), Number(tail)] : [inner, null];
}

function replaced(text, from, to, before, kept, after) {
  const start = from + before.length;
  return { from, to, insert: before + kept + after, start, end: start + kept.length };
}

// What to do with the weight at a selection: replace text[from..to] by `insert`, then select start..end. Null: nothing.
export function changeWeight(text, start, end, direction, { attention, extra, delimiters }) {
  const tag = pair(text, start, end, "<", ">");
  if (tag) {
    const [name, weight] = splitWeight(text.slice(tag[0] + 1, tag[1]));
    if (weight === null) return null;
    const next = rounded(weight + direction * extra);
    return { from: tag[0], to: tag[1] + 1, insert: `<${name}:${next}>`, start: tag[0] + 1, end: tag[0] + 1 + name.length };
  }
  if (start === end && !pair(text, start, end, "(", ")")) {
    [start, end] = word(text, start, delimiters);
    if (start === end) return null;
  }
  let around = pair(text, start, end, "(", ")");
  if (!around) return weighted(text, start, end, text.slice(start, end), 1 + direction * attention);
  const [inner, weight] = splitWeight(text.slice(around[0] + 1, around[1]));
  const part = text.slice(start, end);
  // A part of a longer bracket gets a weight of its own.
  if (part && part.trim() !== inner.trim() && part !== text.slice(around[0] + 1, around[1])) {
    return weighted(text, start, end, part, 1 + direction * attention);
  }
  let value = weight ?? 1.1;
  let [from, to] = [around[0], around[1] + 1];
  // ((old style)): each pair of brackets is a factor of 1.1.
  while (weight === null && text[from - 1] === "(" && text[to] === ")") {
    value *= 1.1;
    from -= 1;
    to += 1;
  }
  return weighted(text, from, to, inner, value + direction * attention);
}

function weighted(text, from, to, inner, weight) {
  if (Math.abs(weight - 1) < 1e-6) return replaced(text, from, to, "", inner, "");
  return replaced(text, from, to, "(", inner, `:${rounded(Number(weight.toFixed(2)))})`);
}

// Alt+Left and Alt+Right: the part between two commas changes place with its neighbour.
export function movePart(text, caret, direction) {
  const parts = text.split(",");
  let index = 0;
  for (let seen = parts[0].length; seen < caret && index < parts.length - 1; seen += parts[index].length + 1) index += 1;
  const other = index + direction;
  if (other < 0 || other >= parts.length) return null;
  const [left, right] = [Math.min(index, other), Math.max(index, other)];
  const from = parts.slice(0, left).reduce((sum, part) => sum + part.length + 1, 0);
  const [first, second] = [swapIn(parts[left], parts[right]), swapIn(parts[right], parts[left])];
  const insert = `${first},${second}`;
  const moved = direction < 0 ? first : second;
  const start = from + (direction < 0 ? 0 : first.length + 1) + (moved.length - moved.trimStart().length);
  return { from, to: from + parts[left].length + 1 + parts[right].length, insert, start, end: start + moved.trim().length };
}

// The words of `content` with the spaces of `place`.
function swapIn(place, content) {
  const lead = place.slice(0, place.length - place.trimStart().length);
  const trail = place.slice(place.trimEnd().length);
  return `${place.trim() ? lead : ""}${content.trim()}${place.trim() ? trail : ""}`;
}
