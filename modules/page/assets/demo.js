// @ts-check
// The notice about the demo checkpoint: unfolded on a phone, taken away for good, and the folder for checkpoints opened.

import { find, send, sentence, within } from "./dom.js";
import { toast } from "./messages.js";

const DISMISSED = "webui-demo-dismissed";

const hide = () => document.body.classList.add("demo-dismissed");

/** @param {HTMLElement} more */
function unfold(more) {
  const notice = find(document, "#demo_notice", HTMLElement);
  more.ariaExpanded = String(notice?.classList.toggle("unfolded") ?? false);
}

export function listenForDemo() {
  if (localStorage.getItem(DISMISSED)) hide();
  document.addEventListener("click", (event) => {
    const more = within(event, "#demo_more");
    if (more) unfold(more);
    if (within(event, "#demo_dismiss")) {
      localStorage.setItem(DISMISSED, "yes");
      hide();
    }
    if (within(event, "#demo_open")) send("actions/open-checkpoints").catch((error) => toast(sentence(error)));
  });
}
