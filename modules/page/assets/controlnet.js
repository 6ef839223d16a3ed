// @ts-check
// ControlNet's units: the control type chooses what is offered, a preprocessor names its sliders, its map can be seen.

/** @import { ControlLists, Picture, Pose, PoseJson } from "./types.js" */
/** @import { UnitsForm } from "./units.js" */

import { read, url } from "./client.js";
import { button, element, find, sendTo, sentence, typeInto } from "./dom.js";
import { toast } from "./messages.js";
import { defaultPose, poseOf } from "./pose.js";
import { PoseEditor } from "./pose_editor.js";
import { setPicture } from "./slots.js";
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
  const pose = form.row(unit, "preview")?.querySelector(".unit-pose");
  if (pose instanceof HTMLElement) pose.hidden = !isPosed(form.units[unit]);
  const shows = String(tag) === "IP-Adapter" || isImagePrompt(String(model));
  for (const name of ["weight_type", "composition_weight"]) {
    const row = form.row(unit, name);
    const two = form.units[unit].weight_type === "style and composition";
    if (row) row.hidden = !shows || (name === "composition_weight" && !two);
  }
  for (const [name, shown] of Object.entries(inputsOf(form.units[unit]))) {
    const row = form.row(unit, name);
    if (row) row.hidden = !shown;
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
 * The sides of a form's pictures by their own inputs; 512 where one is not there.
 * @param {string} mode
 * @returns {[number, number]}
 */
function sides(mode) {
  const side = (/** @type {string} */ name) => Number(sideInput(mode, name)?.value) || 512;
  return [side("width"), side("height")];
}

/**
 * @param {string} mode
 * @param {string} name
 */
const sideInput = (mode, name) => find(document, `#${mode}_${name} input[type=number]`, HTMLInputElement);

/**
 * A side of a picture as one of a form: whole cells of the latent, from 64 to 2048.
 * @param {number} side
 */
export const asSide = (side) => Math.max(64, Math.min(2048, Math.round(side / 8) * 8));

/**
 * @param {UnitsForm} form
 * @param {number} unit
 * @returns {Promise<{ width: number, height: number }>}
 */
async function pictureSize(form, unit) {
  const { image } = form.units[unit];
  if (!image) throw new Error("This unit has no picture: drop one there first.");
  const shown = new Image();
  shown.src = url(`pictures/${image}`);
  await shown.decode();
  return { width: shown.naturalWidth, height: shown.naturalHeight };
}

/**
 * @param {UnitsForm} form
 * @param {number} unit
 */
async function sendSize(form, unit) {
  const size = await pictureSize(form, unit);
  for (const [name, side] of Object.entries(size)) {
    const input = sideInput(form.mode, name);
    if (!input) continue;
    typeInto(input, String(asSide(side)));
    input.dispatchEvent(new Event("change", { bubbles: true }));
    input.blur();
  }
}

/**
 * Edits a pose, and has the unit begin with its drawing instead of a picture.
 * @param {UnitsForm} form
 * @param {number} unit
 * @param {Pose} pose
 */
function editPose(form, unit, pose) {
  new PoseEditor(pose, async (json) => {
    /** @type {Picture} */
    const made = await sendTo(url("controlnet/pose"), { pose: json });
    form.set(unit, "image", made.id);
    setPicture(form.id(unit, "image"), made.id);
    // It is a map already.
    form.set(unit, "module", "none");
    apply(form, unit).catch((error) => toast(sentence(error)));
  });
}

/**
 * Whether a model shows its picture to the prompt, by the names that such models have.
 * @param {string} model
 */
export const isImagePrompt = (model) => /ip[-_]?adapter/i.test(model);

/**
 * Which of a unit's inputs for pictures are used, by where its pictures come from.
 * @param {import("./types.js").UnitValues} values
 */
export const inputsOf = ({ input_mode: mode }) => ({
  image: mode !== "Batch",
  preview: mode !== "Batch",
  more_images: mode === "Multi-Inputs",
  batch_images: mode === "Batch",
  output_dir: mode === "Batch",
});

/**
 * Whether a unit is about poses: by its type, or by its preprocessor where it has none.
 * @param {import("./types.js").UnitValues} values
 */
export const isPosed = ({ control_type: tag, module }) => tag === "OpenPose" || String(module).includes("openpose");

/**
 * @param {UnitsForm} form
 * @param {number} unit
 */
function addPreview(form, unit) {
  /** @type {PoseJson | null} */
  let found = null;
  const row = element("div", { className: "unit-field unit-wide unit-preview" });
  row.dataset.field = "preview";
  const map = element("img", { className: "unit-map", alt: "The preprocessor's map", hidden: true });
  const run = button("Run preprocessor", async () => {
    run.disabled = true;
    try {
      const { image, module, processor_res, threshold_a, threshold_b } = form.units[unit];
      if (!image) throw new Error("This unit has no picture: drop one there first.");
      /** @type {Picture & { pose: PoseJson | null }} */
      const made = await sendTo(url("controlnet/map"), { image, module, processor_res, threshold_a, threshold_b });
      found = made.pose;
      map.src = url(`pictures/${made.id}`);
      map.hidden = false;
    } catch (error) {
      toast(sentence(error));
    } finally {
      run.disabled = false;
    }
  });
  const size = button("Send size to width/height", () => {
    sendSize(form, unit).catch((error) => toast(sentence(error)));
  });
  const pose = button(
    "Edit pose",
    () => editPose(form, unit, found ? poseOf(found) : defaultPose(...sides(form.mode))),
    { className: "unit-pose" },
  );
  row.append(element("div", { className: "unit-buttons" }, run, pose, size), map);
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
      if (["", "control_type", "module", "model", "pixel_perfect", "weight_type", "input_mode"].includes(name))
        done.catch((error) => toast(sentence(error)));
    },
  });
}
