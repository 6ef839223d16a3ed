// @ts-check
// What Gradio's markup lacks for keys and for screen readers: tabs that arrow keys move between, lists that Tab passes
// by, a role for what has a name. Gradio draws parts of the page again and again, so this is done as they appear.

import { all, within } from "./dom.js";

/** @type {Record<string, (here: number, count: number) => number>} */
const MOVES = {
  ArrowRight: (here, count) => (here + 1) % count,
  ArrowLeft: (here, count) => (here - 1 + count) % count,
  Home: () => 0,
  End: (_, count) => count - 1,
};

/**
 * The place that a key moves to among `count` tabs; null for other keys.
 * @param {string} key
 * @param {number} here
 * @param {number} count
 */
export const movedTo = (key, here, count) => MOVES[key]?.(here, count) ?? null;

/** @param {KeyboardEvent} event */
function moveBetweenTabs(event) {
  const tab = within(event, "[role=tab]");
  const list = tab?.closest("[role=tablist]");
  if (!tab || !list || event.ctrlKey || event.metaKey || event.altKey) return;
  const tabs = all(list, "[role=tab]:not([disabled])");
  const next = movedTo(event.key, tabs.indexOf(tab), tabs.length);
  if (next === null) return;
  event.preventDefault();
  tabs[next].click();
  tabs[next].focus();
}

/** @param {ParentNode} root */
export function completeMarkup(root) {
  // Tab goes from the open tab into what it shows.
  for (const tab of all(root, "[role=tablist] > [role=tab]")) {
    const order = tab.getAttribute("aria-selected") === "true" ? 0 : -1;
    if (tab.tabIndex !== order) tab.tabIndex = order;
  }
  // Browsers let Tab stop at whatever scrolls; arrow keys choose from the list while its field has the focus.
  for (const list of all(root, "ul.option-list:not([tabindex])")) list.tabIndex = -1;
  // The name says less than what can be read there.
  for (const place of all(root, "button.upload-container[aria-label]")) place.removeAttribute("aria-label");
  for (const empty of all(root, ".empty[aria-label]:not([role])")) empty.setAttribute("role", "img");
}

export function completePage() {
  document.addEventListener("keydown", moveBetweenTabs);
  new MutationObserver(() => completeMarkup(document)).observe(document.body, {
    childList: true,
    subtree: true,
    attributes: true,
    attributeFilter: ["aria-selected"],
  });
  completeMarkup(document);
}
