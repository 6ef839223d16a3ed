// The page's scripts, as small modules; Gradio's events call them through window.webui.

import { client } from "./client.js";
import * as jobs from "./jobs.js";
import { remember, restored } from "./memory.js";

window.webui = {
  stamp: (values) => [...values.slice(0, -1), client],
  submitted: jobs.submitted,
  interrupt: jobs.interrupt,
  skip: jobs.skip,
  wanted: jobs.wanted,
  remember,
  restored,
};

document.addEventListener("visibilitychange", () => document.hidden || jobs.poll());
window.addEventListener("online", jobs.poll);
window.addEventListener("pageshow", jobs.poll);
jobs.poll();
