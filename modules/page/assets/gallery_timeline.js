// @ts-check
// Beside the gallery's pictures, from the newest day to the oldest: a click on a month goes there.

import { button, element } from "./dom.js";
import { dayText, monthText, timelineMarks } from "./gallery_text.js";

const MARK = 30; // pixels that a mark needs, with the room around it

export class Timeline {
  /** @param {(group: number) => void} go */
  constructor(go) {
    this.go = go;
    this.root = element("nav", { className: "gallery-timeline", ariaLabel: "Timeline", hidden: true });
    this.key = "";
    /** @type {{ group: number, made: HTMLElement }[]} */
    this.marks = [];
  }

  /**
   * @param {string[]} days of the groups; none hides it
   * @param {number[]} tops of the groups, in pixels
   * @param {number} height of the whole list
   * @param {number} group that is seen first
   */
  draw(days, tops, height, group) {
    this.root.hidden = days.length < 2;
    if (this.root.hidden) return;
    const most = Math.max(2, Math.floor(this.root.clientHeight / MARK));
    const key = [days.length, days[0], days.at(-1), Math.round(height), most].join();
    if (key !== this.key) {
      this.key = key;
      const share = 1 - 1 / most;
      this.marks = timelineMarks(days, tops, height, most).map(({ day, group, place, year }) => {
        const made = button(year ? day.slice(0, 4) : monthText(day), () => this.go(group), {
          className: "no-translate",
          title: dayText(day),
        });
        made.classList.toggle("year", year);
        made.style.top = `${place * share * 100}%`;
        return { group, made };
      });
      this.root.replaceChildren(...this.marks.map(({ made }) => made));
    }
    const current = this.marks.findLast((mark) => mark.group <= group);
    for (const mark of this.marks) {
      if (mark === current) mark.made.setAttribute("aria-current", "true");
      else mark.made.removeAttribute("aria-current");
    }
  }
}
