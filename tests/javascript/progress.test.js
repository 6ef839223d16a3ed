/** @import { RunningJob, WaitingJob } from "../../modules/page/assets/types.js" */

import assert from "node:assert/strict";
import { test } from "node:test";

import { barText, eta, jobText } from "../../modules/page/assets/progress_text.js";

/** @type {RunningJob} */
const JOB = {
  id: "a",
  mode: "txt2img",
  mine: true,
  fraction: 0,
  step: 0,
  steps: 20,
  eta: null,
  preview: 0,
  images: 0,
  several: false,
  batch: null,
};
/** @type {WaitingJob} */
const WAITING = { id: "b", mine: true, position: 2, prompt: "", files: 0 };

/**
 * @param {Partial<RunningJob> | null} running
 * @param {Partial<WaitingJob>[]} waiting
 */
const text = (running, waiting = []) =>
  jobText({
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

test("what the page's owner waits for", () => {
  assert.equal(text(null), "");
  assert.equal(text({ mine: false, fraction: 0.5 }), "");
  assert.equal(text({}), "Starting…");
  assert.equal(text({ fraction: 0.259, step: 5 }), "25%");
  assert.equal(text({ fraction: 0.259, step: 5, eta: 12.2 }), "25% ETA: 12s");
  assert.equal(text({ fraction: 0.5, batch: { done: 1, count: 4 } }), "File 2/4: 50%");
  assert.equal(text({ mine: false }, [{ mine: false, position: 1 }, {}]), "In queue: 2/2");
});

test("the bar names the step once there is something to see", () => {
  assert.equal(barText("Starting…", JOB), "Starting…");
  assert.equal(barText("25%", { ...JOB, fraction: 0.25, step: 5 }), "25%  ·  step 5/20");
  assert.equal(barText("In queue: 1/1", null), "In queue: 1/1");
});
