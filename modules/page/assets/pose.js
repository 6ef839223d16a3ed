// @ts-check
// Poses of persons as the editor has them, and as OpenPose's JSON. What changes a pose answers another one.

/** @import { Point, Pose, PoseJson } from "./types.js" */

export const JOINTS = [
  "Nose",
  "Neck",
  "Right shoulder",
  "Right elbow",
  "Right wrist",
  "Left shoulder",
  "Left elbow",
  "Left wrist",
  "Right hip",
  "Right knee",
  "Right ankle",
  "Left hip",
  "Left knee",
  "Left ankle",
  "Right eye",
  "Left eye",
  "Right ear",
  "Left ear",
];

export const LIMBS = [
  [1, 2],
  [1, 5],
  [2, 3],
  [3, 4],
  [5, 6],
  [6, 7],
  [1, 8],
  [8, 9],
  [9, 10],
  [1, 11],
  [11, 12],
  [12, 13],
  [1, 0],
  [0, 14],
  [14, 16],
  [0, 15],
  [15, 17],
];

// Somebody who stands and looks at us, as shares of a square.
const STANDING = [
  [0.5, 0.16],
  [0.5, 0.26],
  [0.42, 0.26],
  [0.38, 0.39],
  [0.36, 0.51],
  [0.58, 0.26],
  [0.62, 0.39],
  [0.64, 0.51],
  [0.45, 0.52],
  [0.44, 0.71],
  [0.43, 0.9],
  [0.55, 0.52],
  [0.56, 0.71],
  [0.57, 0.9],
  [0.48, 0.14],
  [0.52, 0.14],
  [0.46, 0.15],
  [0.54, 0.15],
];

const BODY = "pose_keypoints_2d";

/**
 * The colour of a limb or a joint: eighteen steps around the circle of hues, as models were trained on.
 * @param {number} index
 */
export const colourOf = (index) => `hsl(${index * 20} 100% 50%)`;

/**
 * @param {number} width
 * @param {number} height
 * @returns {(Point | null)[]}
 */
function standing(width, height) {
  const side = Math.min(width, height);
  const [left, top] = [(width - side) / 2, (height - side) / 2];
  return STANDING.map(([x, y]) => ({ x: Math.round(left + x * side), y: Math.round(top + y * side) }));
}

/**
 * One person in the middle of a canvas.
 * @param {number} width
 * @param {number} height
 * @returns {Pose}
 */
export const defaultPose = (width, height) => ({
  width,
  height,
  people: [{ body: standing(width, height), more: {} }],
});

/**
 * @param {PoseJson} json
 * @returns {Pose}
 */
export function poseOf(json) {
  const { canvas_width: width, canvas_height: height } = json;
  const people = (json.people ?? []).map(({ [BODY]: flat, ...more }) => {
    const found = flat?.length === 3 * JOINTS.length ? flat : [];
    const shares = found.every((value) => value >= 0 && value <= 1);
    const [across, down] = shares ? [width, height] : [1, 1];
    const body = JOINTS.map((_, joint) => {
      const [x, y, sure] = found.slice(3 * joint, 3 * joint + 3);
      return sure > 0 ? { x: x * across, y: y * down } : null;
    });
    return { body, more };
  });
  return { width, height, people };
}

/**
 * @param {Pose} pose
 * @returns {PoseJson}
 */
export const jsonOf = ({ width, height, people }) => ({
  people: people.map(({ body, more }) => ({
    [BODY]: body.flatMap((point) => (point ? [point.x, point.y, 1] : [0, 0, 0])),
    ...more,
  })),
  canvas_width: width,
  canvas_height: height,
});

/**
 * @param {Pose} pose
 * @param {number} person
 * @param {number} joint
 * @param {Point | null} point
 * @returns {Pose}
 */
const withJoint = (pose, person, joint, point) => ({
  ...pose,
  people: pose.people.map((one, place) =>
    place === person ? { ...one, body: one.body.map((old, index) => (index === joint ? point : old)) } : one,
  ),
});

/**
 * A joint somewhere else, but on the canvas.
 * @param {Pose} pose
 * @param {number} person
 * @param {number} joint
 * @param {Point} to
 */
export function moved(pose, person, joint, { x, y }) {
  const within = (/** @type {number} */ value, /** @type {number} */ most) =>
    Math.round(Math.max(0, Math.min(most, value)));
  return withJoint(pose, person, joint, { x: within(x, pose.width), y: within(y, pose.height) });
}

/**
 * @param {Pose} pose
 * @param {number} person
 * @param {number} joint
 */
export const removed = (pose, person, joint) => withJoint(pose, person, joint, null);

/**
 * A joint that a person lacks, beside those that it hangs together with, else in the middle of the canvas.
 * @param {Pose} pose
 * @param {number} person
 * @param {number} joint
 */
export function added(pose, person, joint) {
  const own = standing(pose.width, pose.height);
  const body = pose.people[person]?.body ?? [];
  const beside = LIMBS.filter((limb) => limb.includes(joint)).map(([one, other]) => (one === joint ? other : one));
  const neighbour = beside.find((index) => body[index]);
  const [wanted, near, place] = [own[joint], own[neighbour ?? joint], neighbour === undefined ? null : body[neighbour]];
  if (!wanted || !near) return pose;
  const at = place ? { x: place.x + wanted.x - near.x, y: place.y + wanted.y - near.y } : wanted;
  return moved(pose, person, joint, at);
}

/**
 * One person more, a little aside of those who stand there.
 * @param {Pose} pose
 * @returns {Pose}
 */
export function joinedBy(pose) {
  const shift = (pose.people.length * pose.width) / 12;
  const body = standing(pose.width, pose.height).map((point) =>
    point ? { x: Math.round((point.x + shift) % pose.width), y: point.y } : null,
  );
  return { ...pose, people: [...pose.people, { body, more: {} }] };
}

/**
 * @param {Pose} pose
 * @param {number} person
 * @returns {Pose}
 */
export const leftBy = (pose, person) => ({ ...pose, people: pose.people.filter((_, place) => place !== person) });
