// A browser's globals from jsdom, for scripts that touch the page as soon as they are imported: import this one first.

import { JSDOM } from "jsdom";

const { window } = new JSDOM("<!doctype html><body></body>", {
  url: "http://127.0.0.1:7860/",
  pretendToBeVisual: true,
});

const NAMES = [
  "window",
  "document",
  "location",
  "history",
  "localStorage",
  "sessionStorage",
  "Node",
  "NodeFilter",
  "Text",
  "Element",
  "HTMLElement",
  "HTMLButtonElement",
  "HTMLImageElement",
  "HTMLInputElement",
  "HTMLSelectElement",
  "HTMLTextAreaElement",
  "SVGElement",
  "Event",
  "CustomEvent",
  "FocusEvent",
  "MouseEvent",
  "innerWidth",
  "innerHeight",
  "KeyboardEvent",
  "MutationObserver",
  "Image",
];

for (const name of NAMES) {
  Object.defineProperty(globalThis, name, { value: window[name], configurable: true, writable: true });
}
