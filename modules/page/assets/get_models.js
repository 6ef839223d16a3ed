// @ts-check
// The Get models tab: an address looked up, downloads with their progress, suggestions, access tokens, from /v1/downloads.

/** @import { DownloadList, DownloadRow, ModelThere, OfferedModel } from "./types.js" */

import { apiUrl, readFrom } from "./client.js";
import { button, element, find, joined, need, sendTo, sentence } from "./dom.js";
import { listAgain } from "./jobs.js";
import { toast } from "./messages.js";
import { watchPrograms } from "./other_programs.js";

const PAUSE = 1000;
const IDLE = 10000;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
let visible = false;
/** @type {Map<string, string> | null} the states by id that were seen last */
let seen = null;

const panel = () => document.getElementById("get_models_panel");

/** @param {number} bytes */
export const size = (bytes) =>
  bytes >= 1e9
    ? `${(bytes / 1e9).toFixed(1)} GB`
    : bytes >= 1e6
      ? `${Math.round(bytes / 1e6)} MB`
      : `${Math.ceil(bytes / 1e3)} kB`;

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  return seconds < 3600 ? `${Math.ceil(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/**
 * Change something, then draw anew.
 * @param {string} path
 * @param {object} [body]
 */
async function order(path, body = {}, method = "POST") {
  try {
    const answer = await sendTo(apiUrl(path), body, { method });
    await poll();
    return answer;
  } catch (error) {
    toast(sentence(error));
    return null;
  }
}

export async function poll() {
  clearTimeout(timer);
  const frame = panel();
  if (!visible || !frame) return;
  let wait = IDLE;
  try {
    /** @type {DownloadList} */
    const list = await readFrom(apiUrl("downloads"));
    draw(frame, list);
    if (list.downloads.some(({ state }) => ["waiting", "running", "checking"].includes(state))) wait = PAUSE;
  } catch (error) {
    need(frame, ".list", HTMLElement).replaceChildren(element("li", { className: "nothing" }, sentence(error)));
  }
  clearTimeout(timer);
  timer = setTimeout(poll, wait);
}

/**
 * @param {HTMLElement} frame
 * @param {DownloadList} list
 */
function draw(frame, { downloads, tokens, notice }) {
  const now = new Map(downloads.map(({ id, state }) => [id, state]));
  const ended = downloads.filter(({ id, state }) => seen && seen.get(id) !== state && state === "finished");
  const first = seen === null;
  seen = now;
  if (first && notice) toast(notice);
  if (ended.length) {
    listAgain();
    offer();
    need(frame, ".spoken", HTMLElement).textContent = `Fetched: ${ended.map(({ name }) => name).join(", ")}`;
  }
  const list = need(frame, ".list", HTMLElement);
  const held = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.key : "";
  const rows = downloads.toReversed().map(row);
  list.replaceChildren(...(rows.length ? rows : [element("li", { className: "nothing" }, "Nothing was fetched yet.")]));
  // Who presses a button stays on it, though its row is new.
  if (held) find(list, `[data-key="${CSS.escape(held)}"]`, HTMLElement)?.focus({ preventScroll: true });
  drawTokens(frame, tokens);
}

const STATES = {
  waiting: "waiting",
  running: "running",
  checking: "being checked",
  paused: "paused",
  failed: "failed",
  finished: "finished",
};

/** @param {DownloadRow} one */
function row(one) {
  const { id, name, state, kind, received, speed, left, cause } = one;
  const under = ["waiting", "running", "checking"].includes(state);
  const facts = [
    STATES[state],
    kind,
    one.size && state !== "finished" ? `${size(received)} / ${size(one.size)}` : size(received),
  ];
  if (speed) facts.push(`${size(speed)}/s`);
  if (left !== null) facts.push(duration(left));
  const bar = element("progress", { max: one.size || 1, value: state === "finished" ? one.size || 1 : received });
  bar.setAttribute("aria-label", name);
  /** @type {HTMLButtonElement[]} */
  const actions = [];
  /** @param {string} text @param {() => unknown} press */
  const act = (text, press) => {
    const made = button(text, press, { ariaLabel: `${text}: ${name}` });
    made.dataset.key = `${id}:${text}`;
    actions.push(made);
  };
  if (under) act("Pause", () => order(`downloads/${id}/pause`));
  if (state === "paused" || state === "failed") act("Resume", () => order(`downloads/${id}/resume`));
  act("Remove", () => order(`downloads/${id}`, {}, "DELETE"));
  const text = element(
    "div",
    { className: "text" },
    element("b", {}, name),
    element("small", {}, ...joined(facts.filter(Boolean))),
  );
  if (under || state === "paused") text.append(bar);
  if (cause) text.append(element("small", { className: state === "failed" ? "cause" : "" }, cause));
  const made = element("li", { className: state }, text, element("div", { className: "actions" }, ...actions));
  made.dataset.id = id;
  return made;
}

/** The suggestions, read again whenever one may have come. */
async function offer() {
  const frame = panel();
  if (!frame) return;
  try {
    /** @type {OfferedModel[]} */
    const models = await readFrom(apiUrl("downloads/offered"));
    need(frame, ".offered", HTMLElement).replaceChildren(...models.map(suggestion));
  } catch {
    // The list of downloads says why.
  }
}

/** @param {OfferedModel} model */
function suggestion({ id, title, text, licence, page, card, size: bytes, there }) {
  const link = element("a", { href: page, target: "_blank", rel: "noopener noreferrer" }, title);
  const facts = [size(bytes), licence, card === "any" ? "any card" : `card: ${card}`];
  const get = there
    ? element("span", { className: "there" }, "is there")
    : button("Get", () => order("downloads", { offered: id }), { ariaLabel: `Get: ${title}` });
  return element(
    "li",
    {},
    element(
      "div",
      { className: "text" },
      element("b", {}, link),
      element("small", {}, text),
      element("small", {}, ...joined(facts)),
    ),
    element("div", { className: "actions" }, get),
  );
}

/** @param {HTMLElement} frame */
async function look(frame) {
  const field = need(frame, "#get_models_address", HTMLInputElement);
  const submit = need(frame, ".look button", HTMLButtonElement);
  const address = field.value.trim();
  if (!address) return;
  submit.disabled = true;
  const found = need(frame, ".found", HTMLElement);
  try {
    /** @type {ModelThere} */
    const model = await sendTo(apiUrl("downloads/look"), { address });
    found.replaceChildren(...shownFiles(address, model));
  } catch (error) {
    found.replaceChildren(element("p", { className: "cause", role: "alert" }, sentence(error)));
  } finally {
    submit.disabled = false;
  }
  found.hidden = false;
}

/**
 * @param {string} address
 * @param {ModelThere} model
 */
function shownFiles(address, { title, page, kinds, files }) {
  const heading = element("h3", {}, element("a", { href: page, target: "_blank", rel: "noopener noreferrer" }, title));
  const rows = files.map(({ number, name, size: bytes, kind }) => {
    const choice = element(
      "select",
      { ariaLabel: `What ${name} is` },
      element("option", { value: "" }, "what the file says"),
    );
    choice.append(...kinds.map((one) => element("option", { value: one }, one)));
    choice.value = kinds.includes(kind) ? kind : "";
    const get = button("Get", () => order("downloads", { address, file: number, kind: choice.value }), {
      ariaLabel: `Get: ${name}`,
    });
    const facts = element("small", {}, bytes ? size(bytes) : "");
    return element(
      "li",
      {},
      element("div", { className: "text" }, element("b", {}, name), facts),
      element("div", { className: "actions" }, choice, get),
    );
  });
  return [heading, element("ul", {}, ...rows)];
}

const SITES = { hugging_face: "Hugging Face", civitai: "Civitai" };

/**
 * @param {HTMLElement} frame
 * @param {Record<string, boolean>} known
 */
function drawTokens(frame, known) {
  const details = need(frame, ".tokens", HTMLElement);
  for (const [site, title] of Object.entries(SITES)) {
    const old = find(details, `[data-site="${site}"]`, HTMLElement);
    const form = old ?? tokenForm(site, title);
    need(form, ".state", HTMLElement).textContent = known[site] ? "is set" : "none";
    need(form, ".forget", HTMLElement).hidden = !known[site];
    if (!old) details.append(form);
  }
}

/**
 * @param {string} site
 * @param {string} title
 */
function tokenForm(site, title) {
  const field = element("input", { type: "password", autocomplete: "off", maxLength: 400, id: `token_${site}` });
  /** @param {string} token */
  const enter = async (token) => {
    if (await order("downloads/tokens", { site, token })) field.value = "";
  };
  const form = element(
    "form",
    {},
    element("label", { htmlFor: field.id }, title),
    element("small", { className: "state" }),
    field,
    element("button", { type: "submit" }, "Save"),
    button("Forget", () => enter(""), { className: "forget", ariaLabel: `Forget: ${title}` }),
  );
  form.dataset.site = site;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (field.value) enter(field.value);
  });
  return form;
}

// The tab's content stands in the page only once it has been opened.
export function watchGetModels() {
  const watcher = new IntersectionObserver((entries) => {
    visible = entries.at(-1)?.isIntersecting ?? false;
    poll();
  });
  new MutationObserver(() => {
    const frame = panel();
    if (!frame || frame.dataset.watched) return;
    frame.dataset.watched = "yes";
    need(frame, ".look", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      look(frame);
    });
    offer();
    watchPrograms(need(frame, ".programs", HTMLDetailsElement));
    watcher.observe(frame);
  }).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("visibilitychange", () => document.hidden || poll());
  document.addEventListener("click", ({ target }) => {
    if (target instanceof Element && target.closest("#demo_get, #get_models")) {
      document.getElementById("tab_get_models-button")?.click();
    }
  });
}
