// Draws what the server says about jobs: progress bar, preview, queue, engine, recent pictures, window title.

import { act, url } from "./client.js";
import { toast } from "./messages.js";

const TITLE = "Stable Diffusion";

export const eta = (seconds) => {
  if (seconds == null) return "";
  const whole = Math.max(0, Math.round(seconds));
  return whole < 60 ? `${whole}s` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
};

function words(state) {
  const { running, waiting } = state;
  const mine = waiting.find((job) => job.mine);
  if (running?.mine) {
    const percent = Math.floor(running.fraction * 100);
    const { batch } = running;
    if (batch) return `File ${Math.min(batch.done + 1, batch.count)}/${batch.count}: ${percent}%`;
    if (!percent && !running.step) return "Starting…";
    const left = eta(running.eta);
    return left ? `${percent}% ETA: ${left}` : `${percent}%`;
  }
  if (mine) return `In queue: ${mine.position}/${state.waiting_count}`;
  return "";
}

export function drawProgress(state, modes) {
  const text = words(state);
  document.title = text && state.settings.title ? `[${text}] ${TITLE}` : TITLE;
  document.body.toggleAttribute("data-live-lightbox", state.settings.lightbox && state.settings.live_lightbox);
  for (const mode of modes) drawTab(mode, state, text);
}

function drawTab(mode, state, told) {
  const live = document.querySelector(`#${mode}_live .live`);
  if (!live) return;
  const running = state.running?.mine && state.running.mode === mode ? state.running : null;
  // What runs is shown on its own tab, a place in the queue on every one.
  const text = state.running?.mine && !running ? "" : told;
  live.hidden = !text && !state.waiting.length;
  const bar = live.querySelector(".bar");
  const percent = running ? Math.floor(running.fraction * 100) : 0;
  bar.hidden = !text || !state.settings.progressbar;
  bar.setAttribute("aria-valuenow", percent);
  bar.querySelector(".fill").style.width = `${percent}%`;
  bar.querySelector(".text").textContent = running?.steps && percent ? `${text}  ·  step ${running.step}/${running.steps}` : text;
  drawPreview(mode, live.querySelector(".preview"), running);
  for (const id of [`${mode}_interrupt`, `${mode}_skip`]) {
    document.getElementById(id)?.classList.toggle("idle", !state.running);
  }
}

function drawPreview(mode, image, running) {
  const gallery = document.getElementById(`${mode}_gallery`);
  const wanted = running?.preview ? url(`preview/${running.id}?n=${running.preview}`) : "";
  if (wanted && image.dataset.wanted !== wanted) {
    image.dataset.wanted = wanted;
    // Swapped only when it is there, so that the picture never blinks.
    const next = new Image();
    next.onload = () => {
      if (image.dataset.wanted !== wanted) return;
      image.src = wanted;
      image.hidden = false;
      gallery?.classList.add("behind-preview");
      document.dispatchEvent(new CustomEvent("webui-preview"));
    };
    next.src = wanted;
  }
  if (!wanted) {
    const ended = !image.hidden;
    delete image.dataset.wanted;
    image.hidden = true;
    image.removeAttribute("src");
    gallery?.classList.remove("behind-preview");
    if (ended) document.dispatchEvent(new CustomEvent("webui-preview"));
  }
}

export function drawQueue(mode, state, again) {
  const list = document.querySelector(`#${mode}_live .queue`);
  if (!list) return;
  const key = JSON.stringify([state.waiting, state.waiting_count]);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...state.waiting.map((job) => queueRow(job, state.waiting_count, again)));
}

function queueRow(job, count, again) {
  const row = document.createElement("li");
  const text = document.createElement("span");
  const files = job.files ? `${job.files} files of a batch: ` : "";
  text.textContent = `In queue: ${job.position}/${count}  ${files}${job.mine ? job.prompt || "(no prompt)" : "(somebody else's)"}`;
  row.append(text);
  if (job.mine) {
    const button = document.createElement("button");
    button.textContent = "Cancel";
    button.setAttribute("aria-label", `Cancel job ${job.position} of the queue`);
    button.onclick = async () => {
      const refusal = await act(`jobs/${job.id}/cancel`).catch(() => "The server does not answer; try again.");
      if (refusal) toast(refusal);
      again();
    };
    row.append(button);
  }
  return row;
}

export function drawEngine(engine) {
  const line = document.querySelector("#engine_status .engine");
  if (!line) return;
  line.dataset.state = engine.state;
  line.querySelector("span").textContent = engine.sentence;
  document.body.classList.toggle("demo", (engine.checkpoint ?? "").startsWith("demo-emoji"));
}

export function drawLost() {
  drawEngine({ state: "lost", sentence: "Connection lost, retrying…" });
}

export function drawRecent(mode, recent, shown, choose) {
  const shelf = document.querySelector(`#${mode}_recent .recent`);
  if (!shelf) return;
  const key = JSON.stringify([recent.map((job) => [job.id, job.images]), shown]);
  if (shelf.dataset.key === key) return;
  shelf.dataset.key = key;
  shelf.hidden = recent.length < 2;
  shelf.replaceChildren(
    ...recent.map((job, place) => {
      const button = document.createElement("button");
      button.className = job.id === shown ? "chosen" : "";
      button.setAttribute("aria-label", `Show the results of job ${place + 1}, counted back from the newest`);
      const image = document.createElement("img");
      image.src = url(`thumbnail/${job.id}?n=${job.images}`);
      image.alt = "";
      image.loading = "lazy";
      button.append(image);
      button.onclick = () => choose(job.id);
      return button;
    }),
  );
}
