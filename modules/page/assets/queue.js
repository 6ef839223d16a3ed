// The Queue tab: what runs, what waits, what has ended, from /v1/jobs; asked for only while it can be seen.

import { client } from "./client.js";
import { dragging, makeMovable } from "./queue_drag.js";
import { progressLine, queueRow } from "./queue_row.js";
import { toast } from "./messages.js";

const PAUSE = 1000;
const PAGE = 20;
const FAILED = "The server does not answer; try again.";

let timer = null;
let shown = PAGE; // ended jobs that are listed
let visible = false;

const panel = () => document.getElementById("queue_panel");
const address = (path) => new URL(`v1/jobs/${path}`, document.baseURI).href;

async function call(path, body) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  const sent = { method: "POST", headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(10000) };
  const answer = await fetch(address(path), sent);
  if (answer.ok) return null;
  const told = await answer.json().catch(() => ({}));
  return String(told.detail ?? `The server refused this (${answer.status}).`);
}

async function act(path, body) {
  const refusal = await call(path, body).catch(() => FAILED);
  if (refusal) toast(refusal);
  await poll();
  return !refusal;
}

const say = (text) => {
  panel().querySelector(".said").textContent = text;
};

async function move(id, position) {
  if (await act(`${id}/move`, { position })) say(`Moved to place ${position} of ${panel().querySelectorAll(".waiting li").length}.`);
}

export async function poll() {
  clearTimeout(timer);
  if (!visible || !panel()) return;
  const pages = [];
  try {
    // A page is at most 100 lines; older ones that were asked for are read behind it.
    for (let offset = 0; offset < shown; offset += 100) {
      const limit = Math.min(100, shown - offset);
      const query = new URLSearchParams({ client, limit, offset });
      const answer = await fetch(address(`overview?${query}`), { cache: "no-store", signal: AbortSignal.timeout(10000) });
      if (!answer.ok) throw new Error(`${answer.status}`);
      pages.push(await answer.json());
    }
    const queue = { ...pages[0], ended: pages.flatMap((page) => page.ended), more: pages.at(-1).more };
    if (!dragging()) draw(queue);
  } catch {
    // The line above the tabs says that the connection is lost.
  }
  clearTimeout(timer);
  timer = setTimeout(poll, PAUSE);
}

function draw(queue) {
  const frame = panel();
  const focused = remembered();
  fill(frame.querySelector(".running"), queue.running ? [queue.running] : [], "Nothing runs.");
  fill(frame.querySelector(".waiting"), queue.waiting, "No job waits.");
  fill(frame.querySelector(".ended"), queue.ended, "No job has ended yet.");
  frame.querySelector(".count").textContent = queue.waiting_count ? `(${queue.waiting_count})` : "";
  frame.querySelector(".more").hidden = !queue.more;
  if (queue.running) progressLine(frame.querySelector(".running li"), queue.running);
  focused?.();
}

// A row is made anew only when what it says has changed, so that nothing blinks and a pressed button stays.
function fill(list, jobs, nothing) {
  const present = new Map([...list.querySelectorAll("li[data-id]")].map((row) => [row.dataset.id, row]));
  const rows = jobs.map((job) => {
    const key = JSON.stringify({ ...job, progress: null, last: job.position === jobs.length });
    const old = present.get(job.id);
    return old?.dataset.key === key ? old : made(job, key, jobs.length);
  });
  if (!rows.length) rows.push(Object.assign(document.createElement("li"), { className: "nothing", textContent: nothing }));
  const same = list.children.length === rows.length && rows.every((row, place) => row === list.children[place]);
  if (!same && !(rows[0].className === "nothing" && list.querySelector(".nothing"))) list.replaceChildren(...rows);
}

function made(job, key, count) {
  const row = queueRow(job, count, { act, move });
  row.dataset.id = job.id;
  row.dataset.key = key;
  if (job.state === "waiting") makeMovable(row, count, (place) => move(job.id, place));
  return row;
}

// Who moves a job by its buttons keeps the finger on the button, though the row is another one now.
function remembered() {
  const held = document.activeElement;
  const id = held?.closest?.("#queue_panel li[data-id]")?.dataset.id;
  const what = held?.dataset?.act;
  if (!id || !what) return null;
  return () => {
    const row = panel().querySelector(`li[data-id="${CSS.escape(id)}"]`);
    const again = row?.querySelector(`[data-act="${what}"]:not(:disabled)`) ?? row?.querySelector("button:not(:disabled)");
    if (again && document.activeElement !== again) again.focus({ preventScroll: true });
  };
}

// The tab's content stands in the page only once it has been opened.
export function watchQueue() {
  const seen = new IntersectionObserver((entries) => {
    visible = entries.at(-1).isIntersecting;
    poll();
  });
  new MutationObserver(() => {
    const frame = panel();
    if (!frame || frame.dataset.watched) return;
    frame.dataset.watched = "yes";
    frame.querySelector(".more").onclick = () => {
      shown += PAGE;
      poll();
    };
    seen.observe(frame);
  }).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("visibilitychange", () => document.hidden || poll());
}
