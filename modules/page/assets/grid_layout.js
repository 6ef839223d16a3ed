// @ts-check
// Where each of many equal boxes lies in a grid, and which of them can be seen: numbers alone, no page in here.

export const GAP = 10;
const ROWS_AROUND = 2; // drawn above and below what is seen, so that scrolling finds them there

/**
 * How many boxes stand side by side, and how wide each is then.
 * @param {number} room in pixels
 * @param {number} width that a box should have
 */
export function columnsIn(room, width) {
  const columns = Math.max(1, Math.floor((room + GAP) / (width + GAP)));
  return { columns, width: Math.min(width * 1.6, (room - (columns - 1) * GAP) / columns) };
}

/**
 * The place of the last of ascending numbers that is not above `value`; 0 where all are.
 * @param {number[]} numbers
 * @param {number} value
 */
function lastUpTo(numbers, value) {
  let low = 0;
  let high = numbers.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (numbers[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

export class GridLayout {
  /**
   * @param {{ total: number, columns: number, row: number, groups?: number[], heading?: number }} grid `row` is the
   *   height of a row with the gap under it, `groups` how many boxes belong together, `heading` the room above each
   *   group, in pixels
   */
  constructor({ total, columns, row, groups = [], heading = 0 }) {
    this.total = total;
    this.columns = columns;
    this.row = row;
    this.heading = groups.length ? heading : 0;
    /** @type {number[]} the first box of each group */
    this.starts = [];
    /** @type {number[]} where its first row lies */
    this.tops = [];
    let top = 0;
    let start = 0;
    // Groups are counted at another moment than boxes: what is too much is cut off, what is missing is one more group.
    for (const count of [...groups, total]) {
      const own = Math.min(count, total - start);
      if (own <= 0 && this.starts.length) break;
      this.starts.push(start);
      this.tops.push(top + this.heading);
      start += own;
      top += this.heading + Math.ceil(own / columns) * row;
    }
    this.height = Math.max(0, top - GAP);
  }

  /** @param {number} group */
  end(group) {
    return this.starts[group + 1] ?? this.total;
  }

  /** @param {number} index */
  groupOf(index) {
    return lastUpTo(this.starts, index);
  }

  /**
   * @param {number} index
   * @returns {{ column: number, top: number }}
   */
  placeOf(index) {
    const group = this.groupOf(index);
    const inside = index - this.starts[group];
    return { column: inside % this.columns, top: this.tops[group] + Math.floor(inside / this.columns) * this.row };
  }

  /**
   * The first and the last box of the row at a height.
   * @param {number} y
   */
  rowAt(y) {
    const group = lastUpTo(this.tops, y + this.heading);
    const rows = Math.max(1, Math.ceil((this.end(group) - this.starts[group]) / this.columns));
    const row = Math.min(rows - 1, Math.max(0, Math.floor((y - this.tops[group]) / this.row)));
    const first = this.starts[group] + row * this.columns;
    return { first, last: Math.min(first + this.columns, this.end(group)) };
  }

  /**
   * The boxes to draw: the first, and the one behind the last.
   * @param {number} top how far it is scrolled, in pixels
   * @param {number} height what is seen
   */
  range(top, height) {
    const around = ROWS_AROUND * this.row;
    return { first: this.rowAt(top - around).first, last: this.rowAt(top + height + around - 1).last };
  }

  /**
   * The groups whose heading or boxes can be seen.
   * @param {number} top
   * @param {number} height
   */
  groupsIn(top, height) {
    const first = lastUpTo(this.tops, top + this.heading);
    const last = lastUpTo(this.tops, top + height + this.heading);
    return { first, last: last + 1 };
  }

  /**
   * One row up or down, in the same column as far as there is one.
   * @param {number} index
   * @param {1 | -1} by
   */
  stepRow(index, by) {
    const group = this.groupOf(index);
    const inside = index - this.starts[group];
    const there = index + by * this.columns;
    if (there >= this.starts[group] && there < this.end(group)) return there;
    const lastRow = Math.floor((this.end(group) - 1 - this.starts[group]) / this.columns);
    if (by > 0 && Math.floor(inside / this.columns) < lastRow) return this.end(group) - 1;
    const other = group + by;
    if (other < 0) return 0;
    if (other >= this.starts.length) return this.total - 1;
    const column = inside % this.columns;
    if (by > 0) return Math.min(this.starts[other] + column, this.end(other) - 1);
    const { first, last } = this.rowAt(this.tops[group] - this.heading - this.row / 2);
    return Math.min(first + column, last - 1);
  }

  /**
   * Where a key leads from a box; null for keys that lead nowhere.
   * @param {string} key
   * @param {number} index
   * @param {number} page how many rows are seen
   */
  moved(key, index, page) {
    if (!this.total) return null;
    if (key === "ArrowLeft") return Math.max(0, index - 1);
    if (key === "ArrowRight") return Math.min(this.total - 1, index + 1);
    if (key === "Home") return 0;
    if (key === "End") return this.total - 1;
    const rows = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page }[key];
    if (rows === undefined) return null;
    let there = index;
    for (let left = Math.abs(rows); left > 0; left -= 1) there = this.stepRow(there, rows > 0 ? 1 : -1);
    return there;
  }
}
