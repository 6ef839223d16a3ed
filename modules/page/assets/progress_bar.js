// A progress bar, filled with what is known of a job.

/** @import { RunningJob } from "./types.js" */

import { element, need } from "./dom.js";
import { barParts } from "./progress_text.js";

/**
 * @param {ParentNode} frame that holds the bar
 * @param {RunningJob | null} running
 * @param {string} otherwise what to say while no job runs
 */
export function fillBar(frame, running, otherwise) {
  const bar = need(frame, ".bar", HTMLElement);
  const percent = running ? Math.floor(running.fraction * 100) : 0;
  bar.setAttribute("aria-valuenow", String(percent));
  need(bar, ".fill", HTMLElement).style.width = `${percent}%`;
  const parts = running ? barParts(running) : [otherwise];
  const text = need(bar, ".text", HTMLElement);
  // Written only where it changes: a translated text would be translated once more.
  if (text.dataset.parts === parts.join("\n")) return;
  text.dataset.parts = parts.join("\n");
  text.replaceChildren(...parts.map((part) => element("span", { textContent: part })));
}
