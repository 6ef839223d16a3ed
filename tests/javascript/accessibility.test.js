import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import "./browser.js";

const { completeMarkup, completePage, movedTo } = await import("../../modules/page/assets/accessibility.js");
const { speakProgress, spokenParts } = await import("../../modules/page/assets/spoken.js");
const { need } = await import("../../modules/page/assets/dom.js");

const TABS = `<div role="tablist"><button role="tab" id="a" aria-selected="true"></button
  ><button role="tab" id="b" aria-selected="false"></button><button role="tab" id="c" aria-selected="false"></button></div>`;
/** @type {import("../../modules/page/assets/types.js").RunningJob} */
const JOB = {
  id: "1",
  mode: "txt2img",
  mine: true,
  visible: true,
  fraction: 0,
  step: 0,
  steps: 20,
  eta: null,
  preview: 0,
  images: 0,
  several: false,
  elapsed: 1,
  first: 1,
  last: 1,
  pictures: 1,
  stopping: "",
  batch: null,
};

beforeEach(() => {
  document.body.innerHTML = "";
});

test("keys move between tabs in a circle, and others do not", () => {
  assert.deepEqual(
    ["ArrowRight", "ArrowLeft", "Home", "End", "ArrowDown", "x"].map((key) => movedTo(key, 2, 3)),
    [0, 1, 0, 2, null, null],
  );
  assert.equal(movedTo("ArrowLeft", 0, 3), 2);
});

test("an arrow key opens the next tab and takes the focus there", () => {
  document.body.innerHTML = TABS;
  /** @type {string[]} */
  const opened = [];
  document.body.addEventListener("click", ({ target }) => target instanceof Element && opened.push(target.id));
  completePage();
  need(document, "#a", HTMLElement).focus();
  document.activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
  assert.deepEqual([opened, document.activeElement?.id], [["b"], "b"]);
  document.activeElement?.dispatchEvent(
    new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true, altKey: true }),
  );
  assert.equal(document.activeElement?.id, "b");
});

test("Tab stops at the open tab alone, and never at a list of choices", () => {
  document.body.innerHTML = `${TABS}<ul class="option-list"></ul><div class="empty" aria-label="Empty value"></div
    ><button class="upload-container" aria-label="Click">Drop a file here</button>`;
  completeMarkup(document);
  assert.deepEqual(
    ["#a", "#b", "#c", "ul"].map((one) => need(document, one, HTMLElement).tabIndex),
    [0, -1, -1, -1],
  );
  assert.equal(document.querySelector(".empty")?.getAttribute("role"), "img");
  assert.equal(document.querySelector(".upload-container")?.getAttribute("aria-label"), null);
});

test("of a job its start, its tenths and an interrupt are said, not its steps", () => {
  const said = Array.from({ length: 201 }, (_, step) => spokenParts({ ...JOB, step, fraction: step / 200 })[0]);
  assert.deepEqual([...new Set(said)], ["Starting…", ...Array.from({ length: 11 }, (_, tenth) => `${tenth * 10}%`)]);
  assert.deepEqual(spokenParts({ ...JOB, fraction: 0.3, step: 6, first: 2, last: 2, pictures: 4 }), [
    "30%",
    "Picture 2 of 4",
  ]);
  assert.deepEqual(spokenParts({ ...JOB, stopping: "now" }), ["Interrupting…"]);
  assert.deepEqual(spokenParts(null), []);
});

test("what is said is written once, so that it is read once", () => {
  speakProgress({ ...JOB, step: 3, fraction: 0.15 });
  const line = need(document, ".spoken[role=status]", HTMLElement);
  const before = line.firstChild;
  speakProgress({ ...JOB, step: 3, fraction: 0.19 });
  assert.equal(line.firstChild, before);
  speakProgress({ ...JOB, step: 4, fraction: 0.2 });
  assert.equal(line.textContent, "20%");
});
