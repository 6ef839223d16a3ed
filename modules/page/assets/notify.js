// @ts-check
// When a job of this browser ends: a sound, and a notification if the page isn't looked at; the screen awake meanwhile.

/** @import { PageState } from "./types.js" */

import { url } from "./client.js";

/** @type {string | null} the job of this browser that was under way at the last look */
let running = null;
/** @type {WakeLockSentinel | null} */
let awake = null;

// A person's own notification.mp3 in the data folder, else two soft tones.
/** @param {number} volume 0 to 1 */
async function sound(volume) {
  const own = new Audio(url("notification"));
  own.volume = volume;
  await own.play().catch(() => chime(volume));
}

/** @param {number} volume 0 to 1 */
function chime(volume) {
  const context = new AudioContext();
  for (const [pitch, start] of [
    [660, 0],
    [880, 0.18],
  ]) {
    const tone = context.createOscillator();
    const level = context.createGain();
    tone.frequency.value = pitch;
    level.gain.setValueAtTime(0.2 * volume, context.currentTime + start);
    level.gain.exponentialRampToValueAtTime(0.0001, context.currentTime + start + 0.4);
    tone.connect(level).connect(context.destination);
    tone.start(context.currentTime + start);
    tone.stop(context.currentTime + start + 0.45);
  }
  setTimeout(() => context.close(), 1500);
}

/** @param {boolean} wanted */
async function keepAwake(wanted) {
  if (wanted === Boolean(awake) || !navigator.wakeLock) return;
  const held = awake;
  awake = null;
  await held?.release();
  if (!wanted) return;
  // Refused on a page that is not looked at, and where the battery is low.
  awake = await navigator.wakeLock.request("screen").catch(() => null);
  awake?.addEventListener("release", () => {
    awake = null;
  });
}

/** @param {PageState} state */
export function notify({ running: now, waiting, latest, settings }) {
  const mine = now?.mine ? now.id : null;
  keepAwake(settings.awake && mine !== null);
  // Several jobs are one wait: the sound comes when the last is done.
  const ended = running !== null && running !== mine && mine === null && !waiting.some((job) => job.mine);
  if (ended && latest && latest.state !== "running") {
    if (settings.volume > 0) sound(settings.volume / 100);
    if (document.hidden && globalThis.Notification?.permission === "granted") {
      const text = latest.state === "failed" ? latest.cause : `${latest.images} images are ready.`;
      new Notification("Stable Diffusion", { body: text ?? "", tag: "webui" });
    }
  }
  running = mine;
}
