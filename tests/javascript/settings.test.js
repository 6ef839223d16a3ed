import assert from "node:assert/strict";
import { test } from "node:test";

import { searchSettings } from "../../modules/page/assets/settings_search.js";

const MENU = ["sd_lora", "lora_add_hashes", "jpeg_quality"];
const SETTINGS = [
  { key: "quicksettings_list", label: "Settings above the tabs", hint: "", section: "User interface", menu: MENU },
  { key: "grid_text_color", label: "Caption colour in grids", hint: "", section: "Saving images/grids" },
  { key: "lora_show_all", label: "Show LoRAs of every model family", hint: "", section: "Extra Networks" },
  { key: "sd_lora", label: "LoRA for every prompt", hint: "", section: "Extra Networks" },
  { key: "cache_fp16", label: "Keep 16-bit weights", hint: "for LoRA", section: "Optimizations" },
  { key: "gradio_theme", label: "Gradio theme", hint: "", section: "User interface" },
  { key: "outdir_samples", label: "Folder for pictures", hint: "", section: "Paths for saving" },
  { key: "temp_dir", label: "Folder for temporary pictures", hint: "", section: "Saving images/grids" },
  {
    key: "jpeg_quality",
    label: "Quality of JPEG",
    hint: "",
    shown: "Qualität von JPEG",
    section: "Saving images/grids",
  },
  { key: "localization", label: "Language", hint: "", section: "User interface" },
];

/** @param {string} query */
const search = (query) => searchSettings(SETTINGS, query).map((index) => SETTINGS[index].key);

test("a setting's own words go before the entries of a menu, and no word is found inside of another", () => {
  assert.deepEqual(search("lora"), ["sd_lora", "lora_show_all", "cache_fp16", "quicksettings_list"]);
});

test("settings are found by what is meant", () => {
  assert.equal(search("dark")[0], "gradio_theme");
  assert.deepEqual(search("outputs"), ["outdir_samples"]);
  assert.deepEqual(search("directory"), ["outdir_samples", "temp_dir"]);
  assert.deepEqual(search("translation"), ["localization"]);
});

test("each word must be found, in any order, with or without small words, in any of the page's languages", () => {
  for (const query of ["jpeg quality", "jpeg_quality", "Quality of the JPEG", "qualität von jpeg", "qual jpg"]) {
    assert.equal(search(query)[0], "jpeg_quality", query);
  }
  assert.deepEqual(search("jpeg nonsense"), []);
});

test("without words, all settings stay in their order", () => {
  assert.deepEqual(
    search(" _ "),
    SETTINGS.map(({ key }) => key),
  );
});
