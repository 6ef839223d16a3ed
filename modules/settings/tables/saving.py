"""Settings about files: what is saved, under which name, in which folder, and what is written into it."""

from functools import partial

from modules.settings import declare

FORMATS = ("png", "jpg", "jpeg", "webp", "avif")

IMAGES, PATHS, DIRS, INFOTEXT = "saving-images", "saving-paths", "saving-to-dirs", "infotext"

switch = partial(declare.switch, travels=True)
whole = partial(declare.whole, travels=True)
number = partial(declare.number, travels=True)
text = partial(declare.text, travels=True)
colour = partial(declare.colour, travels=True)
choice = partial(declare.choice, travels=True)
# Where files are written is for the person at the machine to say, not for whoever reaches the API.
folder = partial(declare.text, PATHS, travels=True, restrict_api=True)

OPTIONS = (
    switch(IMAGES, "samples_save", True, "Save every generated picture"),
    choice(IMAGES, "samples_format", "png", "File format of pictures", FORMATS),
    text(IMAGES, "samples_filename_pattern", "", "Pattern of picture names", hint="tokens such as [seed] and [date]"),
    switch(IMAGES, "save_images_add_number", True, "Number at the front of picture names"),
    choice(
        IMAGES,
        "save_images_replace_action",
        "Replace",
        "When a file of that name exists and names aren't numbered",
        ("Replace", "Add number suffix"),
    ),
    switch(IMAGES, "grid_save", True, "Save every grid"),
    choice(IMAGES, "grid_format", "png", "File format of grids", FORMATS),
    switch(IMAGES, "grid_extended_filename", False, "Seed and prompt in grid names"),
    switch(IMAGES, "grid_only_if_multiple", True, "No grid of a single picture"),
    switch(IMAGES, "grid_prevent_empty_spots", False, "Choose the grid's shape so that no cell stays empty"),
    text(IMAGES, "grid_zip_filename_pattern", "", "Pattern of archive names"),
    whole(IMAGES, "n_rows", -1, "Rows of a grid", -1, 16, hint="-1: by the number of pictures, 0: as the batch size"),
    text(IMAGES, "font", "", "Font file for captions of grids"),
    colour(IMAGES, "grid_text_active_color", "#000000", "Caption colour in grids"),
    colour(IMAGES, "grid_text_inactive_color", "#999999", "Colour of captions that don't apply"),
    colour(IMAGES, "grid_background_color", "#ffffff", "Background of grids"),
    switch(IMAGES, "save_images_before_face_restoration", False, "Save a copy before face restoration"),
    switch(IMAGES, "save_images_before_highres_fix", False, "Save a copy before the hires pass"),
    switch(IMAGES, "save_images_before_color_correction", False, "Save a copy before colour correction"),
    switch(IMAGES, "save_mask", False, "Save the inpainting mask"),
    switch(IMAGES, "save_mask_composite", False, "Save the masked part by itself"),
    whole(IMAGES, "jpeg_quality", 80, "Quality of JPEG, AVIF and lossy WebP", 1, 100),
    switch(IMAGES, "webp_lossless", False, "Lossless WebP"),
    switch(IMAGES, "export_for_4chan", True, "JPEG copy of a picture that is too large for many sites"),
    number(IMAGES, "img_downscale_threshold", 4.0, "Megabytes above which that copy is made", 0, 1000, 0.5),
    whole(IMAGES, "target_side_length", 4000, "Longest side above which that copy is made and scaled down", 64, 65535),
    whole(IMAGES, "img_max_size_mp", 200, "Largest grid, in megapixels", 1, 10000),
    switch(IMAGES, "use_original_name_batch", True, "Keep the names of the inputs in Extras batches"),
    switch(IMAGES, "use_upscaler_name_as_suffix", False, "Upscaler's name at the end of Extras names"),
    switch(IMAGES, "save_selected_only", True, "The Save button saves the selected picture only"),
    switch(IMAGES, "save_write_log_csv", True, "The Save button adds a row to log.csv"),
    switch(IMAGES, "save_init_img", False, "Save the input picture of img2img"),
    text(IMAGES, "temp_dir", "", "Folder for temporary pictures", restrict_api=True, needs="restart"),
    switch(IMAGES, "clean_temp_dir_at_start", False, "Empty that folder at start"),
    switch(IMAGES, "save_incomplete_images", False, "Save what an interrupted job had reached"),
    switch(IMAGES, "notification_audio", True, "Sound when a job ends"),
    whole(IMAGES, "notification_volume", 100, "Volume of that sound, in per cent", 0, 100),
    folder("outdir_samples", "", "Folder for all pictures", hint="empty: the three below"),
    folder("outdir_txt2img_samples", "outputs/txt2img-images", "Folder for txt2img pictures"),
    folder("outdir_img2img_samples", "outputs/img2img-images", "Folder for img2img pictures"),
    folder("outdir_extras_samples", "outputs/extras-images", "Folder for Extras pictures"),
    folder("outdir_grids", "", "Folder for all grids", hint="empty: the two below"),
    folder("outdir_txt2img_grids", "outputs/txt2img-grids", "Folder for txt2img grids"),
    folder("outdir_img2img_grids", "outputs/img2img-grids", "Folder for img2img grids"),
    folder("outdir_save", "log/images", "Folder of the Save button"),
    folder("outdir_init_images", "outputs/init-images", "Folder for input pictures of img2img"),
    switch(DIRS, "save_to_dirs", True, "Pictures in subfolders"),
    switch(DIRS, "grid_save_to_dirs", True, "Grids in subfolders"),
    switch(DIRS, "use_save_to_dirs_for_ui", False, "Subfolders for the Save button too"),
    text(DIRS, "directories_filename_pattern", "[date]", "Pattern of subfolder names"),
    whole(DIRS, "directories_max_prompt_words", 8, "Most words that [prompt_words] takes", 1, 20),
    switch(INFOTEXT, "enable_pnginfo", True, "Write the parameters into the file"),
    switch(INFOTEXT, "save_txt", False, "Write the parameters into a text file beside it"),
    switch(INFOTEXT, "add_model_name_to_info", True, "Checkpoint's name in the parameters"),
    switch(INFOTEXT, "add_model_hash_to_info", True, "Checkpoint's hash in the parameters"),
    switch(INFOTEXT, "add_vae_name_to_info", True, "VAE's name in the parameters"),
    switch(INFOTEXT, "add_vae_hash_to_info", True, "VAE's hash in the parameters"),
    switch(INFOTEXT, "add_user_name_to_info", False, "User's name in the parameters, when there is a login"),
    switch(INFOTEXT, "add_version_to_infotext", True, "Program version in the parameters"),
    switch(INFOTEXT, "disable_weights_auto_swap", True, "Keep the loaded checkpoint when parameters are pasted"),
    declare.texts(INFOTEXT, "infotext_skip_pasting", (), "Parameters that pasting leaves alone"),
    choice(
        INFOTEXT,
        "infotext_styles",
        "Apply if any",
        "Styles found in pasted parameters",
        ("Ignore", "Apply", "Discard", "Apply if any"),
    ),
)
