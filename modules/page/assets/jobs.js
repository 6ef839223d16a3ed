// @ts-check
// The page's picture of the server: one small request a second while a job runs, and whatever happens in between -
// a reload, a tab that slept, a server that was restarted - the next answer puts everything right.

/** @import { EndedJob, Mode, PageState } from "./types.js" */

import { client, read } from "./client.js";
import { find, need, send, sentence } from "./dom.js";
import { drawIgnored } from "./ignored.js";
import { changeJob } from "./job_actions.js";
import { confirmed } from "./localization.js";
import { fail, lasting, toast } from "./messages.js";
import { notify } from "./notify.js";
import { addOwn, adopt, isOwn } from "./own_jobs.js";
import { drawEngine, drawProgress, drawQueue, drawRecent, missingAnswer } from "./progress.js";
import { nameButtons } from "./tooltips.js";

const IDLE = 2500;
const RETRY = 1000;
const FEW = 3; // of the sentences about a start that are shown by themselves
const NOT_YOURS = "The job that runs is somebody else's.";
const FIRST = 400; // a job that has just begun should be seen to move

/**
 * What a tab's gallery shows: `shown` is `id:images` of it, `showing` the same of what was requested last, at
 * `requestedAt`; `pinned` while an older result was chosen by hand.
 * @typedef {{
 *   shown: string | null, showing: string | null, requestedAt: number, wantedJob: string, pinned: boolean
 * }} GalleryView
 */

// States of the engine that stay until somebody does something.
const SETTLED = new Set(["ready", "problem"]);

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** @type {Promise<void> | null} the request under way */
let polling = null;
let missing = 0; // answers in a row
/** @type {PageState | null} the last answer */
let last = null;
/** @returns {GalleryView} */
const newView = () => ({ shown: null, showing: null, requestedAt: 0, wantedJob: "", pinned: false });
/** @type {Record<Mode, GalleryView>} */
const views = { txt2img: newView(), img2img: newView(), extras: newView(), modelmerger: newView() };
/** @type {Mode[]} */
export const MODES = ["txt2img", "img2img", "extras", "modelmerger"];
/** @type {Set<string>} ids of jobs whose failure or notices this page has shown */
const reported = new Set();
let firstAnswer = true;

/**
 * The inputs of the event that fills a gallery: the job, and which of its pictures is selected if it is on display.
 * @param {Mode} mode
 * @param {string} shown the id of the job on display
 * @param {number} selected
 * @returns {[string, number]}
 */
export function wanted(mode, shown, selected) {
  const job = views[mode].wantedJob;
  const again = job === shown && find(document, `#${mode}_gallery .thumbnail-item`, HTMLElement);
  return [job, again ? selected : -1];
}

export const settings = () => last?.settings;

export function poll() {
  clearTimeout(timer);
  // The login page carries these scripts too, and has nothing to ask for.
  if (!document.getElementById("engine_status")) {
    timer = setTimeout(poll, RETRY);
    return Promise.resolve();
  }
  polling ??= update().finally(() => {
    polling = null;
  });
  return polling;
}

async function update() {
  let wait = RETRY;
  try {
    const state = await read(`page?client=${client}`);
    missing = 0;
    draw(state);
    wait = pause(state);
  } catch (error) {
    missing += 1;
    drawEngine(missingAnswer(error, last !== null, missing));
  }
  clearTimeout(timer);
  timer = setTimeout(poll, wait);
}

/**
 * Milliseconds until the next request.
 * @param {PageState} state
 */
function pause({ running, waiting, engine, settings }) {
  if (running && !running.step) return Math.min(FIRST, settings.refresh);
  return running || waiting.length || !SETTLED.has(engine.state) ? settings.refresh : IDLE;
}

/**
 * The page was built anew: this one's events would reach nothing. The form is stored in the browser.
 * @param {string} layout
 */
function outdated(layout) {
  const own = document.querySelector("[data-layout]")?.getAttribute("data-layout");
  if (!own || own === layout || sessionStorage.getItem("webui-layout") === layout) return false;
  // Once for each: a browser that shows an old copy again must not turn in circles.
  sessionStorage.setItem("webui-layout", layout);
  return true;
}

/** @param {PageState} state */
function draw(state) {
  if (outdated(state.layout)) return location.reload();
  last = state;
  nameButtons();
  syncCheckpoint(state.checkpoint);
  drawEngine(state.engine);
  drawIgnored(state.ignored);
  drawJobs(state);
  for (const mode of MODES) drawQueue(mode, state, poll);
  reportStart(state);
  reportWarnings(state);
  reportEnd(state);
  notify(state);
  if (firstAnswer) adopt(state);
  for (const mode of MODES) {
    const recent = state.recent.filter((job) => job.mode === mode);
    const newest = recent.find((job) => isOwn(job.id));
    if (!views[mode].pinned && newest) show(newest);
    drawRecent(mode, recent, views[mode].wantedJob, choose);
  }
  firstAnswer = false;
}

/** @param {PageState} state */
function drawJobs(state) {
  const { running } = state;
  // What was pressed is seen at once, not when the server has heard of it.
  const stopping = running && stopped?.id === running.id ? stopped.how : "";
  const seen = running && stopping && !running.stopping ? { ...running, stopping } : running;
  drawProgress({ ...state, running: seen }, MODES, interrupt);
}

// The list above the tabs follows the server: another page, a program or a finished hash may have changed it.
/** @type {string | null | undefined} undefined while the list is being filled */
let listedCheckpoint;
/** @param {string | null} title */
function syncCheckpoint(title) {
  if (listedCheckpoint !== undefined && listedCheckpoint !== title) document.getElementById("sync_checkpoint")?.click();
  listedCheckpoint = title;
}

/**
 * A checkpoint was chosen above the tabs.
 * @param {string} refusal
 */
export function chosen(refusal) {
  if (refusal) fail(refusal);
  listedCheckpoint = refusal ? null : undefined;
  return poll();
}

/**
 * What went wrong at the server's start, such as a queue that had to be set aside: shown once in each browser.
 * @param {PageState} state
 */
function reportStart({ server, notices }) {
  if (!notices.length || localStorage.getItem("webui-notices-of") === server) return;
  localStorage.setItem("webui-notices-of", server);
  for (const notice of notices.slice(0, FEW)) toast(notice);
  if (notices.length > FEW) toast(`${notices.length - FEW} more: see Settings, System.`);
}

/** @type {{ server: string, number: number } | null} the newest warning that this page knows */
let warned = null;

/**
 * Those that came up since the page was opened.
 * @param {PageState} state
 */
function reportWarnings({ server, warnings }) {
  const newest = warnings.at(-1)?.[0] ?? 0;
  if (warned?.server === server) {
    const known = warned.number;
    for (const [number, text] of warnings.slice(-FEW)) if (number > known) toast(text, "info");
  }
  warned = { server, number: Math.max(newest, warned?.server === server ? warned.number : 0) };
}

/** @param {PageState} state */
function reportEnd({ latest: job }) {
  if (!job || reported.has(job.id) || job.state === "running") return;
  if (!firstAnswer && !isOwn(job.id)) return;
  reported.add(job.id);
  if (job.state === "failed") {
    const cause = job.cause ?? "";
    if (firstAnswer) lasting(cause, job.mode);
    else fail(cause, job.mode);
    document.dispatchEvent(new CustomEvent("webui-failed", { detail: job.mode }));
  } else if (job.notices.length) lasting(job.notices.join("\n"), job.mode, "info");
  if (job.mode === "modelmerger" && job.state === "finished") listAgain();
}

/** There are other model files than before: all lists of the page are to have them. */
export function listAgain() {
  for (const id of ["sync_checkpoint", "model_files_changed"]) document.getElementById(id)?.click();
}

/** @param {EndedJob} job */
function show(job) {
  const key = `${job.id}:${job.images}`;
  const view = views[job.mode];
  const button = document.getElementById(`${job.mode}_show`);
  const underWay = key === view.showing && Date.now() - view.requestedAt < 4000;
  if (key === view.shown || underWay || !button) return;
  view.showing = key;
  view.requestedAt = Date.now();
  view.wantedJob = job.id;
  button.click();
}

/**
 * Gradio has filled the gallery; an answer that got lost is requested again.
 * @param {Mode} mode
 */
export const filled = (mode) => {
  views[mode].shown = views[mode].showing;
  document.dispatchEvent(new CustomEvent("webui-filled", { detail: mode }));
};

/** @param {string} id */
function choose(id) {
  const job = last?.recent.find((entry) => entry.id === id);
  if (!last || !job) return;
  const recent = last.recent.filter((entry) => entry.mode === job.mode);
  views[job.mode].pinned = id !== recent[0].id;
  show(job);
  drawRecent(job.mode, recent, views[job.mode].wantedJob, choose);
}

/**
 * Generate was pressed: what the last job had to say is over. Puts this browser's id behind the form's values.
 * @param {unknown[]} values
 * @param {Mode} mode
 */
export function stamp(values, mode) {
  views[mode].pinned = false;
  lasting("", mode);
  return [...values.slice(0, -1), client];
}

/**
 * The answer says which job it became, or why it became none.
 * @param {string} answer
 * @param {Mode} mode
 */
export function submitted(answer, mode) {
  const { id, ids = id ? [id] : [], error, folder, notice } = JSON.parse(answer || "{}");
  if (folder) return askForFolder(folder, error, mode);
  for (const one of ids) addOwn(one);
  if (notice) toast(notice, "info");
  if (error) fail(error, mode);
  const known = error ? Promise.resolve() : poll();
  return known.then(() => document.dispatchEvent(new CustomEvent("webui-submitted", { detail: { mode, error } })));
}

/**
 * A folder of this machine is used for the first time: once allowed, it is remembered, and the same is queued again.
 * @param {string} folder
 * @param {string} error
 * @param {Mode} mode
 * @returns {Promise<unknown>}
 */
async function askForFolder(folder, error, mode) {
  const question = `May this page read and write pictures in ${folder} and the folders in it? The answer is remembered.`;
  if (!confirmed(question)) return submitted(JSON.stringify({ error }), mode);
  try {
    await send("folders", { folder });
  } catch (refusal) {
    return submitted(JSON.stringify({ error: sentence(refusal) }), mode);
  }
  return need(document, `#${mode}_generate`, HTMLElement).click();
}

/** @type {{ id: string, how: "after_image" | "now" } | null} the job that was interrupted last from here */
let stopped = null;

// Between two files of a batch nothing runs, and the batch is what is meant.
const waitingBatch = () => last?.waiting.find((job) => job.mine && job.files > 0);

// With several pictures in the job the first press lets the current one finish, the second stops at once (a setting).
export async function interrupt() {
  if (!last) return;
  const job = last.running?.visible ? last.running : null;
  const name = job ? (job.batch?.id ?? job.id) : waitingBatch()?.id;
  if (!name) return last.running && toast(NOT_YOURS);
  const gently = Boolean(job?.several) && last.settings.interrupt_after_current && stopped?.id !== job?.id;
  stopped = job && { id: job.id, how: gently ? "after_image" : "now" };
  drawJobs(last);
  if (gently) toast("Interrupting after the current image; press again to stop now.", "info");
  if (!(await changeJob(`${name}/interrupt?after_image=${gently}`))) stopped = null;
  poll();
}

export async function skip() {
  const job = last?.running;
  if (job && !job.visible) return toast(NOT_YOURS);
  if (job) await changeJob(`${job.id}/skip`);
  poll();
}

// Nothing of this page runs or waits.
export const idle = () => last !== null && !last.running?.mine && !last.waiting.some((job) => job.mine);

export const busy = () => Boolean(last?.running ?? waitingBatch());
