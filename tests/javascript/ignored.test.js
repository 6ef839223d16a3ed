import "./browser.js";

import assert from "node:assert/strict";
import { test } from "node:test";

import { drawIgnored } from "../../modules/page/assets/ignored.js";

const notes = () => [...document.querySelectorAll(".ignored-note")].map((note) => note.textContent);

test("settings that do nothing with a checkpoint say why, wherever they stand, until another one is chosen", () => {
  document.body.innerHTML = `
    <div id="setting_CLIP_stop_at_last_layers"></div>
    <div class="setting"><input id="option_CLIP_stop_at_last_layers"></div>
    <div class="setting"><input id="option_sdxl_crop_top"></div>`;
  drawIgnored({ CLIP_stop_at_last_layers: "One layer.", not_on_this_page: "Never seen." });
  assert.deepEqual(notes(), ["One layer.", "One layer."]);
  assert.ok(document.querySelector("#setting_CLIP_stop_at_last_layers > .ignored-note"));
  assert.ok(document.querySelector(".setting.ignored #option_CLIP_stop_at_last_layers"));
  const [first] = document.querySelectorAll(".ignored-note");
  drawIgnored({ CLIP_stop_at_last_layers: "One layer.", not_on_this_page: "Never seen." });
  assert.equal(document.querySelector(".ignored-note"), first, "nothing is drawn anew for the same");
  drawIgnored({ CLIP_stop_at_last_layers: "Only with.", sdxl_crop_top: "No crop." });
  assert.deepEqual(notes(), ["Only with.", "Only with.", "No crop."]);
  drawIgnored({});
  assert.deepEqual([notes(), document.querySelectorAll(".ignored").length], [[], 0]);
});
