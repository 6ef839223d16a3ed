// @ts-check
// How the gallery writes days, sizes and numbers.

const KILO = 1000;

/** The page's language, for dates and numbers. */
const language = () => document.documentElement.lang || undefined;

/**
 * @param {number} bytes
 */
export function bytesText(bytes) {
  if (bytes < KILO * KILO) return `${Math.max(1, Math.round(bytes / KILO))} kB`;
  return `${(bytes / KILO / KILO).toFixed(1)} MB`;
}

/** @param {number} count */
export const numberText = (count) => count.toLocaleString(language());

/** @param {string} day as `2026-11-30` */
export const dayText = (day) =>
  new Date(`${day}T12:00:00`).toLocaleDateString(language(), {
    weekday: "long",
    day: "numeric",
    month: "long",
    year: "numeric",
  });

/** @param {string} day */
export const monthText = (day) => new Date(`${day}T12:00:00`).toLocaleDateString(language(), { month: "short" });

/** @type {{ language: string | undefined, format: Intl.DateTimeFormat } | null} made once: it costs more than all else of a box */
let moments = null;

/** @param {string} created */
export function momentText(created) {
  const now = language();
  if (!moments || moments.language !== now) {
    moments = { language: now, format: new Intl.DateTimeFormat(now, { dateStyle: "medium", timeStyle: "short" }) };
  }
  return moments.format.format(new Date(created));
}

/** A month of the timeline: where it begins. @typedef {{ day: string, group: number, place: number, year: boolean }} Mark */

/**
 * The months that a timeline has room for, each with its share of the way down, 0 to 1.
 * @param {string[]} days one for each group, in the order of the list
 * @param {number[]} tops of the groups, in pixels
 * @param {number} height of the whole list
 * @param {number} most marks that fit beside each other
 * @returns {Mark[]}
 */
export function timelineMarks(days, tops, height, most) {
  /** @type {Mark[]} */
  const marks = [];
  let month = "";
  let year = "";
  for (const [group, day] of days.entries()) {
    if (day.slice(0, 7) === month) continue;
    month = day.slice(0, 7);
    const place = height ? tops[group] / height : 0;
    const last = marks.at(-1);
    const newYear = day.slice(0, 4) !== year;
    const crowded = last !== undefined && place - last.place < 1 / most;
    // A year's first mark stays rather than a month's before it.
    if (crowded && !(newYear && !last.year)) continue;
    if (crowded) marks.pop();
    year = day.slice(0, 4);
    marks.push({ day, group, place, year: newYear });
  }
  return marks;
}
