import assert from "node:assert/strict";
import { test } from "node:test";

import "./browser.js";

// The page polls for ever.
Object.defineProperty(globalThis, "setTimeout", { value: () => 0 });
const { changeJob } = await import("../../modules/page/assets/job_actions.js");
const { interrupt, poll, skip } = await import("../../modules/page/assets/jobs.js");
const { isOwn } = await import("../../modules/page/assets/own_jobs.js");

/** @type {[string, string][]} method and path of what the server was sent */
let sent = [];

/** @param {(path: string) => [number, object] | null} answer null is no answer at all */
function serverThat(answer) {
  sent = [];
  globalThis.fetch = async (address, init) => {
    const path = String(address).replace("http://127.0.0.1:7860/", "");
    sent.push([init?.method ?? "GET", path]);
    const [status, content] = answer(path) ?? [0, {}];
    if (!status) throw new TypeError("fetch failed");
    return new Response(JSON.stringify(content), { status });
  };
}

const said = () => document.body.textContent ?? "";

test("jobs are changed by the API's own calls, and those made here are this tab's", async () => {
  serverThat(() => [202, { id: "new", state: "waiting" }]);
  assert.deepEqual(await changeJob("a1/retry"), { id: "new", state: "waiting" });
  await changeJob("batch-7/cancel");
  assert.deepEqual(sent, [
    ["POST", "v1/jobs/a1/retry"],
    ["POST", "v1/jobs/batch-7/cancel"],
  ]);
  assert(isOwn("new"));
  assert(!isOwn("batch-7"));
});

test("a refusal is said in the server's words, and silence in ours", async () => {
  serverThat(() => [404, { detail: "There is no job a1." }]);
  assert.equal(await changeJob("a1/cancel"), null);
  assert(said().includes("There is no job a1."));
  serverThat(() => null);
  assert.equal(await changeJob("a1/cancel"), null);
  assert(said().includes("The server does not answer; try again."));
});

test("Interrupt and Skip leave the running job of somebody else alone, and say so", async () => {
  const running = { id: "theirs", mode: "txt2img", mine: false, visible: false, several: false, batch: null };
  const settings = { interrupt_after_current: false, refresh: 1000 };
  const state = { running, settings, waiting: [], recent: [], engine: {}, notices: [], warnings: [] };
  document.body.insertAdjacentHTML(
    "beforeend",
    '<div id="engine_status"><div class="engine"><span></span><small class="pace"></small></div></div>',
  );
  serverThat((path) => [200, path.startsWith("internal/page") ? state : {}]);
  await poll();
  for (const press of [interrupt, skip]) {
    document.querySelector(".toasts")?.remove();
    await press();
    assert(said().includes("The job that runs is somebody else's."), press.name);
  }
  assert.deepEqual(
    sent.filter(([method]) => method === "POST"),
    [],
  );
  running.visible = true;
  await poll();
  await interrupt();
  await skip();
  assert.deepEqual(
    sent.filter(([method]) => method === "POST").map(([, path]) => path),
    ["v1/jobs/theirs/interrupt?after_image=false", "v1/jobs/theirs/skip"],
  );
});

test("of a batch all is interrupted, whichever file runs and also between two of them", async () => {
  const batch = { id: "batch-1", done: 1, count: 4 };
  const running = { id: "file-2", mode: "img2img", mine: true, visible: true, several: true, batch };
  const waiting = [{ id: "batch-1", mine: true, visible: true, position: 1, prompt: "", files: 2 }];
  const settings = { interrupt_after_current: false, refresh: 1000 };
  const state = { running, settings, waiting, waiting_count: 1, recent: [], engine: {}, notices: [], warnings: [] };
  for (const now of [running, null]) {
    // The one under way, of the interrupt before, has the answer before.
    await poll();
    serverThat((path) => [200, path.startsWith("internal/page") ? { ...state, running: now } : {}]);
    await poll();
    sent.length = 0;
    await interrupt();
    assert.deepEqual(
      sent.filter(([method]) => method === "POST").map(([, path]) => path),
      ["v1/jobs/batch-1/interrupt?after_image=false"],
    );
  }
});
