import assert from "node:assert/strict";
import { test } from "node:test";

const { clickable, clicked, isIn, randomPrompt, toggled } = await import("../../modules/page/assets/card_text.js");

/** @import { Card } from "../../modules/page/assets/types.js" */

/** @type {Card} */
const CAT = {
  name: "cat.safetensors",
  title: "cat",
  description: "",
  prompt_name: "Tom",
  names: ["cat", "Tom"],
  weight: 0.8,
  activation: "",
  negative: "",
  base: "",
  picture: "",
  metadata: false,
  problem: "",
  path: "",
  checkpoint: "",
};

/**
 * @param {string} prompt
 * @param {Partial<Card>} more
 */
const lora = (prompt, more = {}, separator = " ") =>
  clicked({ prompt, negative: "" }, "lora", { ...CAT, ...more }, separator).prompt;

test("a click puts the tag at the end, the next one takes it out", () => {
  assert.equal(lora("a field"), "a field <lora:Tom:0.8>");
  assert.equal(lora("a field <lora:Tom:0.8>"), "a field");
  assert.equal(lora("", { weight: 1 }), "<lora:Tom:1>");
  assert.equal(lora("a field", {}, ", "), "a field, <lora:Tom:0.8>");
  assert.equal(lora("a field, <lora:Tom:0.8>", {}, ", "), "a field");
  assert.equal(lora("<lora:Tom:0.8>, a field", {}, ", "), "a field");
});

for (const tag of [
  "<lora:Tom:-0.5>",
  "<lora:Tom:0.5:0.3>",
  "<lora:Tom:0.5:0.3:8>",
  "<lora:Tom>",
  "<lora:Tom:te=0.5:unet=1>",
  "<lora:te=0.5:Tom>",
  "<lora:cat:1>",
  "<lyco:Tom:1e-1>",
]) {
  test(`${tag} is recognised and taken out`, () => {
    assert.equal(isIn(`a ${tag} b`, "lora", CAT), true);
    assert.equal(lora(`a ${tag} b`), "a b");
  });
}

test("tags of others stay", () => {
  for (const tag of ["<lora:Tommy:1>", "<lora:tom:1>", "<hypernet:Tom:1>", "<lora:Kit:Tom>"]) {
    assert.equal(isIn(tag, "lora", CAT), false);
    assert.equal(lora(tag), `${tag} <lora:Tom:0.8>`);
  }
});

test("all tags of a name go, with the activation text behind each", () => {
  const more = { activation: "tomcat, fur" };
  assert.equal(lora("a", more), "a <lora:Tom:0.8> tomcat, fur");
  assert.equal(lora("a <lora:Tom:0.8> tomcat, fur", more), "a");
  assert.equal(lora("a <lora:Tom:1> b <lora:cat:2> tomcat, fur c", more), "a b c");
  assert.equal(lora("a <lora:Tom:1> other words", more), "a other words");
});

test("the negative text goes to the other prompt and leaves with the tag", () => {
  const card = { ...CAT, negative: "dog" };
  const inserted = clicked({ prompt: "a", negative: "ugly" }, "lora", card, " ");
  assert.deepEqual(inserted, { prompt: "a <lora:Tom:0.8>", negative: "ugly (dog:1)" });
  assert.deepEqual(clicked(inserted, "lora", card, " "), { prompt: "a", negative: "ugly" });
});

test("a hypernetwork has a tag of its own", () => {
  const { prompt } = clicked({ prompt: "a", negative: "" }, "hypernetworks", { ...CAT, prompt_name: "cat" }, " ");
  assert.equal(prompt, "a <hypernet:cat:0.8>");
});

test("a textual inversion is its name, in the prompt that had the focus", () => {
  const prompts = { prompt: "a field", negative: "concat, cats" };
  const inserted = clicked(prompts, "textual inversion", CAT, " ", "negative");
  assert.deepEqual(inserted, { prompt: "a field", negative: "concat, cats cat" });
  assert.deepEqual(clicked(inserted, "textual inversion", CAT, " ", "negative"), prompts);
  const weighed = { prompt: "a (cat:1.2) b", negative: "" };
  assert.equal(clicked(weighed, "textual inversion", CAT, " ").prompt, "a b");
  assert.equal(isIn("cat-like", "textual inversion", CAT), false);
  assert.equal(isIn("bad.+name", "textual inversion", { ...CAT, title: "bad.+name" }), true);
});

test("words are put behind a text and taken out of it", () => {
  assert.equal(toggled("", "fur"), "fur");
  assert.equal(toggled("a, b, ", "fur"), "a, b, fur");
  assert.equal(toggled("a, fur, b", "fur"), "a, b");
});

test("sentences among the tags are taken apart", () => {
  assert.deepEqual(clickable([["cat", 3]]), [["cat", 3]]);
  const sentences = /** @type {[string, number][]} */ ([
    ["a photo of a grey cat", 2],
    ["a photo of an old dog", 1],
  ]);
  assert.deepEqual(clickable(sentences)[0], ["photo", 3]);
});

test("a random prompt has each tag as often as the training had it", () => {
  const tags = /** @type {[string, number][]} */ ([
    ["fur", 10],
    ["cat", 10],
    ["hat", 1],
  ]);
  assert.equal(
    randomPrompt(tags, () => 0.5),
    "cat, fur",
  );
  assert.equal(
    randomPrompt(tags, () => 0.05),
    "cat, fur, hat",
  );
});
