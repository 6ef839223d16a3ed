// @ts-check
// On a phone: how the job under way is, and Interrupt, in reach of the thumb wherever the page is scrolled to.

import { button, element } from "./dom.js";
import { fillBar } from "./progress_bar.js";

/** @import { RunningJob } from "./types.js" */

/** @type {HTMLElement | null} */
let frame = null;

/** @param {() => void} interrupt */
function build(interrupt) {
  const bar = element(
    "div",
    { className: "bar", role: "progressbar", ariaLabel: "Progress" },
    element("div", { className: "fill" }),
    element("span", { className: "text" }),
  );
  bar.setAttribute("aria-valuemin", "0");
  bar.setAttribute("aria-valuemax", "100");
  const made = element("div", { className: "job-bar" }, bar, button("Interrupt", interrupt, { className: "stop" }));
  document.body.append(made);
  return made;
}

/**
 * @param {RunningJob | null} running this browser's job
 * @param {string} waiting what there is to say while none runs
 * @param {() => void} interrupt
 */
export function drawJobBar(running, waiting, interrupt) {
  if (!frame && !running && !waiting) return;
  frame ??= build(interrupt);
  frame.hidden = !running && !waiting;
  fillBar(frame, running, waiting, false);
  const stop = frame.querySelector(".stop");
  if (stop instanceof HTMLElement) stop.hidden = !running;
}
