import assert from "node:assert/strict";
import { test } from "node:test";

const { fieldChanges, ownChanges, parsedInfotext, wordDifferences } = await import(
  "../../modules/page/assets/differences.js"
);

/** @param {string} before @param {string} after */
const marked = (before, after) =>
  wordDifferences(before, after)
    .map(({ kind, text }) => ({ same: text, added: `+${text}+`, removed: `-${text}-` })[kind])
    .join("");

test("words that are gone and words that are new stand where they were and are", () => {
  assert.equal(marked("a red fox, night", "a blue fox, night, stars"), "a -red-+blue+ fox, night+, stars+");
  assert.equal(marked("", "a fox"), "+a fox+");
  assert.equal(marked("a fox", ""), "-a fox-");
  assert.equal(marked("a fox", "a fox"), "a fox");
  assert.equal(marked("", ""), "");
  assert.equal(marked("(fox:1.1)", "(fox:1.2)"), "(fox:-1.1-+1.2+)");
  assert.equal(marked("狐狸, 夜", "狐狸, 星 ✨"), "狐狸, -夜-+星 ✨+");
});

test("whatever two texts are, the parts give both of them back", () => {
  const some = ["a", "b", ",", " ", "c d", "(", "1.2", "狐"];
  let state = 7;
  const random = () => {
    state = (state * 16807) % 2147483647;
    return state;
  };
  const text = () => Array.from({ length: random() % 12 }, () => some[random() % some.length]).join("");
  for (let round = 0; round < 300; round += 1) {
    const [before, after] = [text(), text()];
    const parts = wordDifferences(before, after);
    const of = (/** @type {string} */ gone) => parts.filter(({ kind }) => kind !== gone).map((part) => part.text);
    assert.equal(of("removed").join(""), after);
    assert.equal(of("added").join(""), before);
  }
});

test("very long texts are compared as wholes, at once", () => {
  const parts = wordDifferences("a ".repeat(5000), "b ".repeat(5000));
  assert.deepEqual(
    parts.map(({ kind }) => kind),
    ["removed", "added"],
  );
});

test("an infotext is read into prompts and settings", () => {
  const text = [
    "a red fox,",
    "night",
    "Negative prompt: blurry",
    'Steps: 20, Sampler: DPM++ 2M, CFG scale: 7, Seed: 5, Size: 512x768, Lora hashes: "a: 1, b: 2", Denoising strength: 0.4',
  ].join("\n");
  assert.deepEqual(parsedInfotext(text), {
    prompt: "a red fox,\nnight",
    negative: "blurry",
    fields: {
      Steps: "20",
      Sampler: "DPM++ 2M",
      "CFG scale": "7",
      Seed: "5",
      Size: "512x768",
      "Lora hashes": "a: 1, b: 2",
      "Denoising strength": "0.4",
    },
  });
  assert.deepEqual(parsedInfotext("only words"), { prompt: "only words", negative: "", fields: {} });
  assert.deepEqual(parsedInfotext(""), { prompt: "", negative: "", fields: {} });
});

test("settings that changed, came or went are named; what follows from others can be left out", () => {
  const changes = fieldChanges(
    { Seed: "5", Steps: "20", "Model hash": "a", "Clip skip": "2" },
    { Seed: "6", Steps: "20", "Model hash": "b", Eta: "0.5" },
  );
  assert.deepEqual(changes, [
    { key: "Seed", before: "5", after: "6" },
    { key: "Model hash", before: "a", after: "b" },
    { key: "Eta", before: "", after: "0.5" },
    { key: "Clip skip", before: "2", after: "" },
  ]);
  assert.deepEqual(
    ownChanges(changes).map(({ key }) => key),
    ["Seed", "Eta", "Clip skip"],
  );
});
