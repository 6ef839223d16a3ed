// @ts-check
// What follows every change of a form, once there is a pause: a hidden button is pressed then. Gradio fetches the values of
// all inputs of an event, and a form has hundreds of them; a key and a slider's drag are many changes each.

const PAUSE = 150; // milliseconds

/** @type {Map<string, ReturnType<typeof setTimeout>>} */
const waiting = new Map();

/** @param {string[]} buttons ids; each is pressed once, after the last call that named it */
export function soon(...buttons) {
  for (const id of buttons) {
    clearTimeout(waiting.get(id));
    waiting.set(
      id,
      setTimeout(() => document.getElementById(id)?.click(), PAUSE),
    );
  }
}
