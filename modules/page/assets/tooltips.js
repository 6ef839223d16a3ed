// @ts-check
// Names for the buttons that show only a symbol, read aloud and shown on hover, and for fields without a visible label.

// "tab" stands for txt2img and for img2img.
const TAB_HINTS = {
  tab_paste: "Read generation parameters from the prompt, or from the last generation if the prompt is empty",
  tab_clear_prompt: "Clear prompt",
  tab_style_apply: "Apply all selected styles to the prompts",
  tab_styles_refresh: "Refresh styles",
  tab_checkpoint_refresh: "Refresh the list of checkpoints",
  tab_styles_edit_button: "Edit styles",
  tab_res_switch_btn: "Switch width and height",
  tab_random_seed: "Set seed to -1, which gives a new random seed every time",
  tab_reuse_seed: "Reuse seed from the picture on display",
  tab_random_subseed: "Set variation seed to -1",
  tab_reuse_subseed: "Reuse variation seed from the picture on display",
  tab_open_folder: "Open images output directory",
  save_tab: "Save the image to a dedicated directory",
  save_zip_tab: "Save zip archive with images",
  tab_send_to_img2img: "Send image and generation parameters to img2img tab",
  tab_send_to_inpaint: "Send image and generation parameters to img2img inpaint tab",
  tab_send_to_extras: "Send image and generation parameters to extras tab",
  tab_upscale:
    "Upscale this one: make the picture on display again with the same seed and the Hires. fix settings above",
  tab_detail: "Paint over faces, hands and persons in the picture on display, as ADetailer's tabs above say",
  tab_detect_size: "Set width and height to those of the picture",
  tab_prompt_history: "Prompts so far: look for one and use it again",
  tab_in_library: "Show the picture in the gallery",
  tab_interrupt: "Interrupt (Esc)",
  tab_skip: "Skip to the next image (Alt+Enter)",
  tab_generate: "Generate (Ctrl+Enter); pressed again, the next job is queued",
};
/** @type {Record<string, string>} */
const HINTS = {
  extras_in_library: "Show the picture in the gallery",
  theme_switch: "Switch between light and dark",
  refresh_sd_model_checkpoint: "Refresh the list of checkpoints",
  get_models: "Get models",
  refresh_sd_vae: "Refresh the list of VAE files",
};
for (const tab of ["txt2img", "img2img"]) {
  for (const [id, text] of Object.entries(TAB_HINTS)) HINTS[id.replace(/tab/, tab)] = text;
}
const KEEP_NAME = new Set(
  ["txt2img", "img2img"].flatMap((tab) => [`${tab}_interrupt`, `${tab}_skip`, `${tab}_generate`]),
);

export function nameButtons() {
  for (const [id, text] of Object.entries(HINTS)) {
    const button = document.getElementById(id);
    if (!button || button.title) continue;
    button.title = text;
    if (!KEEP_NAME.has(id)) button.setAttribute("aria-label", text);
  }
}
