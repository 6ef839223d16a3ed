/** @import { RunningJob, WaitingJob } from "../../modules/page/assets/types.js" */

import assert from "node:assert/strict";
import { test } from "node:test";

import { barParts, eta, titleText } from "../../modules/page/assets/progress_text.js";

/** @type {RunningJob} */
const JOB = {
  id: "a",
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
  elapsed: 0,
  first: 1,
  last: 1,
  pictures: 1,
  stopping: "",
  batch: null,
};
/** @type {WaitingJob} */
const WAITING = { id: "b", mine: true, visible: true, position: 2, prompt: "", files: 0 };

/**
 * @param {Partial<RunningJob> | null} running
 * @param {Partial<WaitingJob>[]} waiting
 */
const title = (running, waiting = []) =>
  titleText({
    running: running && { ...JOB, ...running },
    waiting: waiting.map((one) => ({ ...WAITING, ...one })),
    waiting_count: waiting.length,
  });

test("time left, in seconds below a minute", () => {
  assert.equal(eta(null), "");
  assert.equal(eta(-1), "0s");
  assert.equal(eta(59.4), "59s");
  assert.equal(eta(59.6), "1:00");
  assert.equal(eta(605), "10:05");
});

test("what the page's owner waits for, in the title", () => {
  assert.equal(title(null), "");
  assert.equal(title({ mine: false, fraction: 0.5 }), "");
  assert.equal(title({}), "Starting…");
  assert.equal(title({ fraction: 0.259, step: 5 }), "25%");
  assert.equal(title({ fraction: 0.259, step: 5, eta: 12.2 }), "25% ETA: 12s");
  assert.equal(title({ fraction: 0.5, batch: { id: "batch-1", done: 1, count: 4 } }), "File 2/4: 50%");
  assert.equal(title({ fraction: 0.5, stopping: "now" }), "Interrupting…");
  assert.equal(title({ mine: false }, [{ mine: false, position: 1 }, {}]), "In queue: 2/2");
});

/** @type {[string, Partial<RunningJob>, string[]][]} */
const BARS = [
  ["at once", {}, ["Starting…"]],
  ["a slow start", { elapsed: 12.3 }, ["Starting…", "12 s so far"]],
  ["one picture", { fraction: 0.35, step: 7, eta: 12 }, ["35%", "Step 7/20", "12 s left"]],
  ["no pace yet", { fraction: 0.05, step: 1, elapsed: 61 }, ["5%", "Step 1/20", "1:01 so far"]],
  [
    "the second of four",
    { fraction: 0.25, step: 20, eta: 72, first: 2, last: 2, pictures: 4 },
    ["25%", "Picture 2 of 4", "Step 20/20", "1:12 left"],
  ],
  [
    "two at once",
    { fraction: 0.25, step: 7, eta: 9, first: 3, last: 4, pictures: 4 },
    ["25%", "Pictures 3–4 of 4", "Step 7/20", "9 s left"],
  ],
  [
    "a file of a batch",
    { fraction: 0.5, step: 7, eta: 9, batch: { id: "batch-1", done: 1, count: 4 } },
    ["50%", "File 2 of 4", "Step 7/20", "9 s left"],
  ],
  [
    "Extras",
    { mode: "extras", fraction: 0.5, step: 3, steps: 9, first: 3, last: 3, pictures: 9, elapsed: 4 },
    ["50%", "Picture 3 of 9", "4 s so far"],
  ],
  ["interrupted", { fraction: 0.5, step: 7, eta: 9, elapsed: 30, stopping: "now" }, ["Interrupting…", "30 s so far"]],
  [
    "interrupted gently",
    { fraction: 0.5, step: 7, eta: 9, first: 2, last: 2, pictures: 4, stopping: "after_image" },
    ["Stopping after this picture", "Picture 2 of 4", "Step 7/20", "9 s left"],
  ],
];

for (const [name, job, parts] of BARS) {
  test(`the bar: ${name}`, () => assert.deepEqual(barParts({ ...JOB, ...job }), parts));
}
