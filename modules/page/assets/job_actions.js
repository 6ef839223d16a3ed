// @ts-check
// What can be done to a job, wherever its button stands: in the queue, under the prompt, on the Queue tab.

import { jobsUrl } from "./client.js";
import { sendTo, sentence } from "./dom.js";
import { toast } from "./messages.js";
import { addOwn } from "./own_jobs.js";

const SLOWEST = 10000; // milliseconds until a server counts as gone

/**
 * The server's answer; null where it refused, and then it has been said why.
 * @param {string} path `${id}/cancel`, `${id}/move` …, with the id of a job or of a batch
 * @param {object} [body]
 * @returns {Promise<{ id: string, state: string } | null>}
 */
export async function changeJob(path, body) {
  try {
    const job = await sendTo(jobsUrl(path), body, { signal: AbortSignal.timeout(SLOWEST) });
    // A job that was made here is shown here.
    if (/\/(retry|duplicate)$/.test(path)) addOwn(job.id);
    return job;
  } catch (error) {
    toast(sentence(error));
    return null;
  }
}
