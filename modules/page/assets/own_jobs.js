// @ts-check
// Which jobs are this tab's. Another tab of the browser has jobs of its own under the same name: its results must not
// replace this one's.

/** @import { PageState } from "./types.js" */

const STORE = "webui-jobs";
const MOST = 200;

/** @returns {string[]} */
function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(STORE) ?? "[]");
  } catch {
    return [];
  }
}

const own = new Set(stored());

/** @param {string} id of a job or a batch */
export const isOwn = (id) => own.has(id);

/** @param {string} id */
export function addOwn(id) {
  own.add(id);
  sessionStorage.setItem(STORE, JSON.stringify([...own].slice(-MOST)));
}

/**
 * A tab that was just opened and has no jobs: what is under way becomes its own, and of each mode the newest result.
 * @param {Pick<PageState, "running" | "waiting" | "recent">} state
 */
export function adopt({ running, waiting, recent }) {
  if (!own.size) {
    if (running?.mine) addOwn(running.batch?.id ?? running.id);
    for (const job of waiting) if (job.mine) addOwn(job.id);
  }
  for (const mode of new Set(recent.map((job) => job.mode))) {
    const jobs = recent.filter((job) => job.mode === mode);
    if (!jobs.some((job) => own.has(job.id))) own.add(jobs[0].id);
  }
}
