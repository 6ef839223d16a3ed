import assert from "node:assert/strict";
import { test } from "node:test";

import "./browser.js";

import { hiresLine, hiresSize } from "../../modules/page/assets/hires.js";
import { englishOf, translator } from "../../modules/page/assets/translation.js";

const { listed } = await import("../../modules/page/assets/settings.js");
const { slug } = await import("../../modules/page/assets/scripts.js");
const { withoutDividers } = await import("../../modules/page/assets/styles.js");

test("a text is translated whole, by its pattern, or not at all", () => {
  const translated = translator({
    Seed: "Saat",
    "Saved {} in {}.": "In {2} wurde {1} gespeichert.",
    "Saved {}": "Gespeichert: {}",
    "{} pictures": "{} Bilder",
    two: "zwei",
  });
  assert.equal(translated("Seed"), "Saat");
  assert.equal(translated("Saved a.png in /out."), "In /out wurde a.png gespeichert.");
  assert.equal(translated("Saved a"), "Gespeichert: a");
  assert.equal(translated("two pictures"), "zwei Bilder");
  assert.equal(translated("Steps"), undefined);
  assert.equal(translated("constructor"), undefined);
});

test("in a pattern's text, signs of regular expressions are signs", () => {
  const translated = translator({ "({}) a.b?": "<{}>" });
  assert.equal(translated("(x) a.b?"), "<x>");
  assert.equal(translated("(x) aXb"), undefined);
});

test("what is shown translated is known by its English text", () => {
  assert.equal(englishOf({ None: "Keine" }, "Keine"), "None");
  assert.equal(englishOf({ None: "Keine" }, "X/Y/Z plot"), "X/Y/Z plot");
});

test("Hires. fix: one side follows from the other", () => {
  assert.deepEqual(hiresSize(512, 768, 2, 0, 0), [1024, 1536]);
  assert.deepEqual(hiresSize(512, 768, 2, 1024, 0), [1024, 1536]);
  assert.deepEqual(hiresSize(512, 768, 2, 0, 768), [512, 768]);
  assert.deepEqual(hiresSize(512, 768, 2, 640, 640), [640, 640]);
  assert.equal(hiresLine([512, 512, 1.3, 0, 0]), "from <b>512×512</b> to <b>664×664</b>");
  assert.equal(hiresLine([512, "a", 1.3, 0, 0]), "");
});

test("a list typed with commas has no empty entries", () => {
  assert.deepEqual(listed(" a, ,b c ,, d"), ["a", "b c", "d"]);
});

test("a script's title becomes the id of its controls", () => {
  assert.equal(slug("X/Y/Z plot"), "x_y_z_plot");
  assert.equal(slug("  Prompts from file… "), "prompts_from_file");
});

test("lines that name styles' files are no styles", () => {
  assert.deepEqual(withoutDividers(["a", "------ styles.csv ------", "-- b --"]), [["a", "-- b --"]]);
  assert.deepEqual(withoutDividers(null), [[]]);
});
