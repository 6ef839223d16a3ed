// @ts-check
// Guidance's form: values of FreeU that its authors recommend.

/** @import { UnitsForm } from "./units.js" */

import { button, element } from "./dom.js";
import { extendUnits } from "./units.js";

/** @type {Record<string, Record<string, number>>} */
export const FREEU_PRESETS = {
  SD1: { b1: 1.5, b2: 1.6, s1: 0.9, s2: 0.2 },
  SDXL: { b1: 1.3, b2: 1.4, s1: 0.9, s2: 0.2 },
};

/**
 * @param {UnitsForm} form
 * @param {number} unit
 */
export function offerPresets(form, unit) {
  if (form.units[unit].title !== "FreeU" || !form.panels) return;
  const choose = (/** @type {Record<string, number>} */ values) => {
    for (const [name, value] of Object.entries(values)) form.set(unit, name, value);
    form.set(unit, "enabled", true);
  };
  const buttons = Object.entries(FREEU_PRESETS).map(([name, values]) => button(name, () => choose(values)));
  const row = element("div", { className: "unit-field unit-wide" }, element("label", {}, "Values of its authors"));
  row.append(element("div", { className: "unit-presets" }, ...buttons));
  form.panels[unit].append(row);
}

export const watchGuidance = () => extendUnits("guidance", { built: offerPresets });
