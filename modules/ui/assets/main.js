// The page's scripts, as small modules; Gradio's events call them through window.webui.

import * as jobs from "./jobs.js";
import { listen } from "./keys.js";
import { remember, restored } from "./memory.js";
import { say } from "./messages.js";

window.webui = {
  stamp: jobs.stamp,
  submitted: jobs.submitted,
  chosen: jobs.chosen,
  interrupt: jobs.interrupt,
  skip: jobs.skip,
  wanted: jobs.wanted,
  filled: jobs.filled,
  remember,
  restored,
  say,
};

listen({
  settings: jobs.settings,
  generate: () => document.getElementById("txt2img_generate")?.click(),
  skip: jobs.skip,
  interrupt: jobs.interrupt,
  busy: jobs.busy,
});
document.addEventListener("visibilitychange", () => document.hidden || jobs.poll());
window.addEventListener("online", jobs.poll);
window.addEventListener("pageshow", jobs.poll);
restored();
jobs.poll();
