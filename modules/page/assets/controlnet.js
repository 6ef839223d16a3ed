// @ts-check
// ControlNet's units: the control type chooses what is offered, a preprocessor names its sliders, its map can be seen.

/** @import { ControlLists, Picture } from "./types.js" */
/** @import { UnitsForm } from "./units.js" */

import { read, url } from "./client.js";
import { button, element, sendTo, sentence } from "./dom.js";
import { toast } from "./messages.js";
import { extendUnits } from "./units.js";

/** @type {Promise<ControlLists> | null} */
let lists = null;
const listed = () => {
  lists ??= read("controlnet").catch((error) => {
    lists = null;
    throw error;
  });
  return lists;
};

const SLIDERS = ["processor_res", "threshold_a", "threshold_b"];

/**
 * What a type's lists offer, and what is chosen with it.
 * @param {ControlLists} all
 * @param {string} tag
 */
export const typeOf = (all, tag) => all.types[tag] ?? all.types.All;

/**
 * The sliders of a preprocessor by the arguments that they move; one that it lacks is missing.
 * @param {ControlLists} all
 * @param {string} module
 */
export function slidersOf(all, module) {
  const found = all.modules.find(({ name, title }) => name === module || title === module);
  return found ? found.sliders : {};
}

/**
 * @param {UnitsForm} form
 * @param {number} unit
 */
async function apply(form, unit) {
  const all = await listed();
  const { control_type: tag, module, pixel_perfect: perfect, model } = form.units[unit];
  const type = typeOf(all, String(tag));
  const titles = new Map(all.modules.map(({ name, title }) => [name, title]));
  form.offer(
    unit,
    "module",
    type.modules.map((name) => ({ value: name, text: titles.get(name) ?? name })),
  );
  form.offer(
    unit,
    "model",
    ["None", ...type.models].map((name) => ({ value: name, text: name })),
  );
  const sliders = slidersOf(all, String(module));
  for (const name of SLIDERS) {
    const row = form.row(unit, name);
    const slider = sliders[name];
    if (!row) continue;
    row.hidden = !slider || (name === "processor_res" && perfect === true);
    if (slider) form.limit(unit, name, slider);
  }
  const none = form.row(unit, "no_model") ?? note(form, unit);
  none.hidden = type.models.length > 0 || model !== "None";
}

/**
 * @param {UnitsForm} form
 * @param {number} unit
 */
function note(form, unit) {
  const row = element("div", { className: "unit-field unit-wide" });
  row.dataset.field = "no_model";
  row.append(element("p", { textContent: "No control model of this type is here: put files into models/ControlNet." }));
  form.row(unit, "model")?.after(row);
  return row;
}

/**
 * @param {UnitsForm} form
 * @param {number} unit
 */
async function chooseType(form, unit) {
  const type = typeOf(await listed(), String(form.units[unit].control_type));
  form.units[unit].module = type.module;
  form.set(unit, "model", type.model);
  await apply(form, unit);
}

/**
 * @param {UnitsForm} form
 * @param {number} unit
 */
function addPreview(form, unit) {
  const row = element("div", { className: "unit-field unit-wide unit-preview" });
  row.dataset.field = "preview";
  const map = element("img", { className: "unit-map", alt: "The preprocessor's map", hidden: true });
  const run = button("Run preprocessor", async () => {
    run.disabled = true;
    try {
      const { image, module, processor_res, threshold_a, threshold_b } = form.units[unit];
      if (!image) throw new Error("This unit has no picture: drop one there first.");
      /** @type {Picture} */
      const made = await sendTo(url("controlnet/map"), { image, module, processor_res, threshold_a, threshold_b });
      map.src = url(`pictures/${made.id}`);
      map.hidden = false;
    } catch (error) {
      toast(sentence(error));
    } finally {
      run.disabled = false;
    }
  });
  row.append(run, map);
  form.row(unit, "module")?.after(row);
}

export function watchControlNet() {
  extendUnits("controlnet", {
    built: (form, unit) => {
      addPreview(form, unit);
      apply(form, unit).catch((error) => toast(sentence(error)));
    },
    changed: (form, unit, name) => {
      const done = name === "control_type" ? chooseType(form, unit) : apply(form, unit);
      if (["", "control_type", "module", "model", "pixel_perfect"].includes(name))
        done.catch((error) => toast(sentence(error)));
    },
  });
}
