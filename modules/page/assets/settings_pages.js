// @ts-check
// The pages of the Settings tab: options, the page's defaults, actions, and how the system is.

import { drawActions } from "./actions.js";
import { drawDefaults } from "./defaults.js";
import { button, element } from "./dom.js";
import { drawOptions } from "./settings.js";
import { drawSystem } from "./system.js";

/** @type {[string, (into: HTMLElement) => Promise<void>][]} */
const PAGES = [
  ["Options", drawOptions],
  ["Defaults", drawDefaults],
  ["Actions", drawActions],
  ["System", drawSystem],
];

/** @param {HTMLElement} frame */
function build(frame) {
  const content = element("div", { id: "settings_content", role: "tabpanel" });
  const tabs = PAGES.map(([name, draw]) => {
    const tab = button(name, () => open(tab, draw), {
      role: "tab",
      id: `settings_page_${name.toLowerCase()}`,
      ariaSelected: "false",
    });
    return tab;
  });
  /**
   * @param {HTMLButtonElement} tab
   * @param {(into: HTMLElement) => Promise<void>} draw
   */
  function open(tab, draw) {
    for (const one of tabs) one.ariaSelected = String(one === tab);
    content.setAttribute("aria-labelledby", tab.id);
    // A page that comes late must not overwrite the one that was opened since.
    const page = element("div", { className: "settings-page" });
    content.replaceChildren(page);
    draw(page).catch((error) => page.replaceChildren(`This can't be shown: ${error.message}`));
  }
  const bar = element(
    "div",
    { className: "settings-pages", role: "tablist", ariaLabel: "Pages of the settings" },
    ...tabs,
  );
  frame.replaceChildren(bar, content);
  tabs[0].click();
}

// The tab's content stands in the page only once it has been opened.
export function watchSettings() {
  new MutationObserver(() => {
    const frame = document.getElementById("settings_panel");
    if (!frame || frame.dataset.drawn) return;
    frame.dataset.drawn = "yes";
    build(frame);
  }).observe(document.body, { childList: true, subtree: true });
}
