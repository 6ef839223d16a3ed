// @ts-check
// What a screen reader says of a job under way: its start, each tenth of it, and an interrupt. Not each step, which
// would leave no time for anything else.

/** @import { RunningJob } from "./types.js" */

import { element } from "./dom.js";
import { pictureText } from "./progress_text.js";

/**
 * In parts that stand side by side, as they are translated; the first one decides whether there is something new.
 * @param {RunningJob | null} running
 * @returns {string[]}
 */
export function spokenParts(running) {
  if (!running) return [];
  if (running.stopping === "now") return ["Interrupting…"];
  if (running.stopping) return ["Stopping after this picture"];
  if (!running.step && !running.fraction) return ["Starting…"];
  // 0.1 * 3 is more than 0.3.
  const tenths = Math.floor(running.fraction * 10 + 1e-9);
  return [`${tenths * 10}%`, ...pictureText(running)];
}

/** @type {HTMLElement | null} */
let line = null;

/** @param {RunningJob | null} running this browser's job */
export function speakProgress(running) {
  const parts = spokenParts(running);
  if (!line) {
    line = element("p", { className: "spoken", role: "status" });
    document.body.append(line);
  }
  const [news = ""] = parts;
  if (line.dataset.news === news) return;
  line.dataset.news = news;
  line.replaceChildren(...parts.flatMap((part, place) => [place ? ", " : "", element("span", { textContent: part })]));
}
