import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import "./browser.js";

const { UnitsForm } = await import("../../modules/page/assets/units.js");
const { idsOf } = await import("../../modules/page/assets/unit_pictures.js");

/** @type {import("../../modules/page/assets/types.js").UnitSchema} */
const SCHEMA = {
  count: 2,
  arguments: [
    {
      name: "more_images",
      label: "Further images",
      look: "pictures",
      default: [],
      minimum: null,
      maximum: null,
      step: null,
      lines: 1,
      choices: [],
    },
  ],
};

beforeEach(() => {
  document.body.innerHTML =
    '<div id="hidden"><textarea></textarea></div><div class="units" data-units="made" data-mode="txt2img" data-text="hidden" aria-label="Made"></div>';
});

const sources = () => [...document.querySelectorAll(".unit-thumbnails img")].map((one) => one.getAttribute("src"));

test("a list of pictures is shown, shortened and written", () => {
  const field = /** @type {HTMLTextAreaElement} */ (document.querySelector("textarea"));
  field.value = '[{"more_images":["aa","bb"]}]';
  const form = new UnitsForm(/** @type {HTMLElement} */ (document.querySelector(".units")), SCHEMA);
  form.draw(field.value);
  assert.equal(sources().length, 2);
  assert.ok(sources()[1]?.endsWith("pictures/bb"));
  const [remove] = document.querySelectorAll(".unit-thumbnails button");
  /** @type {HTMLElement} */ (remove).click();
  assert.deepEqual(JSON.parse(field.value), [{ more_images: ["bb"] }]);
  assert.equal(sources().length, 1);
  // A text without pictures, as a picture's parameters are, leaves those that are there.
  form.receive('[{"more_images":[]}]');
  assert.deepEqual(form.units[0].more_images, ["bb"]);
});

test("what is no list of pictures is none", () => {
  assert.deepEqual([idsOf(null), idsOf("aa"), idsOf(["", "aa"])], [[], [], ["aa"]]);
});
