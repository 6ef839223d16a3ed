// Reordering the waiting jobs: by dragging the handle with mouse, pen or finger, or by the arrow keys on it.

const EDGE = 70; // closer than this to the window's edge, the page scrolls along

let active = null;

export const dragging = () => active !== null;

export function makeMovable(row, count, moveTo) {
  const handle = row.querySelector(".handle");
  handle.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || active) return;
    event.preventDefault();
    handle.focus({ preventScroll: true });
    handle.setPointerCapture(event.pointerId);
    begin(row, event.pageY, moveTo);
  });
  handle.addEventListener("pointermove", (event) => {
    if (active?.row !== row) return;
    follow(event.pageY);
    if (event.clientY < EDGE) window.scrollBy(0, -12);
    else if (event.clientY > window.innerHeight - EDGE) window.scrollBy(0, 12);
  });
  handle.addEventListener("pointerup", () => active?.row === row && end(true));
  handle.addEventListener("pointercancel", () => active?.row === row && end(false));
  handle.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && active) return end(false);
    const place = [...row.parentElement.children].indexOf(row) + 1;
    const to = { ArrowUp: place - 1, ArrowDown: place + 1, Home: 1, End: count }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to >= 1 && to <= count && to !== place) moveTo(to);
  });
}

function begin(row, y, moveTo) {
  const rows = [...row.parentElement.children];
  const from = rows.indexOf(row);
  const tops = rows.map((one) => one.offsetTop);
  // The room that the row takes, the gap to its neighbour included.
  const room = rows.length > 1 ? (from + 1 < rows.length ? tops[from + 1] - tops[from] : tops[from] - tops[from - 1]) : 0;
  active = { row, rows, from, to: from, y, tops, room, moveTo };
  row.classList.add("dragged");
}

function follow(y) {
  const { row, rows, from, tops, room } = active;
  const moved = y - active.y;
  row.style.transform = `translateY(${moved}px)`;
  const middle = tops[from] + moved + row.offsetHeight / 2;
  let to = 0;
  rows.forEach((one, place) => {
    if (place !== from && middle > tops[place] + one.offsetHeight / 2) to += 1;
  });
  active.to = to;
  rows.forEach((one, place) => {
    if (place === from) return;
    const shift = place > from && place <= to ? -room : place < from && place >= to ? room : 0;
    one.style.transform = shift ? `translateY(${shift}px)` : "";
  });
}

function end(done) {
  const { row, rows, from, to, moveTo } = active;
  active = null;
  row.classList.remove("dragged");
  for (const one of rows) one.style.transform = "";
  if (!done || to === from) return;
  // Shown at once; the next answer of the server puts right what it sees otherwise.
  row.parentElement.insertBefore(row, to > from ? rows[to].nextSibling : rows[to]);
  moveTo(to + 1);
}
