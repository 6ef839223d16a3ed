"""Settings about LoRA, textual inversion and hypernetworks, and the cards that show them."""

from functools import partial

from modules.settings import declare

switch = partial(declare.switch, "extra_networks")
whole = partial(declare.whole, "extra_networks")
number = partial(declare.number, "extra_networks")
choice = partial(declare.choice, "extra_networks")
pick = partial(declare.pick, "extra_networks")

OPTIONS = (
    switch("extra_networks_show_hidden_directories", True, "Show hidden folders"),
    choice(
        "extra_networks_hidden_models",
        "When searched",
        "Show cards of hidden folders",
        ("Always", "When searched", "Never"),
    ),
    number("extra_networks_default_multiplier", 1.0, "Weight that a clicked card gets", 0, 2, 0.01, travels=True),
    whole("extra_networks_card_width", 0, "Card width, in pixels", 0, 2000, hint="0: automatic"),
    whole("extra_networks_card_height", 0, "Card height, in pixels", 0, 2000, hint="0: automatic"),
    number("extra_networks_card_text_scale", 1.0, "Text size on cards", 0, 2, 0.01),
    switch("extra_networks_card_show_desc", True, "Description on cards"),
    switch("extra_networks_card_description_is_html", False, "HTML in descriptions on cards"),
    choice(
        "extra_networks_card_order_field", "Path", "Order of cards", ("Path", "Name", "Date Created", "Date Modified")
    ),
    choice("extra_networks_card_order", "Ascending", "Direction of that order", ("Ascending", "Descending")),
    choice("extra_networks_tree_view_style", "Dirs", "Folders shown as", ("Dirs", "Tree")),
    switch("extra_networks_dir_button_function", False, "Folders begin with / in the search"),
    whole("extra_networks_tree_view_default_width", 180, "Width of the folder tree, in pixels", 60, 1000),
    declare.text(
        "extra_networks", "extra_networks_add_text_separator", " ", "Put between the prompt and a card's text"
    ),
    declare.text(
        "extra_networks",
        "ui_extra_networks_tab_reorder",
        "",
        "Order of the tabs of cards",
        hint="parts of their names, comma-separated",
        needs="reload UI",
    ),
    switch(
        "textual_inversion_add_hashes_to_infotext", True, "Textual inversion hashes in the parameters", travels=True
    ),
    pick("sd_hypernetwork", "None", "Hypernetwork for every prompt", "hypernetworks", changes_picture=True),
    pick("sd_lora", "None", "LoRA for every prompt", "loras", changes_picture=True),
    choice("lora_preferred_name", "Alias from file", "Name that a LoRA card inserts", ("Alias from file", "Filename")),
    switch("lora_add_hashes_to_infotext", True, "LoRA hashes in the parameters", travels=True),
    switch("lora_bundled_ti_to_infotext", True, "Embeddings bundled with a LoRA in the parameters", travels=True),
    switch("lora_show_all", False, "Show LoRAs of every model family"),
    declare.texts(
        "extra_networks", "lora_hide_unknown_for_versions", (), "Hide LoRAs of unknown family while these are loaded"
    ),
    declare.texts(
        "extra_networks",
        "lora_block_weight_presets",
        (),
        "Presets of block weights for tags like <lora:name:1:lbw=PRESET>",
        hint="one each: NAME: 1,0,0.5,…",
        travels=True,
    ),
    whole("lora_in_memory_limit", 0, "LoRAs kept in memory", 0, 100, travels=True),
    switch("lora_not_found_warning_console", False, "Log a LoRA that isn't there"),
    switch("lora_not_found_gradio_warning", False, "Say on the page that a LoRA isn't there"),
)
