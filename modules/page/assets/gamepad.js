// A gamepad leafs through pictures, as in A1111: stick or cross to the left or right, or the shoulder buttons.

const DEAD = 0.3; // of a stick's way: it never rests at its middle
const BUTTONS = { 4: -1, 5: 1, 14: -1, 15: 1 };

function direction() {
  for (const pad of navigator.getGamepads?.() ?? []) {
    if (!pad) continue;
    const [stick = 0] = pad.axes;
    if (Math.abs(stick) >= DEAD) return Math.sign(stick);
    const pressed = Object.keys(BUTTONS).find((number) => pad.buttons[number]?.pressed);
    if (pressed) return BUTTONS[pressed];
  }
  return 0;
}

// `pause` tells the milliseconds between two pictures while a direction is held, and 0 once nothing is to be leafed.
export function leafByGamepad(pause, step) {
  let [held, next] = [direction(), Infinity];
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
