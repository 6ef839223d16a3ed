// @ts-check
// The Queue tab: what runs, what waits, what has ended, from /v1/jobs; requested only while it can be seen.

/** @import { Queue, QueueRow } from "./types.js" */

import { client, jobsUrl } from "./client.js";
import { all, find, need } from "./dom.js";
import { changeJob } from "./job_actions.js";
import { dragging, makeMovable } from "./queue_drag.js";
import { progressLine, queueRow } from "./queue_row.js";

const PAUSE = 1000;
const PAGE = 20;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
let shown = PAGE; // ended jobs that are listed
let visible = false;

const panel = () => document.getElementById("queue_panel");
/**
 * @param {string} path
 * @param {object} [body]
 */
async function act(path, body) {
  const job = await changeJob(path, body);
  await poll();
  return job !== null;
}

/**
 * @param {string} id
 * @param {number} position
 */
async function move(id, position) {
  const done = await act(`${id}/move`, { position });
  const frame = panel();
  if (!done || !frame) return;
  const count = all(frame, ".waiting li").length;
  need(frame, ".spoken", HTMLElement).textContent = `Moved to place ${position} of ${count}.`;
}

export async function poll() {
  clearTimeout(timer);
  if (!visible || !panel()) return;
  /** @type {Queue[]} */
  const pages = [];
  try {
    // A page is at most 100 lines; older ones that were requested are read behind it.
    for (let offset = 0; offset < shown; offset += 100) {
      const limit = Math.min(100, shown - offset);
      const query = new URLSearchParams({ client, limit: String(limit), offset: String(offset) });
      const answer = await fetch(jobsUrl(`overview?${query}`), {
        cache: "no-store",
        signal: AbortSignal.timeout(10000),
      });
      if (!answer.ok) throw new Error(`${answer.status}`);
      pages.push(await answer.json());
    }
    const queue = { ...pages[0], ended: pages.flatMap((page) => page.ended), more: pages.at(-1)?.more ?? false };
    const frame = panel();
    if (frame && !dragging()) draw(frame, queue);
  } catch {
    // The line above the tabs says that the connection is lost.
  }
  clearTimeout(timer);
  timer = setTimeout(poll, PAUSE);
}

/**
 * @param {HTMLElement} frame
 * @param {Queue} queue
 */
function draw(frame, queue) {
  const focusAgain = focusedButton(frame);
  /** @param {string} selector */
  const part = (selector) => need(frame, selector, HTMLElement);
  fill(part(".running"), queue.running ? [queue.running] : [], "Nothing runs.");
  fill(part(".waiting"), queue.waiting, "No job waits.");
  fill(part(".ended"), queue.ended, "No job has ended yet.");
  part(".count").textContent = queue.waiting_count ? `(${queue.waiting_count})` : "";
  part(".more").hidden = !queue.more;
  if (queue.running) progressLine(part(".running li"), queue.running);
  focusAgain();
}

/**
 * A row is made anew only when what it says has changed, so that nothing blinks and a pressed button stays.
 * @param {HTMLElement} list
 * @param {QueueRow[]} jobs
 * @param {string} nothing
 */
function fill(list, jobs, nothing) {
  const present = new Map(all(list, "li[data-id]").map((row) => [row.dataset.id, row]));
  const rows = jobs.map((job) => {
    const key = JSON.stringify({ ...job, progress: null, last: job.position === jobs.length });
    const old = present.get(job.id);
    return old?.dataset.key === key ? old : made(job, key, jobs.length);
  });
  if (!rows.length)
    rows.push(Object.assign(document.createElement("li"), { className: "nothing", textContent: nothing }));
  const same = list.children.length === rows.length && rows.every((row, place) => row === list.children[place]);
  if (!same && !(rows[0].className === "nothing" && list.querySelector(".nothing"))) list.replaceChildren(...rows);
}

/**
 * @param {QueueRow} job
 * @param {string} key
 * @param {number} count
 */
function made(job, key, count) {
  const row = queueRow(job, count, { act, move });
  row.dataset.id = job.id;
  row.dataset.key = key;
  if (job.state === "waiting") makeMovable(row, count, (place) => move(job.id, place));
  return row;
}

/**
 * A function that puts the focus back: who moves a job by its buttons stays on the button, though its row is new.
 * @param {HTMLElement} frame
 */
function focusedButton(frame) {
  const held = document.activeElement;
  const place = held instanceof HTMLElement ? held.closest("#queue_panel li[data-id]") : null;
  const id = place instanceof HTMLElement && place.dataset.id;
  const what = held instanceof HTMLElement && held.dataset.act;
  return () => {
    const row = id && what && find(frame, `li[data-id="${CSS.escape(id)}"]`, HTMLElement);
    if (!row) return;
    const same = find(row, `[data-act="${what}"]:not(:disabled)`, HTMLElement);
    const again = same ?? find(row, "button:not(:disabled)", HTMLElement);
    if (document.activeElement !== again) again?.focus({ preventScroll: true });
  };
}

// The tab's content stands in the page only once it has been opened.
export function watchQueue() {
  const seen = new IntersectionObserver((entries) => {
    visible = entries.at(-1)?.isIntersecting ?? false;
    poll();
  });
  new MutationObserver(() => {
    const frame = panel();
    if (!frame || frame.dataset.watched) return;
    frame.dataset.watched = "yes";
    need(frame, ".more", HTMLElement).onclick = () => {
      shown += PAGE;
      poll();
    };
    seen.observe(frame);
  }).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("visibilitychange", () => document.hidden || poll());
}
