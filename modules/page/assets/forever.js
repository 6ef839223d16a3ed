// "Generate forever": the menu of the Generate button, and the next job whenever none of this page's is left.

import { toast } from "./messages.js";

const EVERY = 500; // as in A1111
const LOST = 30000; // an answer that has not come by then never will

let mode = null;
let askedAt = 0;
let menu = null;

function mark(on) {
  for (const button of document.querySelectorAll("#txt2img_generate, #img2img_generate")) {
    button.classList.toggle("forever", on && button.id === `${mode}_generate`);
  }
}

export function stop(why) {
  if (!mode) return;
  if (why) toast(`Generate forever has stopped: ${why}`, "info");
  mark(false);
  mode = null;
}

function start(wanted) {
  stop();
  mode = wanted;
  askedAt = 0;
  mark(true);
}

function close() {
  menu?.remove();
  menu = null;
}

function open(wanted, x, y, button) {
  close();
  menu = document.createElement("div");
  menu.className = "context-menu";
  menu.setAttribute("role", "menu");
  const items = { "Generate forever": () => start(wanted), "Cancel generate forever": () => stop() };
  for (const [text, action] of Object.entries(items)) {
    const item = document.createElement("button");
    item.type = "button";
    item.textContent = text;
    item.setAttribute("role", "menuitem");
    item.onclick = () => {
      close();
      action();
      button.focus();
    };
    menu.append(item);
  }
  document.body.append(menu);
  const place = (at, size, room) => `${Math.max(4, Math.min(at, room - size - 4))}px`;
  menu.style.left = place(x, menu.offsetWidth, innerWidth);
  menu.style.top = place(y, menu.offsetHeight, innerHeight);
  menu.firstChild.focus();
}

function keys(event) {
  if (!menu) return;
  const items = [...menu.children];
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape" || event.key === "Tab") close();
  else if (step) items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
  else return;
  event.preventDefault();
  event.stopImmediatePropagation();
}

// `idle` says whether no job of this page runs or waits.
export function listenForMenus(idle) {
  document.addEventListener("contextmenu", (event) => {
    const button = event.target.closest?.("#txt2img_generate, #img2img_generate");
    if (!button) return;
    event.preventDefault();
    const box = button.getBoundingClientRect();
    // From the keyboard it comes without a place.
    open(button.id.replace("_generate", ""), event.clientX || box.left, event.clientY || box.bottom, button);
  });
  document.addEventListener("pointerdown", (event) => menu && !menu.contains(event.target) && close());
  document.addEventListener("keydown", keys, { capture: true });
  document.addEventListener("webui-submitted", ({ detail }) => {
    askedAt = 0;
    if (detail.error) stop("the last request was refused.");
  });
  document.addEventListener("webui-failed", () => stop("the last job failed."));
  setInterval(() => {
    if (!mode || Date.now() - askedAt < LOST || !idle()) return;
    askedAt = Date.now();
    document.getElementById(`${mode}_generate`)?.click();
  }, EVERY);
}
