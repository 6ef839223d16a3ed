import assert from "node:assert/strict";
import { test } from "node:test";

import { changeWeight, movePart } from "../../modules/page/assets/weights.js";

const SETTINGS = { attention: 0.1, extra: 0.05, delimiters: ".,\\/!?%^*;:{}=`~() " };

/**
 * The text after a key; `¦` stands for the caret, two of them for a selection, in what comes out as well.
 * @param {string} marked
 * @param {1 | -1} direction
 */
function press(marked, direction) {
  const text = marked.replaceAll("¦", "");
  const start = marked.indexOf("¦");
  const last = marked.lastIndexOf("¦");
  const end = last > start ? last - 1 : start;
  const change = changeWeight(text, start, end, direction, SETTINGS);
  return change && text.slice(0, change.from) + change.insert + text.slice(change.to);
}

/** @type {[string, string, 1 | -1, string | null][]} */
const CASES = [
  ["a word", "a re¦d apple", 1, "a (red:1.1) apple"],
  ["a word, down", "a re¦d apple", -1, "a (red:0.9) apple"],
  ["the caret at the word's end", "red¦, apple", 1, "(red:1.1), apple"],
  ["a selection", "a ¦red apple¦", 1, "a (red apple:1.1)"],
  ["a weight", "(re¦d:1.1)", 1, "(red:1.2)"],
  ["a weight that becomes 1 goes", "(re¦d:1.1)", -1, "red"],
  ["old brackets", "((re¦d))", 1, "(red:1.31)"],
  ["old brackets that weigh 1", "(ca¦t)", -1, "cat"],
  ["the whole of a longer bracket", "(a ca¦t and dog:1.2)", 1, "(a cat and dog:1.3)"],
  ["a part of a longer bracket", "(a ¦red¦ apple:1.2)", 1, "(a (red:1.1) apple:1.2)"],
  ["nothing between words", "a ¦ b", 1, null],
  ["escaped brackets are words", "\\(re¦d\\)", 1, "\\((red:1.1)\\)"],
  // Brackets that say when: one of the words may have a weight, the rest stays what it is.
  ["the first of [from:to:when]", "[ca¦t:dog:0.5]", 1, "[(cat:1.1):dog:0.5]"],
  ["the second of [from:to:when]", "[cat:do¦g:0.5]", 1, "[cat:(dog:1.1):0.5]"],
  ["the time of [from:to:when]", "[cat:dog:0.¦5]", 1, null],
  ["the time of [to:when]", "[cat:1¦0]", -1, null],
  ["a selection across [from:to:when]", "[¦cat:dog¦:0.5]", 1, null],
  ["a selection that cuts a bracket", "¦a [cat¦:dog:0.5]", 1, null],
  ["the whole of [from:to:when]", "¦[cat:dog:0.5]¦", 1, "([cat:dog:0.5]:1.1)"],
  ["one of [one|other]", "[ca¦t|dog]", 1, "[(cat:1.1)|dog]"],
  ["a selection across [one|other]", "[¦cat|dog¦]", 1, null],
  ["a weight inside of [from:to:when]", "[(ca¦t:1.2):dog:0.5]", 1, "[(cat:1.3):dog:0.5]"],
  ["a selection across a bracket's edge", "(a ¦b) c¦", 1, null],
  ["AND parts prompts", "a A¦ND b", 1, null],
  ["BREAK parts prompts", "a BR¦EAK b", 1, null],
  // Networks.
  ["a LoRA", "<lora:fo¦o:0.8>", 1, "<lora:foo:0.85>"],
  ["a LoRA, down", "<lora:fo¦o:0.8>", -1, "<lora:foo:0.75>"],
  ["a LoRA without a weight", "a <lora:fo¦o>", 1, "a <lora:foo:1.05>"],
  ["a LoRA without a weight, down", "a <lora:fo¦o>", -1, "a <lora:foo:0.95>"],
  ["a LoRA with names and no weight", "<lora:fo¦o:unet=0.5>", 1, "<lora:foo:1.05:unet=0.5>"],
  ["a LoRA at 0", "<lora:fo¦o:0>", -1, null],
  ["a LoRA at nearly 0", "<lora:fo¦o:0.02>", -1, "<lora:foo:0>"],
  ["a LoRA below 0, written by hand", "<lora:fo¦o:-0.5>", -1, "<lora:foo:-0.55>"],
  ["no tag", "<fo¦o>", 1, null],
  // 0 is the least that a key gives.
  ["0", "(re¦d:0)", -1, null],
  ["nearly 0", "(re¦d:0.05)", -1, "(red:0)"],
  ["below 0, written by hand", "(re¦d:-0.5)", -1, null],
  ["below 0, written by hand, up", "(re¦d:-0.5)", 1, "(red:-0.4)"],
];

for (const [name, before, direction, after] of CASES) {
  test(`weight: ${name}`, () => assert.equal(press(before, direction), after));
}

test("a weight pressed up and down again leaves the prompt as it was", () => {
  for (const prompt of ["a red apple", "[cat:dog:0.5]", "a, (b c), d"]) {
    for (let caret = 0; caret <= prompt.length; caret += 1) {
      const up = changeWeight(prompt, caret, caret, 1, SETTINGS);
      if (!up || prompt.slice(up.from, up.to).startsWith("(")) continue;
      const text = prompt.slice(0, up.from) + up.insert + prompt.slice(up.to);
      const down = changeWeight(text, up.start, up.end, -1, SETTINGS);
      assert.equal(down && text.slice(0, down.from) + down.insert + text.slice(down.to), prompt);
      assert.equal(text.slice(up.start, up.end), prompt.slice(up.from, up.to));
    }
  }
});

test("parts between commas change places, with their words selected", () => {
  const change = movePart("one, two, three", 6, 1);
  assert.deepEqual(change, { from: 4, to: 15, insert: " three, two", start: 12, end: 15 });
  assert.equal(movePart("one, two", 1, -1), null);
  assert.equal(movePart("one, two", 6, 1), null);
  assert.deepEqual(movePart("one, two", 6, -1), { from: 0, to: 8, insert: "two, one", start: 0, end: 3 });
});
