// @ts-check
// The Actions page: what can be done to the running program.

import { read } from "./client.js";
import { button, download, element, reloadPage, send, sentence } from "./dom.js";
import { template } from "./localization.js";
import { toast } from "./messages.js";

async function notifications() {
  if (!("Notification" in window)) throw new Error("This browser has no notifications.");
  const answer = await Notification.requestPermission();
  toast(answer === "granted" ? "Notifications are allowed." : "Notifications are not allowed.", "info");
}

async function saveTemplate() {
  download("localization.json", JSON.stringify(template(await read("localization-texts")), null, 4));
}

async function saveReport() {
  download("sysinfo.json", JSON.stringify(await read("system-report"), null, 4));
}

/**
 * @param {string} path
 * @param {string} done
 */
const ask = (path, done) => async () => {
  await send(path);
  toast(done, "info");
};

/** Id, name, what it does, and the doing. @type {[string, string, string, () => Promise<void>][]} */
const ACTIONS = [
  [
    "unload_checkpoint",
    "Unload checkpoint",
    "Frees its memory; the next job loads it again.",
    ask("actions/unload", "The checkpoint is being unloaded."),
  ],
  [
    "reload_checkpoint",
    "Load checkpoint",
    "Loads the chosen checkpoint, if it isn't loaded.",
    ask("actions/load", "The checkpoint is being loaded."),
  ],
  [
    "reload_ui",
    "Reload UI",
    "Builds the page anew, as settings of its layout need it. Running jobs go on.",
    reloadPage,
  ],
  [
    "hash_checkpoints",
    "Calculate hashes of all checkpoints",
    "Reads each file once, in the background.",
    ask("actions/hash", "Hashes are being calculated in the background."),
  ],
  [
    "refresh_models",
    "Look for new model files",
    "Checkpoints, VAEs, LoRAs and embeddings are listed again.",
    ask("actions/refresh", "The model folders were read again."),
  ],
  [
    "notifications",
    "Request browser notifications",
    "Tells you when a job ends while another window is open.",
    notifications,
  ],
  [
    "sysinfo",
    "Download system info",
    "Versions, hardware and changed settings, without secrets, for a report.",
    saveReport,
  ],
  [
    "localization_template",
    "Download localization template",
    "Every text of the page, to be translated.",
    saveTemplate,
  ],
];

/** @param {HTMLElement} into */
export async function drawActions(into) {
  const rows = ACTIONS.map(([id, name, about, act]) => {
    const press = button(name, () => act().catch((error) => toast(sentence(error))), { id: `action_${id}` });
    return element("div", { className: "action" }, press, element("span", { textContent: about }));
  });
  into.replaceChildren(...rows);
}
