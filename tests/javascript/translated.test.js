import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import "./browser.js";

const ASSETS = new URL("../../modules/page/assets/", import.meta.url);
const GERMAN = JSON.parse(readFileSync(new URL("../../localizations/de_DE.json", import.meta.url), "utf8"));

window.localization = { name: "de_DE", texts: GERMAN };

const { confirmed, translatePage } = await import("../../modules/page/assets/localization.js");
const { drawQueue } = await import("../../modules/page/assets/progress.js");
const { queueRow } = await import("../../modules/page/assets/queue_row.js");

/** @type {import("../../modules/page/assets/types.js").QueueRow} */
const JOB = {
  id: "a1",
  state: "finished",
  mode: "txt2img",
  mine: true,
  visible: true,
  program: true,
  // Words that the page has as well, and a checkpoint that is called like a setting.
  prompt: "Seed",
  pictures: [],
  width: 512,
  height: 768,
  steps: 20,
  wanted: 4,
  made: 3,
  checkpoint: "Sampling steps.safetensors",
  created: 1,
  started: 1,
  finished: 76,
  position: null,
  cause: null,
  notices: [],
  progress: null,
};

test("a question is put in the page's language, with what is filled in", () => {
  /** @type {string[]} */
  const questions = [];
  Object.assign(globalThis, { confirm: (/** @type {string} */ text) => questions.push(text) > 0 });
  assert(confirmed("Delete the style Photo?"));
  confirmed("Set 3 changed settings back to their defaults?");
  confirmed("What nobody has translated?");
  assert.deepEqual(questions, [
    "Den Stil Photo löschen?",
    "3 geänderte Einstellungen auf ihre Voreinstellungen zurücksetzen?",
    "What nobody has translated?",
  ]);
});

test("no script asks past the translation", () => {
  for (const name of readdirSync(ASSETS).filter((one) => one.endsWith(".js") && one !== "localization.js")) {
    assert.doesNotMatch(readFileSync(new URL(name, ASSETS), "utf8"), /(?<![\w.])(confirm|alert|prompt)\(/, name);
  }
});

test("every part of a job's lines is translated, its prompt and its checkpoint are not", () => {
  const nothing = { act: async () => null, move: async () => null };
  document.body.innerHTML = `<div id="txt2img_live"><ol class="queue"></ol></div>`;
  const waiting = [{ id: "b", mine: true, visible: true, position: 1, prompt: "Width", files: 3 }];
  /** @type {any} */
  const state = { waiting, waiting_count: 2 };
  drawQueue("txt2img", state, () => null);
  document.body.append(queueRow(JOB, 1, nothing));
  translatePage();
  assert.equal(
    document.querySelector(".queue li > span")?.textContent,
    "In der Warteschlange: 1/2 · 3 Dateien eines Stapels · Width",
  );
  assert.equal(document.querySelector("b")?.textContent, "Seed");
  const line = document.querySelector("small")?.textContent ?? "";
  assert.match(
    line,
    /^Fertig .* · Dauerte 1:15 · txt2img · 512×768 · 20 Schritte · 3\/4 Bilder · Von einem Programm · Sampling steps$/,
  );
});
