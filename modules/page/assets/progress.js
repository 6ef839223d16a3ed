// @ts-check
// Draws what the server says about jobs: progress bar, preview, queue, engine, recent pictures, window title.

/** @import { EndedJob, EngineLine, Mode, PageState, RunningJob, WaitingJob } from "./types.js" */

import { url } from "./client.js";
import { all, button, element, find, joined, need } from "./dom.js";
import { changeJob } from "./job_actions.js";
import { drawJobBar } from "./job_bar.js";
import { fillBar } from "./progress_bar.js";
import { titleText } from "./progress_text.js";
import { speakProgress } from "./spoken.js";

const TITLE = "Stable Diffusion";

/**
 * @param {PageState} state
 * @param {Mode[]} modes
 * @param {() => void} interrupt
 */
export function drawProgress(state, modes, interrupt) {
  const text = titleText(state);
  drawJobBar(state.running?.mine ? state.running : null, text, interrupt);
  speakProgress(state.running?.mine ? state.running : null);
  document.title = text && state.settings.title ? `[${text}] ${TITLE}` : TITLE;
  document.body.toggleAttribute("data-live-lightbox", state.settings.lightbox && state.settings.live_lightbox);
  for (const mode of modes) drawTab(mode, state, text);
}

/**
 * @param {Mode} mode
 * @param {PageState} state
 * @param {string} jobs
 */
function drawTab(mode, state, jobs) {
  const live = find(document, `#${mode}_live .live`, HTMLElement);
  if (!live) return;
  const running = state.running?.mine && state.running.mode === mode ? state.running : null;
  // What runs is shown on its own tab, a place in the queue on every one.
  const text = state.running?.mine && !running ? "" : jobs;
  live.hidden = !text && !state.waiting.length;
  const bar = need(live, ".bar", HTMLElement);
  bar.hidden = !text || !state.settings.progressbar;
  fillBar(live, running, text);
  drawPreview(mode, need(live, ".preview", HTMLImageElement), running);
  for (const id of [`${mode}_interrupt`, `${mode}_skip`]) {
    document.getElementById(id)?.classList.toggle("idle", !state.running);
  }
}

/**
 * @param {Mode} mode
 * @param {HTMLImageElement} image
 * @param {RunningJob | null} running
 */
function drawPreview(mode, image, running) {
  const gallery = document.getElementById(`${mode}_gallery`);
  const wanted = running?.preview ? url(`preview/${running.id}?n=${running.preview}`) : "";
  if (wanted && image.dataset.wanted !== wanted) {
    image.dataset.wanted = wanted;
    // Swapped only when it is there, so that the picture never blinks.
    const next = new Image();
    next.onload = () => {
      if (image.dataset.wanted !== wanted) return;
      image.src = wanted;
      image.hidden = false;
      gallery?.classList.add("behind-preview");
      document.dispatchEvent(new CustomEvent("webui-preview"));
    };
    next.src = wanted;
  }
  if (!wanted) {
    const ended = !image.hidden;
    delete image.dataset.wanted;
    image.hidden = true;
    image.removeAttribute("src");
    gallery?.classList.remove("behind-preview");
    if (ended) document.dispatchEvent(new CustomEvent("webui-preview"));
  }
}

/**
 * @param {Mode} mode
 * @param {PageState} state
 * @param {() => unknown} again called after a change
 */
export function drawQueue(mode, state, again) {
  const list = find(document, `#${mode}_live .queue`, HTMLElement);
  if (!list) return;
  const key = JSON.stringify([state.waiting, state.waiting_count]);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...state.waiting.map((job) => queueRow(job, state.waiting_count, again)));
}

/**
 * @param {WaitingJob} job
 * @param {number} count
 * @param {() => unknown} again
 */
function queueRow(job, count, again) {
  const parts = [`In queue: ${job.position}/${count}`, ...(job.files ? [`${job.files} files of a batch`] : [])];
  const prompt = element("span", { className: "no-translate", textContent: job.prompt });
  const unseen = element("span", { textContent: job.visible ? "(no prompt)" : "(somebody else's)" });
  const text = element("span", {}, ...joined(parts), " · ", job.visible && job.prompt ? prompt : unseen);
  if (!job.mine) return element("li", {}, text);
  async function cancel() {
    await changeJob(`${job.id}/cancel`);
    again();
  }
  return element("li", {}, text, button("Cancel", cancel, { ariaLabel: `Cancel job ${job.position} of the queue` }));
}

// How long a picture takes by the form that can be seen; the server wrote it beside the estimate.
function pace() {
  const paces = all(document, ".estimate .pace");
  const seen = paces.find((one) => one.closest(".generate-box")?.checkVisibility?.()) ?? paces[0];
  return seen?.textContent ?? "";
}

/** @param {EngineLine} engine */
export function drawEngine(engine) {
  const line = find(document, "#engine_status .engine", HTMLElement);
  if (!line) return;
  line.dataset.state = engine.state;
  need(line, "span", HTMLElement).textContent = engine.sentence;
  line.title = engine.details === engine.sentence ? "" : engine.details;
  need(line, ".pace", HTMLElement).textContent = engine.state === "ready" ? pace() : "";
  document.body.classList.toggle("demo", (engine.checkpoint ?? "").startsWith("demo-emoji"));
}

const PATIENCE = 3; // questions of a page that has just been opened, before it says that nobody is there

/**
 * What the line above the tabs says while answers are missing: a server that takes its time is no lost one.
 * @param {unknown} error of the last question
 * @param {boolean} answered whether this page has had an answer yet
 * @param {number} missing how many answers in a row have not come
 * @returns {EngineLine}
 */
export function missingAnswer(error, answered, missing) {
  const slow = error instanceof Error && error.name === "TimeoutError";
  const waits = slow || (!answered && missing <= PATIENCE);
  const sentence = waits ? "Waiting for the server…" : "Connection lost, retrying…";
  return { state: waits ? "waiting" : "lost", sentence, details: "", checkpoint: null };
}

/**
 * @param {Mode} mode
 * @param {EndedJob[]} recent newest first
 * @param {string} shown the id of the job on display
 * @param {(id: string) => void} choose
 */
export function drawRecent(mode, recent, shown, choose) {
  const row = find(document, `#${mode}_recent .recent`, HTMLElement);
  if (!row) return;
  const key = JSON.stringify([recent.map((job) => [job.id, job.images]), shown]);
  if (row.dataset.key === key) return;
  row.dataset.key = key;
  row.hidden = recent.length < 2;
  row.replaceChildren(
    ...recent.map((job, place) => {
      const made = button("", () => choose(job.id), {
        className: job.id === shown ? "chosen" : "",
        ariaLabel: `Show the results of job ${place + 1}, counted back from the newest`,
      });
      made.append(element("img", { src: url(`thumbnail/${job.id}?n=${job.images}`), alt: "", loading: "lazy" }));
      return made;
    }),
  );
}
