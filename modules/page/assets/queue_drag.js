// @ts-check
// Reordering the waiting jobs: by dragging the handle with mouse, pen or finger, or by the arrow keys on it.

const EDGE = 70; // closer than this to the window's edge, the page scrolls along

import { all, need } from "./dom.js";

/**
 * A row on its way: `tops` are where the rows began, `room` is what the row takes, the gap to its neighbour included.
 * @typedef {{
 *   row: HTMLElement, rows: HTMLElement[], from: number, to: number, y: number, tops: number[], room: number,
 *   moveTo: (place: number) => void,
 * }} Drag
 */

/** @type {Drag | null} */
let active = null;

export const dragging = () => active !== null;

/** @param {HTMLElement} row */
const rowsBeside = (row) => all(row.parentElement ?? row, ":scope > li");

/**
 * @param {HTMLElement} row
 * @param {number} count of the jobs that wait
 * @param {(place: number) => void} moveTo from 1
 */
export function makeMovable(row, count, moveTo) {
  const handle = need(row, ".handle", HTMLElement);
  handle.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || active) return;
    event.preventDefault();
    handle.focus({ preventScroll: true });
    handle.setPointerCapture(event.pointerId);
    begin(row, event.pageY, moveTo);
  });
  handle.addEventListener("pointermove", (event) => {
    if (active?.row !== row) return;
    follow(active, event.pageY);
    if (event.clientY < EDGE) window.scrollBy(0, -12);
    else if (event.clientY > window.innerHeight - EDGE) window.scrollBy(0, 12);
  });
  handle.addEventListener("pointerup", () => active?.row === row && end(active, true));
  handle.addEventListener("pointercancel", () => active?.row === row && end(active, false));
  handle.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && active) return end(active, false);
    const place = rowsBeside(row).indexOf(row) + 1;
    const to = placeByKey(event.key, place, count);
    if (to === null) return;
    event.preventDefault();
    if (to >= 1 && to <= count && to !== place) moveTo(to);
  });
}

/**
 * Where a key on a row's handle puts it; null for keys that mean nothing there.
 * @param {string} key
 * @param {number} place from 1
 * @param {number} count
 */
export function placeByKey(key, place, count) {
  if (key === "ArrowUp") return place - 1;
  if (key === "ArrowDown") return place + 1;
  if (key === "Home") return 1;
  return key === "End" ? count : null;
}

/**
 * @param {HTMLElement} row
 * @param {number} y
 * @param {(place: number) => void} moveTo
 */
function begin(row, y, moveTo) {
  const rows = rowsBeside(row);
  const from = rows.indexOf(row);
  const tops = rows.map((one) => one.offsetTop);
  const room =
    rows.length > 1 ? (from + 1 < rows.length ? tops[from + 1] - tops[from] : tops[from] - tops[from - 1]) : 0;
  active = { row, rows, from, to: from, y, tops, room, moveTo };
  row.classList.add("dragged");
}

/**
 * @param {Drag} drag
 * @param {number} y
 */
function follow(drag, y) {
  const { row, rows, from, tops, room } = drag;
  const moved = y - drag.y;
  row.style.transform = `translateY(${moved}px)`;
  const middle = tops[from] + moved + row.offsetHeight / 2;
  let to = 0;
  rows.forEach((one, place) => {
    if (place !== from && middle > tops[place] + one.offsetHeight / 2) to += 1;
  });
  drag.to = to;
  rows.forEach((one, place) => {
    if (place === from) return;
    const shift = place > from && place <= to ? -room : place < from && place >= to ? room : 0;
    one.style.transform = shift ? `translateY(${shift}px)` : "";
  });
}

/**
 * @param {Drag} drag
 * @param {boolean} done false puts it back
 */
function end({ row, rows, from, to, moveTo }, done) {
  active = null;
  row.classList.remove("dragged");
  for (const one of rows) one.style.transform = "";
  if (!done || to === from) return;
  // Shown at once; the next answer of the server puts right what it sees otherwise.
  row.parentElement?.insertBefore(row, to > from ? rows[to].nextSibling : rows[to]);
  moveTo(to + 1);
}
