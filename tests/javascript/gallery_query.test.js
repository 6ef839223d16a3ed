import assert from "node:assert/strict";
import { test } from "node:test";

const { completed, hasField, hasTerm, phrase, promptPieces, term, terms, toggledTerm } = await import(
  "../../modules/page/assets/gallery_query.js"
);
const { Selection } = await import("../../modules/page/assets/gallery_selection.js");

test("a search is parted into words, phrases and fields", () => {
  const found = terms('fox "at night"  -blurry folder:"my pictures/a b" 狐狸 open:"end');
  assert.deepEqual(
    found.map(({ text }) => text),
    ["fox", '"at night"', "-blurry", 'folder:"my pictures/a b"', "狐狸", 'open:"end'],
  );
  assert.deepEqual(terms("  "), []);
});

test("values and phrases are quoted where they need it", () => {
  assert.equal(term("model", "dream-8"), "model:dream-8");
  assert.equal(term("folder", "a b"), 'folder:"a b"');
  assert.equal(term("board", 'x"y'), 'board:"x\\"y"');
  assert.equal(phrase("fox"), "fox");
  assert.equal(phrase("red fox"), '"red fox"');
  assert.equal(phrase("-fox"), '"-fox"');
});

test("a term is put into the search and taken out of it", () => {
  assert.equal(toggledTerm("fox", "is:favourite"), "fox is:favourite");
  assert.equal(toggledTerm("fox is:favourite", "IS:favourite"), "fox");
  assert.equal(toggledTerm('folder:"a b" fox', "folder:c", { alone: true }), "fox folder:c");
  assert.equal(toggledTerm("tag:a", "tag:b"), "tag:a tag:b");
  assert.ok(hasTerm('fox folder:"a b"', 'folder:"A b"') && !hasTerm("foxes", "fox"));
});

test("a completion takes the place of what was typed", () => {
  assert.deepEqual(completed("fo mod", { text: "model:", start: 3, end: 6 }), { query: "fo model:", at: 9 });
  const dream = { text: "model:dream", start: 0, end: 3 };
  assert.deepEqual(completed("mod night", dream), { query: "model:dream night", at: 12 });
  assert.deepEqual(completed("fox ", { text: "seed:", start: 4, end: 4 }), { query: "fox seed:", at: 9 });
  const folder = { text: 'folder:"my pictures"', start: 0, end: 13 };
  assert.deepEqual(completed('folder:"my pi', folder), { query: 'folder:"my pictures" ', at: 21 });
});

test("a prompt's words are searches, its weights and networks are not among them", () => {
  const pieces = promptPieces("a (red fox:1.2), <lora:my pen:0.8> \\(night\\) BREAK 星 ✨\n<hypernet:x:1>");
  assert.equal(
    pieces.map(({ text }) => text).join(""),
    "a (red fox:1.2), <lora:my pen:0.8> \\(night\\) BREAK 星 ✨\n<hypernet:x:1>",
  );
  const searches = pieces.flatMap(({ search }) => search ?? []);
  assert.deepEqual(searches.slice(0, 3), ["a", '"red fox"', 'lora:"my pen"']);
  assert.ok(searches.includes('"星 ✨"'));
  assert.deepEqual(
    promptPieces("((( ,, "),
    promptPieces("((( ,, ").map(({ text }) => ({ text, search: null })),
  );
});

test("a selection grows and shrinks, and says so", () => {
  const selection = new Selection();
  let changes = 0;
  selection.addEventListener("change", () => (changes += 1));
  selection.toggle("a", 3);
  selection.add(["b", "c"]);
  selection.toggle("a", 3);
  assert.deepEqual([[...selection.ids], selection.anchor, changes], [["b", "c"], 3, 3]);
  assert.deepEqual(selection.meant("x"), ["b", "c"]);
  selection.remove(["b"]);
  selection.clear();
  selection.clear();
  assert.deepEqual([selection.meant("x"), selection.meant(undefined), changes], [["x"], [], 5]);
});

test("whether a field is in a search does not hang on its value or its case", () => {
  assert.equal(hasField('fox Like:"a red car"', "like"), true);
  assert.equal(hasField('fox "like:this" -like:x unlike:y', "like"), false);
});
