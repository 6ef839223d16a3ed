import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import "./browser.js";

const { added, defaultPose, JOINTS, joinedBy, jsonOf, leftBy, LIMBS, moved, poseOf, removed } = await import(
  "../../modules/page/assets/pose.js"
);
const { PoseEditor } = await import("../../modules/page/assets/pose_editor.js");
const { asSide, inputsOf, isImagePrompt, isPosed } = await import("../../modules/page/assets/controlnet.js");

beforeEach(() => {
  document.body.innerHTML = '<div class="gradio-container"></div>';
});

test("a pose survives its JSON, with what else a person has", () => {
  const pose = defaultPose(512, 768);
  const json = jsonOf({ ...pose, people: [{ ...pose.people[0], more: { face_keypoints_2d: [1, 2, 1] } }] });
  assert.equal(json.people?.[0].pose_keypoints_2d.length, 54);
  assert.deepEqual(poseOf(json), { ...pose, people: [{ ...pose.people[0], more: { face_keypoints_2d: [1, 2, 1] } }] });
  assert.equal(JOINTS.length, 18);
  assert.equal(LIMBS.length, 17);
});

test("shares of the canvas, joints that are not seen, and persons without a body", () => {
  const flat = Array.from({ length: 54 }, () => 0);
  flat.splice(0, 6, 0.5, 0.25, 1, 0.1, 0.1, 0);
  const pose = poseOf({ people: [{ pose_keypoints_2d: flat }, {}], canvas_width: 512, canvas_height: 768 });
  assert.deepEqual(pose.people[0].body[0], { x: 256, y: 192 });
  assert.ok(pose.people[0].body.slice(1).every((point) => point === null));
  assert.equal(pose.people[1].body.length, 18);
  assert.deepEqual(poseOf({ canvas_width: 8, canvas_height: 8 }).people, []);
});

test("a joint moves on the canvas only, goes, and comes beside its neighbour", () => {
  const pose = defaultPose(100, 100);
  assert.deepEqual(moved(pose, 0, 4, { x: -5, y: 250 }).people[0].body[4], { x: 0, y: 100 });
  const without = removed(pose, 0, 4);
  assert.equal(without.people[0].body[4], null);
  assert.equal(jsonOf(without).people?.[0].pose_keypoints_2d[14], 0);
  const elbow = moved(without, 0, 3, { x: 70, y: 10 });
  // As far from the elbow as it is in the default pose.
  assert.deepEqual(added(elbow, 0, 4).people[0].body[4], { x: 68, y: 22 });
  const alone = { ...pose, people: [{ body: pose.people[0].body.map(() => null), more: {} }] };
  assert.deepEqual(added(alone, 0, 0).people[0].body[0], pose.people[0].body[0]);
});

test("persons come and go", () => {
  const two = joinedBy(defaultPose(120, 120));
  assert.equal(two.people.length, 2);
  assert.notDeepEqual(two.people[1].body[0], two.people[0].body[0]);
  assert.deepEqual(leftBy(two, 0).people, [two.people[1]]);
});

test("the editor moves a joint with the keys, removes and adds it, and hands the pose over", async () => {
  /** @type {import("../../modules/page/assets/types.js").PoseJson[]} */
  const used = [];
  const editor = new PoseEditor(defaultPose(512, 512), async (json) => {
    used.push(json);
  });
  editor.dialog.close ??= () => {};
  const circle = () => /** @type {SVGElement} */ (editor.canvas.querySelector('[aria-label="Nose"]'));
  circle().dispatchEvent(new window.FocusEvent("focusin", { bubbles: true }));
  const press = (/** @type {string} */ key, shiftKey = false) =>
    circle()?.dispatchEvent(new window.KeyboardEvent("keydown", { key, shiftKey, bubbles: true }));
  press("ArrowRight");
  press("ArrowDown", true);
  assert.deepEqual(editor.pose.people[0].body[0], { x: 257, y: 92 });
  assert.equal(editor.missing.disabled, true);
  press("Delete");
  assert.equal(circle(), null);
  assert.equal(editor.missing.textContent, "Nose");
  const click = (/** @type {string} */ name) =>
    [...editor.dialog.querySelectorAll("button")].find((one) => one.textContent === name)?.click();
  click("Add joint");
  assert.deepEqual(editor.pose.people[0].body[0], { x: 256, y: 82 });
  click("Add person");
  assert.equal(editor.canvas.querySelectorAll("circle").length, 36);
  click("Remove person");
  click("Use pose");
  await Promise.resolve();
  assert.equal(used.length, 1);
  assert.equal(used[0].people?.length, 1);
});

test("a refusal is said in the editor", async () => {
  const editor = new PoseEditor(defaultPose(64, 64), async () => {
    throw new Error("The server does not answer; try again.");
  });
  await editor.finish();
  assert.equal(editor.say.textContent, "The server does not answer; try again.");
  assert.ok(editor.dialog.isConnected);
});

test("sizes that are sent are whole cells, and poses belong to their type", () => {
  assert.deepEqual([1, 515, 5000].map(asSide), [64, 512, 2048]);
  assert.ok(isPosed({ control_type: "OpenPose", module: "none" }));
  assert.ok(isPosed({ control_type: "All", module: "dw_openpose_full" }));
  assert.ok(!isPosed({ control_type: "All", module: "canny" }));
  assert.ok(isImagePrompt("ip-adapter-plus_sd15 [1234]") && !isImagePrompt("control_v11p_sd15_canny"));
});

test("a unit's inputs are those of where its pictures come from", () => {
  const shown = (/** @type {string} */ mode) =>
    Object.entries(inputsOf({ input_mode: mode }))
      .filter(([, used]) => used)
      .map(([name]) => name);
  assert.deepEqual(shown("Single Image"), ["image", "preview"]);
  assert.deepEqual(shown("Multi-Inputs"), ["image", "preview", "more_images"]);
  assert.deepEqual(shown("Batch"), ["batch_images", "output_dir"]);
});
