// @ts-check
// A gamepad leafs through pictures, as in A1111: stick or cross to the left or right, or the shoulder buttons.

const DEAD = 0.3; // of a stick's way: it never rests at its middle
/** @type {[number, number][]} a button's number, and the direction it means */
const BUTTONS = [
  [4, -1],
  [5, 1],
  [14, -1],
  [15, 1],
];

function direction() {
  for (const pad of navigator.getGamepads?.() ?? []) {
    if (!pad) continue;
    const [stick = 0] = pad.axes;
    if (Math.abs(stick) >= DEAD) return Math.sign(stick);
    const pressed = BUTTONS.find(([number]) => pad.buttons[number]?.pressed);
    if (pressed) return pressed[1];
  }
  return 0;
}

/**
 * @param {() => number} pause milliseconds between two pictures while a direction is held; 0 ends the watching
 * @param {(direction: number) => void} step
 */
export function leafByGamepad(pause, step) {
  let [held, next] = [direction(), Infinity];
  /** @param {number} now */
  function look(now) {
    const wait = pause();
    if (!wait) return;
    const towards = direction();
    if (towards && (towards !== held || now >= next)) {
      step(towards);
      next = now + wait;
    }
    held = towards;
    requestAnimationFrame(look);
  }
  requestAnimationFrame(look);
}
