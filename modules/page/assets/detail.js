// @ts-check
// ADetailer's tabs: which of them do something, and what the first one begins with.

/** @import { UnitsForm } from "./units.js" */

import { extendUnits } from "./units.js";

/**
 * The first tab begins with the first detector, as in the extension: else who only enables it would see nothing.
 * @param {UnitsForm} form
 * @param {number} unit
 */
export function beginWithDetector(form, unit) {
  const offered = form.schema.arguments.find(({ name }) => name === "ad_model")?.choices ?? [];
  const first = offered.find((name) => name !== "None");
  if (unit === 0 && form.isFresh && first) form.set(unit, "ad_model", first);
}

export const watchDetail = () =>
  extendUnits("adetailer", {
    active: (tab) => tab.ad_tab_enable === true && tab.ad_model !== "None",
    built: beginWithDetector,
  });
