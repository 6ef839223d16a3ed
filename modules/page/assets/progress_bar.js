// @ts-check
// A progress bar, filled with what is known of a job.

/** @import { RunningJob } from "./types.js" */

import { element, need } from "./dom.js";
import { barParts } from "./progress_text.js";

/**
 * @param {ParentNode} frame that holds the bar
 * @param {RunningJob | null} running
 * @param {string} otherwise what to say while no job runs
 * @param {boolean} percent whether to say what the bar shows anyway
 */
export function fillBar(frame, running, otherwise, percent = true) {
  const bar = need(frame, ".bar", HTMLElement);
  const share = running ? Math.floor(running.fraction * 100) : 0;
  bar.setAttribute("aria-valuenow", String(share));
  need(bar, ".fill", HTMLElement).style.width = `${share}%`;
  const all = running ? barParts(running) : [otherwise];
  const parts = percent || all.length < 2 ? all : all.filter((part) => part !== `${share}%`);
  const text = need(bar, ".text", HTMLElement);
  // Written only where it changes: a translated text would be translated once more.
  if (text.dataset.parts === parts.join("\n")) return;
  text.dataset.parts = parts.join("\n");
  text.replaceChildren(...parts.map((part) => element("span", { textContent: part })));
}
