import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import "./browser.js";

const { textOf, unitsOf, UnitsForm } = await import("../../modules/page/assets/units.js");

/** @type {import("../../modules/page/assets/types.js").UnitSchema} */
const SCHEMA = {
  count: 3,
  arguments: [
    ["enabled", "checkbox", false],
    ["module", "dropdown", "none"],
    ["weight", "slider", 1],
    ["prompt", "textbox", ""],
  ].map(([name, look, value]) => ({
    name: String(name),
    label: String(name),
    look: /** @type {"slider"} */ (look),
    default: value,
    minimum: 0,
    maximum: 2,
    step: 0.05,
    lines: 1,
    choices: look === "dropdown" ? ["none", "canny"] : [],
  })),
};

function form(text = "[]") {
  document.body.innerHTML =
    '<div id="hidden"><textarea></textarea></div><div class="units" data-units="made" data-mode="txt2img" data-text="hidden" aria-label="Made"></div>';
  const field = /** @type {HTMLTextAreaElement} */ (document.querySelector("textarea"));
  field.value = text;
  const place = /** @type {HTMLElement} */ (document.querySelector(".units"));
  return { made: new UnitsForm(place, SCHEMA), field };
}

beforeEach(() => {
  document.body.innerHTML = "";
});

test("missing units, and what is missing in one, have their defaults", () => {
  const units = unitsOf('[{"weight": 0.5}]', SCHEMA);
  assert.equal(units.length, 3);
  assert.deepEqual(units[0], { enabled: false, module: "none", weight: 0.5, prompt: "" });
  assert.deepEqual(unitsOf("no json", SCHEMA)[2], unitsOf("[]", SCHEMA)[2]);
  assert.equal(unitsOf(JSON.stringify([{}, {}, {}, {}]), SCHEMA).length, 4);
});

test("units at the end that nobody touched are not written", () => {
  const units = unitsOf('[{}, {"enabled": true}]', SCHEMA);
  assert.equal(JSON.parse(textOf(units, SCHEMA)).length, 2);
  assert.equal(textOf(unitsOf("[]", SCHEMA), SCHEMA), "[]");
});

test("a form shows a text's values, and its changes become the text", () => {
  const { made, field } = form('[{}, {"enabled": true, "module": "canny", "weight": 0.5, "prompt": "a"}]');
  const tabs = [...document.querySelectorAll("[role=tab]")];
  assert.equal(tabs.length, 3);
  assert.deepEqual(
    tabs.map((tab) => tab.classList.contains("active")),
    [false, true, false],
  );
  assert.equal(made.input(1, "module")?.value, "canny");
  const weight = /** @type {HTMLInputElement} */ (made.input(0, "weight"));
  weight.value = "1.5";
  weight.dispatchEvent(new Event("change"));
  assert.equal(JSON.parse(field.value)[0].weight, 1.5);
  assert.equal(JSON.parse(field.value)[1].prompt, "a");
});

test("a text from elsewhere is shown, and the form's own is not read again", () => {
  const { made } = form();
  made.receive('[{"enabled": true}]');
  const box = /** @type {HTMLInputElement} */ (made.input(0, "enabled"));
  assert.equal(box.checked, true);
  made.change(0, "weight", 2);
  const before = made.units;
  made.receive(made.written ?? "");
  assert.equal(made.units, before);
});

test("a value that a list has no more stays visible", () => {
  const { made } = form('[{"module": "gone"}]');
  assert.equal(made.input(0, "module")?.value, "gone");
});

test("one panel is shown at a time", () => {
  const { made } = form();
  made.choose(1);
  const panels = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[role=tabpanel]")]);
  assert.deepEqual(
    panels.map((panel) => panel.hidden),
    [true, false, true],
  );
});

test("features of a group are units with titles and fields of their own", () => {
  const [enabled, , weight] = SCHEMA.arguments;
  const group = {
    count: 2,
    arguments: [],
    forms: [
      { title: "One", arguments: [enabled, weight] },
      { title: "Two", arguments: [enabled] },
    ],
  };
  const units = unitsOf('[{"title": "Two", "enabled": true}, {"title": "Gone", "enabled": true}]', group);
  assert.deepEqual(units, [
    { title: "One", enabled: false, weight: 1 },
    { title: "Two", enabled: true },
  ]);
  assert.equal(textOf(units, group), '[{"title":"Two","enabled":true}]');
  document.body.innerHTML =
    '<div id="hidden"><textarea>[]</textarea></div><div class="units" data-units="made" data-mode="txt2img" data-text="hidden" aria-label="Made"></div>';
  const made = new UnitsForm(/** @type {HTMLElement} */ (document.querySelector(".units")), group);
  assert.deepEqual(
    [...document.querySelectorAll("[role=tab]")].map((tab) => tab.textContent),
    ["One", "Two"],
  );
  made.change(0, "weight", 0.5);
  const field = /** @type {HTMLTextAreaElement} */ (document.querySelector("textarea"));
  assert.equal(field.value, '[{"title":"One","enabled":false,"weight":0.5}]');
});

test("a form knows whether anybody has said something", () => {
  assert.equal(form().made.isFresh, true);
  assert.equal(form('[{"weight": 0.5}]').made.isFresh, false);
});

test("ADetailer's first tab begins with the first detector, and only where nothing was said", async () => {
  const { beginWithDetector } = await import("../../modules/page/assets/detail.js");
  const field = { ...SCHEMA.arguments[1], name: "ad_model", default: "None", choices: ["None", "face", "hand"] };
  const { made } = form();
  made.schema = { count: 2, arguments: [field] };
  made.draw("[]");
  for (const unit of [0, 1]) beginWithDetector(made, unit);
  assert.deepEqual(
    made.units.map((one) => one.ad_model),
    ["face", "None"],
  );
  made.draw('[{"ad_model": "None"}, {"ad_model": "hand"}]');
  beginWithDetector(made, 0);
  assert.equal(made.units[0].ad_model, "None");
});
