// @ts-check
// One job as a row of the Queue tab: picture, prompt, what it is, and what can be done with it.

/** @import { Mode, QueueRow } from "./types.js" */

import { jobsUrl, url } from "./client.js";
import { element, joined, need } from "./dom.js";
import { duration, isPainted } from "./progress_text.js";

/**
 * What a row's buttons do; a body goes with what needs one.
 * @typedef {{
 *   act: (path: string, body?: object) => Promise<unknown>,
 *   move: (id: string, position: number) => Promise<unknown>,
 * }} Actions
 */

/** @type {Record<string, (at: string) => string>} */
const ENDS = {
  finished: (at) => `Finished ${at}`,
  interrupted: (at) => `Interrupted ${at}`,
  cancelled: (at) => `Cancelled ${at}`,
  failed: (at) => `Failed ${at}`,
};

/**
 * @param {string} what the name by which the button is found again when its row was drawn anew
 * @param {string} text
 * @param {string} label
 * @param {() => Promise<unknown>} press
 * @param {Partial<HTMLButtonElement>} more
 */
function button(what, text, label, press, more = {}) {
  const made = element("button", { type: "button", textContent: text, title: label, ariaLabel: label, ...more });
  made.dataset.act = what;
  made.onclick = async () => {
    // A second press must not ask for the same thing twice; a button that is disabled would lose the focus.
    if (made.dataset.busy) return;
    made.dataset.busy = "yes";
    await press();
    delete made.dataset.busy;
  };
  return made;
}

/** @type {Partial<Record<Mode, string>>} what jobs without a prompt are called */
const NAMES = { extras: "Extras", modelmerger: "Checkpoint Merger" };

/** @param {QueueRow} job */
export const title = (job) => {
  if (job.prompt) return job.prompt;
  if (!job.visible) return "(another browser's)";
  return NAMES[job.mode] ?? "(no prompt)";
};

/**
 * What it is, in parts that stand side by side; the name of its checkpoint is not among them.
 * @param {QueueRow & { ended: boolean }} job
 */
export function aboutParts(job) {
  const painted = isPainted(job.mode) ? [`${job.width}×${job.height}`, `${job.steps} steps`] : [];
  /** @type {string[]} */
  const parts = [job.mode, ...painted];
  if (job.mode !== "modelmerger" && (job.wanted > 1 || job.ended)) parts.push(`${job.made}/${job.wanted} pictures`);
  if (job.program) parts.push("From a program");
  return parts;
}

/** @param {QueueRow} job */
const checkpointName = ({ mode, checkpoint }) =>
  checkpoint && isPainted(mode) ? checkpoint.replace(/\.(safetensors|ckpt)( \[.*)?$/, "") : "";

/** @param {QueueRow} job */
function line(job) {
  const made = element(
    "small",
    {},
    ...joined([...whenParts(job), ...aboutParts({ ...job, ended: job.state in ENDS })]),
  );
  const name = checkpointName(job);
  if (name) made.append(" · ", element("span", { className: "no-translate", textContent: name }));
  return made;
}

/**
 * Date and time: a queue outlives the day.
 * @param {number} seconds
 */
function moment(seconds) {
  const at = new Date(seconds * 1000);
  return `${at.toLocaleDateString()} ${at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`;
}

/**
 * Since when it waits or runs, or when it ended and how long it took.
 * @param {QueueRow} job
 */
export function whenParts(job) {
  if (job.state === "waiting") return [`Waits since ${moment(job.created)}`];
  if (job.state === "running") return [`Began ${moment(job.started ?? job.created)}`];
  const finished = job.finished ?? job.created;
  const took = job.started && job.state !== "cancelled" ? [`Took ${duration(finished - job.started)}`] : [];
  return [ENDS[job.state](moment(finished)), ...took];
}

/**
 * A picture of the job that opens by itself.
 * @param {QueueRow} job
 * @param {number} place in `pictures`
 * @param {string} className
 */
function picture(job, place, className) {
  const { number } = job.pictures[place];
  const count = job.pictures.length;
  const label =
    count > 1 ? `Open picture ${place + 1} of ${count} of ${title(job)}` : `Open the picture of ${title(job)}`;
  const frame = element("a", {
    className,
    href: jobsUrl(`${job.id}/images/${number}`),
    target: "_blank",
    ariaLabel: label,
  });
  frame.append(element("img", { src: url(`thumbnail/${job.id}?number=${number}`), alt: "", loading: "lazy" }));
  return frame;
}

/**
 * The picture that stands for the job. A stranger's is not shown, as its prompt is not.
 * @param {QueueRow} job
 */
const cover = (job) => (job.pictures.length ? picture(job, 0, "picture") : element("span", { className: "picture" }));

/**
 * @param {QueueRow} job
 * @param {number} count
 * @param {Actions} doing
 */
function actions(job, count, { act, move }) {
  const name = title(job).slice(0, 60);
  const duplicate = button("duplicate", "Duplicate", `Duplicate: ${name}`, () => act(`${job.id}/duplicate`));
  if (job.state === "running") {
    return [
      button("interrupt", "Interrupt", `Interrupt ${name}`, () => act(`${job.id}/interrupt`)),
      button("skip", "Skip", `Skip the batch under way of ${name}`, () => act(`${job.id}/skip`)),
      duplicate,
    ];
  }
  if (job.state === "waiting" && job.position) {
    const place = job.position;
    return [
      button("up", "↑", `Move up: ${name}`, () => move(job.id, place - 1), { disabled: place === 1 }),
      button("down", "↓", `Move down: ${name}`, () => move(job.id, place + 1), {
        disabled: place === count,
      }),
      duplicate,
      button("cancel", "✕", `Cancel ${name}`, () => act(`${job.id}/cancel`)),
    ];
  }
  const retry = button("retry", "Retry", `Retry with the same seed: ${name}`, () => act(`${job.id}/retry`));
  return job.state === "finished" ? [duplicate] : [retry, duplicate];
}

/**
 * @param {QueueRow} job
 * @param {number} count of the jobs that wait
 * @param {Actions} doing
 */
export function queueRow(job, count, doing) {
  // A prompt is nobody's to translate; why there is none is.
  const name = element("b", {
    textContent: title(job),
    title: title(job),
    className: job.prompt ? "no-translate" : "",
  });
  const text = element("div", { className: "text" }, name, line(job));
  if (job.cause) text.append(element("small", { className: "cause", textContent: job.cause }));
  for (const notice of job.notices) text.append(element("small", { className: "notice", textContent: notice }));
  const row = element("li", { className: job.state === "failed" ? "failed" : "" });
  if (job.state === "waiting") {
    const label = `Drag to reorder, or press the arrow keys: ${title(job).slice(0, 60)}, place ${job.position} of ${count}`;
    const handle = element("button", {
      type: "button",
      className: "handle",
      textContent: "⠿",
      title: "Drag to reorder",
      ariaLabel: label,
    });
    handle.dataset.act = "handle";
    row.append(handle, element("span", { className: "place", textContent: String(job.position) }));
  } else {
    row.append(cover(job));
  }
  if (job.state === "running") text.append(bar());
  if (job.pictures.length > 1) {
    const all = job.pictures.map((_, place) => picture(job, place, "small"));
    text.append(element("div", { className: "pictures" }, ...all));
  }
  row.append(text, element("div", { className: "actions" }, ...actions(job, count, doing)));
  return row;
}

function bar() {
  const made = element("div", { className: "bar" }, element("div", { className: "fill" }), element("span"));
  made.setAttribute("role", "progressbar");
  made.setAttribute("aria-label", "Progress");
  return made;
}

/**
 * What moves every second, apart from the row that stays.
 * @param {HTMLElement} row
 * @param {QueueRow} job
 */
export function progressLine(row, job) {
  const now = job.progress;
  const line = need(row, ".bar", HTMLElement);
  const percent = now ? Math.floor(now.fraction * 100) : 0;
  line.setAttribute("aria-valuenow", String(percent));
  need(line, ".fill", HTMLElement).style.width = `${percent}%`;
  const left = now && now.eta !== null ? [`${duration(now.eta)} left`] : [];
  const parts = now?.steps ? [`${percent}%`, `Step ${now.step}/${now.steps}`, ...left] : ["Starting…"];
  need(line, "span", HTMLElement).replaceChildren(...joined(parts));
  const preview = now?.preview && job.visible ? url(`preview/${job.id}?n=${now.preview}`) : "";
  const frame = need(row, ".picture", HTMLElement);
  if (!preview || frame.dataset.shown === preview) return;
  frame.dataset.shown = preview;
  const next = element("img", { alt: "Live preview" });
  next.onload = () => frame.replaceChildren(next);
  next.src = preview;
}
