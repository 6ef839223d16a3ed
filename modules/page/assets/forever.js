// @ts-check
// "Generate forever": the menu of the Generate button, and the next job whenever none of this page's is left.

import { all, button, element, within } from "./dom.js";
import { toast } from "./messages.js";

const EVERY = 500; // as in A1111
const LOST = 30000; // an answer that has not come by then never will

const BUTTONS = "#txt2img_generate, #img2img_generate";

/** @type {string | null} the tab whose Generate is pressed again and again */
let mode = null;
let pressedAt = 0;
/** @type {HTMLElement | null} */
let menu = null;

// That it goes on, and what ends it, where everybody sees it.
const line = () =>
  element(
    "p",
    { className: "forever-line", role: "status" },
    element("span", { textContent: "Generating forever" }),
    button("Stop generating forever", () => stop()),
  );

/** @param {boolean} on */
function mark(on) {
  for (const generate of all(document, BUTTONS)) {
    const here = on && generate.id === `${mode}_generate`;
    generate.classList.toggle("forever", here);
    const frame = generate.closest(".generate-box");
    frame?.querySelector(".forever-line")?.remove();
    if (here) frame?.append(line());
  }
}

/** @param {string} [why] said to the person; nothing where it was their own choice */
export function stop(why) {
  if (!mode) return;
  if (why) toast(`Generate forever has stopped: ${why}`, "info");
  mark(false);
  mode = null;
}

/** @param {string} tab */
function start(tab) {
  stop();
  mode = tab;
  pressedAt = 0;
  mark(true);
}

function close() {
  menu?.remove();
  menu = null;
}

/**
 * @param {string} tab
 * @param {number} x
 * @param {number} y
 * @param {HTMLElement} opener that gets the focus back
 */
function open(tab, x, y, opener) {
  close();
  menu = element("div", { className: "context-menu", role: "menu" });
  const items = { "Generate forever": () => start(tab), "Cancel generate forever": () => stop() };
  for (const [text, action] of Object.entries(items)) {
    const item = element("button", { type: "button", textContent: text, role: "menuitem" });
    item.onclick = () => {
      close();
      action();
      opener.focus();
    };
    menu.append(item);
  }
  document.body.append(menu);
  /**
   * @param {number} at
   * @param {number} size
   * @param {number} room
   */
  const place = (at, size, room) => `${Math.max(4, Math.min(at, room - size - 4))}px`;
  menu.style.left = place(x, menu.offsetWidth, innerWidth);
  menu.style.top = place(y, menu.offsetHeight, innerHeight);
  all(menu, "button")[0].focus();
}

/** @param {KeyboardEvent} event */
function keys(event) {
  if (!menu) return;
  const items = all(menu, "button");
  const here = items.findIndex((item) => item.matches(":focus"));
  if (event.key === "Escape" || event.key === "Tab") close();
  else if (event.key === "ArrowDown") items[(here + 1) % items.length].focus();
  else if (event.key === "ArrowUp") items[(here - 1 + items.length) % items.length].focus();
  else return;
  event.preventDefault();
  event.stopImmediatePropagation();
}

/** @param {() => boolean} idle whether no job of this page runs or waits */
export function listenForMenus(idle) {
  document.addEventListener("contextmenu", (event) => {
    const generate = within(event, BUTTONS);
    if (!generate) return;
    event.preventDefault();
    const box = generate.getBoundingClientRect();
    // From the keyboard it comes without a place.
    open(generate.id.replace("_generate", ""), event.clientX || box.left, event.clientY || box.bottom, generate);
  });
  document.addEventListener("pointerdown", (event) => within(event, ".context-menu") || close());
  document.addEventListener("keydown", keys, { capture: true });
  document.addEventListener("webui-submitted", ({ detail }) => {
    pressedAt = 0;
    if (detail.error) stop("the last request was refused.");
  });
  document.addEventListener("webui-failed", () => stop("the last job failed."));
  setInterval(() => {
    if (!mode || Date.now() - pressedAt < LOST || !idle()) return;
    pressedAt = Date.now();
    document.getElementById(`${mode}_generate`)?.click();
  }, EVERY);
}
