// What a page says of a job under way, as text.

/** @import { PageState, RunningJob } from "./types.js" */

/** @param {number | null | undefined} seconds */
export const eta = (seconds) => {
  if (seconds == null) return "";
  const whole = Math.max(0, Math.round(seconds));
  return whole < 60 ? `${whole}s` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
};

/**
 * What the page's owner waits for; empty where that is nothing.
 * @param {Pick<PageState, "running" | "waiting" | "waiting_count">} state
 */
export function jobText({ running, waiting, waiting_count: count }) {
  const mine = waiting.find((job) => job.mine);
  if (running?.mine) {
    const percent = Math.floor(running.fraction * 100);
    const { batch } = running;
    if (batch) return `File ${Math.min(batch.done + 1, batch.count)}/${batch.count}: ${percent}%`;
    if (!percent && !running.step) return "Starting…";
    const left = eta(running.eta);
    return left ? `${percent}% ETA: ${left}` : `${percent}%`;
  }
  return mine ? `In queue: ${mine.position}/${count}` : "";
}

/**
 * The same for the bar, which has room for the step.
 * @param {string} text
 * @param {RunningJob | null} running
 */
export function barText(text, running) {
  const begun = running?.steps && Math.floor(running.fraction * 100) > 0;
  return begun ? `${text}  ·  step ${running.step}/${running.steps}` : text;
}
