import assert from "node:assert/strict";
import { test } from "node:test";

import "./browser.js";

const { FREEU_PRESETS, watchGuidance } = await import("../../modules/page/assets/guidance.js");
const { UnitsForm } = await import("../../modules/page/assets/units.js");

const number = (/** @type {string} */ name) => ({
  ...{ name, label: name, look: /** @type {"slider"} */ ("slider"), default: 1, minimum: 0, maximum: 2, step: 0.01 },
  ...{ lines: 1, choices: [] },
});

test("a preset of FreeU sets its four scales and switches it on", () => {
  watchGuidance();
  document.body.innerHTML =
    '<div id="hidden"><textarea></textarea></div><div class="units" data-units="guidance" data-mode="txt2img" data-text="hidden"></div>';
  const place = /** @type {HTMLElement} */ (document.querySelector(".units"));
  const box = { ...number("enabled"), look: /** @type {"checkbox"} */ ("checkbox"), default: false };
  const own = [box, ...["b1", "b2", "s1", "s2"].map(number)];
  const forms = ["Mahiro CFG", "FreeU"].map((title) => ({ title, arguments: own }));
  new UnitsForm(place, { count: 2, arguments: [], forms });
  const buttons = [...place.querySelectorAll(".unit-presets button")];
  assert.deepEqual(
    buttons.map((one) => one.textContent),
    Object.keys(FREEU_PRESETS),
  );
  buttons[1].dispatchEvent(new MouseEvent("click", { bubbles: true }));
  const field = /** @type {HTMLTextAreaElement} */ (document.querySelector("textarea"));
  assert.deepEqual(JSON.parse(field.value), [{ title: "FreeU", enabled: true, ...FREEU_PRESETS.SDXL }]);
});
