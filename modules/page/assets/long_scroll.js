// @ts-check
// Where a list is scrolled to that is higher than browsers let an element be: numbers alone, no page in here.

/** Pixels. Firefox cuts off what is higher than 17 millions, Chromium what is higher than 33. */
export const MOST_HIGH = 8_000_000;
const ENDS = 500_000; // pixels at both ends that lie where they would in a list without a limit
const JUMP = 2; // screens: who scrolls farther at once has not seen what lies between

/**
 * The browser scrolls over at most `MOST_HIGH` pixels, `real`; the list's own place, `top`, is `shift` further down.
 * Small steps move both alike, so that a wheel and a finger move pictures as far as anywhere else; a jump along the
 * scroll bar is one in proportion. In lists that are low enough `shift` is always 0.
 */
export class LongScroll {
  constructor() {
    this.real = 0;
    this.shift = 0;
    this.whole = 0; // how far the list can be scrolled
    this.room = 0; // how far the browser can
    this.seen = 0;
  }

  /**
   * @param {number} height of the list, in pixels
   * @param {number} seen what of it is in view
   */
  resize(height, seen) {
    this.seen = seen;
    this.whole = Math.max(0, height - seen);
    this.room = Math.max(0, Math.min(height, MOST_HIGH) - seen);
    this.shift = Math.min(this.shift, this.whole - this.room);
  }

  /** How far the list is scrolled, in pixels. */
  get top() {
    return this.real + this.shift;
  }

  /** How much of the list lies in proportion, and how much room there is for that. */
  get middle() {
    return { list: this.whole - 2 * ENDS, browser: this.room - 2 * ENDS };
  }

  /** @param {number} real */
  topOf(real) {
    const { list, browser } = this.middle;
    if (this.whole === this.room || real <= ENDS) return real;
    if (real >= this.room - ENDS) return this.whole - (this.room - real);
    return ENDS + ((real - ENDS) * list) / browser;
  }

  /**
   * Where the browser should be scrolled to for a place of the list.
   * @param {number} top
   */
  realOf(top) {
    const { list, browser } = this.middle;
    if (this.whole === this.room || top <= 2 * ENDS) return top;
    if (this.whole - top <= 2 * ENDS) return this.room - (this.whole - top);
    return ENDS + ((top - ENDS) * browser) / list;
  }

  /**
   * The browser has scrolled.
   * @param {number} real
   * @returns {number | null} the place of the list that it has to be set to anew, before an end of the browser's is
   *   reached that is none of the list's
   */
  moved(real) {
    const far = Math.abs(real - this.real) > JUMP * this.seen;
    this.real = real;
    if (this.whole === this.room) this.shift = 0;
    else if (far) this.shift = this.topOf(real) - real;
    else if (real < ENDS && this.shift > 0) return this.top;
    else if (real > this.room - ENDS && this.shift < this.whole - this.room) return this.top;
    return null;
  }

  /**
   * @param {number} top that the list is to be scrolled to
   * @param {(real: number) => number} scroll moves the browser and says where it is then
   */
  go(top, scroll) {
    const there = Math.max(0, Math.min(top, this.whole));
    const real = this.realOf(there);
    this.real = scroll(real);
    // What the browser rounds is no step of the list's, and where it hasn't the room yet it is at its own end.
    this.shift = this.whole === this.room ? 0 : there - this.real;
  }
}
