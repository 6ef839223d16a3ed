// Names for the buttons that show only a symbol, read aloud and shown on hover, and for fields without a visible label.

const HINTS = {
  txt2img_paste: "Read generation parameters from the prompt, or from the last generation if the prompt is empty",
  txt2img_clear_prompt: "Clear prompt",
  txt2img_style_apply: "Apply all selected styles to the prompts",
  txt2img_styles_refresh: "Refresh styles",
  refresh_sd_model_checkpoint: "Refresh the list of checkpoints",
  txt2img_res_switch_btn: "Switch width and height",
  txt2img_random_seed: "Set seed to -1, which gives a new random seed every time",
  txt2img_reuse_seed: "Reuse seed from the picture on display",
  txt2img_random_subseed: "Set variation seed to -1",
  txt2img_reuse_subseed: "Reuse variation seed from the picture on display",
  txt2img_open_folder: "Open images output directory",
  save_txt2img: "Save the image to a dedicated directory",
  save_zip_txt2img: "Save zip archive with images",
  txt2img_interrupt: "Interrupt (Esc)",
  txt2img_skip: "Skip to the next image (Alt+Enter)",
  txt2img_generate: "Generate (Ctrl+Enter); pressed again, the next job is queued",
};
const KEEP_NAME = new Set(["txt2img_interrupt", "txt2img_skip", "txt2img_generate"]);

export function nameButtons() {
  for (const [id, text] of Object.entries(HINTS)) {
    const button = document.getElementById(id);
    if (!button || button.title) continue;
    button.title = text;
    if (!KEEP_NAME.has(id)) button.setAttribute("aria-label", text);
  }
}
