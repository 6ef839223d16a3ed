// @ts-check
// What a page says of a job under way, as text.

/** @import { Mode, PageState, RunningJob } from "./types.js" */

/**
 * As A1111 writes what is left, in the window's title.
 * @param {number | null | undefined} seconds
 */
export const eta = (seconds) => {
  if (seconds == null) return "";
  const whole = Math.max(0, Math.round(seconds));
  return whole < 60 ? `${whole}s` : minutes(whole);
};

/** @param {number} seconds whole ones */
const minutes = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;

/** @param {number} seconds */
export const duration = (seconds) => {
  const whole = Math.max(0, Math.round(seconds));
  return whole < 60 ? `${whole} s` : minutes(whole);
};

/**
 * What the page's owner waits for, for the window's title; empty where that is nothing.
 * @param {Pick<PageState, "running" | "waiting" | "waiting_count">} state
 */
export function titleText({ running, waiting, waiting_count: count }) {
  const mine = waiting.find((job) => job.mine);
  if (running?.mine) {
    const percent = Math.floor(running.fraction * 100);
    const { batch } = running;
    if (running.stopping === "now") return "Interrupting…";
    if (batch) return `File ${Math.min(batch.done + 1, batch.count)}/${batch.count}: ${percent}%`;
    if (!percent && !running.step) return "Starting…";
    const left = eta(running.eta);
    return left ? `${percent}% ETA: ${left}` : `${percent}%`;
  }
  return mine ? `In queue: ${mine.position}/${count}` : "";
}

/**
 * Whether jobs of a tab make pictures from a prompt, with a size, steps and a checkpoint.
 * @param {Mode} mode
 */
export const isPainted = (mode) => mode === "txt2img" || mode === "img2img";

/** @param {RunningJob} running */
export function pictureText({ batch, first, last, pictures }) {
  if (batch) return [`File ${Math.min(batch.done + 1, batch.count)} of ${batch.count}`];
  if (pictures < 2) return [];
  return [last > first ? `Pictures ${first}–${last} of ${pictures}` : `Picture ${first} of ${pictures}`];
}

/**
 * What the bar says of the running job, in parts that stand side by side: picture 2 of 4, step 7/20, 12 s left. Until
 * there is a pace, the time since its start.
 * @param {RunningJob} running
 * @returns {string[]}
 */
export function barParts(running) {
  const { step, steps, stopping, elapsed } = running;
  const begun = running.fraction > 0 || step > 0;
  const time = running.eta === null ? `${duration(elapsed)} so far` : `${duration(running.eta)} left`;
  if (stopping === "now") return ["Interrupting…", `${duration(elapsed)} so far`];
  const times = begun || elapsed >= 1 ? [time] : [];
  if (!begun) return ["Starting…", ...pictureText(running), ...times];
  // The steps of Extras are its pictures, those of the Checkpoint Merger its percents.
  const steppedOn = steps && isPainted(running.mode) ? [`Step ${step}/${steps}`] : [];
  const head = stopping ? "Stopping after this picture" : `${Math.floor(running.fraction * 100)}%`;
  return [head, ...pictureText(running), ...steppedOn, ...times];
}
