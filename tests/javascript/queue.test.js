/** @import { QueueRow } from "../../modules/page/assets/types.js" */

import assert from "node:assert/strict";
import { test } from "node:test";

import "./browser.js";

const { aboutParts, progressLine, queueRow, title, whenParts } = await import("../../modules/page/assets/queue_row.js");
const { makeMovable, placeByKey } = await import("../../modules/page/assets/queue_drag.js");

/** @type {QueueRow} */
const JOB = {
  id: "a1",
  state: "waiting",
  mode: "txt2img",
  mine: true,
  visible: true,
  program: false,
  prompt: "a red apple",
  pictures: [],
  width: 512,
  height: 768,
  steps: 20,
  wanted: 1,
  made: 0,
  checkpoint: "sd15.safetensors [abcdef]",
  created: 1000,
  started: null,
  finished: null,
  position: 2,
  cause: null,
  notices: [],
  progress: null,
};

/** Calls in the order in which they came. */
function recorder() {
  /** @type {unknown[][]} */
  const calls = [];
  return {
    calls,
    /** @param {string} path */
    act: async (path) => calls.push(["act", path]),
    /**
     * @param {string} id
     * @param {number} position
     */
    move: async (id, position) => calls.push(["move", id, position]),
  };
}

/**
 * @param {Partial<QueueRow>} changes
 * @param {number} count
 */
const row = (changes, count = 3, doing = recorder()) => queueRow({ ...JOB, ...changes }, count, doing);

/** @param {HTMLElement} made */
const buttons = (made) => [...made.querySelectorAll(".actions button")].map((one) => one.textContent);

test("a row's title: the prompt, or why there is none", () => {
  assert.equal(title(JOB), "a red apple");
  assert.equal(title({ ...JOB, prompt: "" }), "(no prompt)");
  assert.equal(title({ ...JOB, prompt: "", mine: false, visible: false }), "(another browser's)");
  assert.equal(title({ ...JOB, prompt: "", mode: "extras" }), "Extras");
  assert.equal(title({ ...JOB, prompt: "", mode: "modelmerger" }), "Checkpoint Merger");
});

test("what a job is", () => {
  assert.deepEqual(aboutParts({ ...JOB, ended: false }), ["txt2img", "512×768", "20 steps"]);
  assert.deepEqual(aboutParts({ ...JOB, ended: true, wanted: 4, made: 3, program: true }), [
    "txt2img",
    "512×768",
    "20 steps",
    "3/4 pictures",
    "From a program",
  ]);
  assert.deepEqual(aboutParts({ ...JOB, mode: "extras", ended: false }), ["extras"]);
  // It makes no picture, whose number could be said.
  assert.deepEqual(aboutParts({ ...JOB, mode: "modelmerger", ended: true }), ["modelmerger"]);
});

test("when a job ended and how long it took", () => {
  const now = Date.now() / 1000;
  const [ended, took] = whenParts({ ...JOB, state: "finished", started: now - 75, finished: now });
  assert.match(ended, /^Finished .*\d/);
  assert.equal(took, "Took 1:15");
  assert.match(
    whenParts({ ...JOB, state: "cancelled", started: now - 75, finished: now }).join(),
    /^Cancelled [^T]*\d[^T]*$/,
  );
  // Today's times carry their date as well.
  const today = new Date(now * 1000).toLocaleDateString();
  assert(whenParts({ ...JOB, state: "failed", started: now, finished: now })[0].startsWith(`Failed ${today} `));
  assert(whenParts({ ...JOB, created: now })[0].startsWith(`Waits since ${today} `));
  assert(whenParts({ ...JOB, state: "running", started: now })[0].startsWith(`Began ${today} `));
});

test("all pictures of a job are in its row, each opens by itself", () => {
  const files = [0, 1, 2].map((number) => ({ number, kind: number ? "image" : "grid", width: 64, height: 64 }));
  const made = row({ state: "finished", finished: 1, made: 2, wanted: 2, pictures: files });
  /** @param {string} selector */
  const links = (selector) => [...made.querySelectorAll(selector)].map((one) => one.getAttribute("href") ?? "");
  const addresses = files.map(({ number }) => `v1/jobs/a1/images/${number}`);
  assert.deepEqual(
    links(".pictures a").map((one) => one.slice(one.indexOf("v1/"))),
    addresses,
  );
  const images = [...made.querySelectorAll(".pictures img")].map(
    (one) => one.getAttribute("src")?.split("internal/")[1],
  );
  assert.deepEqual(images, ["thumbnail/a1?number=0", "thumbnail/a1?number=1", "thumbnail/a1?number=2"]);
  assert.equal(made.querySelector(".pictures a:last-child")?.ariaLabel, "Open picture 3 of 3 of a red apple");
  assert.equal(made.querySelectorAll("a.picture").length, 1);
  const single = row({ state: "finished", finished: 1, made: 1, pictures: files.slice(1, 2) });
  assert.equal(single.querySelectorAll("a").length, 1);
  const hidden = row({ state: "finished", finished: 1, made: 3, visible: false, prompt: "", pictures: [] });
  assert.equal(hidden.querySelectorAll("a, img").length, 0);
});

test("each state has its buttons", () => {
  assert.deepEqual(buttons(row({ state: "running" })), ["Interrupt", "Skip", "Duplicate"]);
  assert.deepEqual(buttons(row({})), ["↑", "↓", "Duplicate", "✕"]);
  assert.deepEqual(buttons(row({ state: "failed", finished: 1 })), ["Retry", "Duplicate"]);
  assert.deepEqual(buttons(row({ state: "finished", finished: 1 })), ["Duplicate"]);
});

test("the first can't go up, the last can't go down", () => {
  /** @param {HTMLElement} made */
  const disabled = (made) => [...made.querySelectorAll("button:disabled")].map((one) => one.textContent);
  assert.deepEqual(disabled(row({ position: 1 })), ["↑"]);
  assert.deepEqual(disabled(row({ position: 3 })), ["↓"]);
  assert.deepEqual(disabled(row({ position: 1 }, 1)), ["↑", "↓"]);
});

test("a press acts once, however often it comes", async () => {
  const doing = recorder();
  const made = row({}, 3, doing);
  const up = made.querySelector("[data-act=up]");
  assert(up instanceof HTMLButtonElement);
  up.click();
  up.click();
  await Promise.resolve();
  assert.deepEqual(doing.calls, [["move", "a1", 1]]);
});

test("text of people stays text", () => {
  const made = row({ prompt: "<img src=x onerror=alert(1)>", notices: ["<b>bold</b>"] });
  assert.equal(made.querySelector("b")?.textContent, "<img src=x onerror=alert(1)>");
  assert.equal(made.querySelector(".notice")?.textContent, "<b>bold</b>");
  assert.equal(made.querySelectorAll("img").length, 0);
});

test("the running row's bar says how far it is", () => {
  const made = row({ state: "running" });
  progressLine(made, { ...JOB, progress: null });
  assert.equal(made.querySelector(".bar span")?.textContent, "Starting…");
  progressLine(made, { ...JOB, progress: { fraction: 0.5, step: 10, steps: 20, eta: 70, preview: 0 } });
  assert.equal(made.querySelector(".bar span")?.textContent, "50% · Step 10/20 · 1:10 left");
  assert.equal(made.querySelector(".bar")?.getAttribute("aria-valuenow"), "50");
});

test("keys on the handle move a row, and not beyond the ends", () => {
  assert.deepEqual(
    ["ArrowUp", "ArrowDown", "Home", "End", "a"].map((key) => placeByKey(key, 2, 5)),
    [1, 3, 1, 5, null],
  );
  const list = document.createElement("ol");
  const rows = [1, 2, 3].map((position) => row({ position }));
  list.append(...rows);
  /** @type {number[]} */
  const places = [];
  rows.forEach((one) => {
    makeMovable(one, 3, (place) => places.push(place));
  });
  for (const [one, key] of /** @type {[HTMLElement, string][]} */ ([
    [rows[1], "ArrowDown"],
    [rows[2], "ArrowDown"],
    [rows[0], "End"],
    [rows[0], "ArrowUp"],
  ])) {
    one.querySelector(".handle")?.dispatchEvent(new KeyboardEvent("keydown", { key }));
  }
  assert.deepEqual(places, [3, 3]);
});
