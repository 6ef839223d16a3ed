"""Settings about making pictures from pictures: img2img, upscaling, face restoration, postprocessing."""

from modules.settings.declare import PAGE, choice, colour, number, pick, switch, texts, whole

UPSCALING, FACES, IMG2IMG, POST = "upscaling", "face-restoration", "img2img", "postprocessing"

OPTIONS = (
    whole(
        UPSCALING,
        "ESRGAN_tile",
        192,
        "Tile size of ESRGAN upscalers",
        0,
        512,
        step=16,
        travels=True,
        hint="0: no tiles",
    ),
    whole(UPSCALING, "ESRGAN_tile_overlap", 8, "Tile overlap of ESRGAN upscalers", 0, 48, travels=True),
    whole(UPSCALING, "DAT_tile", 192, "Tile size of DAT upscalers", 0, 512, step=16, travels=True, hint="0: no tiles"),
    whole(UPSCALING, "DAT_tile_overlap", 8, "Tile overlap of DAT upscalers", 0, 48, travels=True),
    pick(UPSCALING, "upscaler_for_img2img", None, "Upscaler of img2img", "upscalers", changes_picture=True),
    switch(UPSCALING, "set_scale_by_when_changing_upscaler", False, "Choosing an upscaler sets its native scale"),
    switch(FACES, "face_restoration", False, "Restore faces", infotext="Face restoration", changes_picture=True),
    pick(FACES, "face_restoration_model", "CodeFormer", "Face restorer", "face restorers", changes_picture=True),
    number(
        FACES, "code_former_weight", 0.5, "CodeFormer weight", 0, 1, 0.01, changes_picture=True, hint="0: strongest"
    ),
    switch(FACES, "face_restoration_unload", False, "Unload the face restorer after use", travels=True),
    number(
        IMG2IMG,
        "inpainting_mask_weight",
        1.0,
        "Strength of the mask for inpainting checkpoints",
        0,
        1,
        0.01,
        infotext="Conditional mask weight",
        changes_picture=True,
    ),
    number(
        IMG2IMG,
        "initial_noise_multiplier",
        1.0,
        "Factor on the first noise of img2img",
        0,
        1.5,
        0.001,
        infotext="Noise multiplier",
        changes_picture=True,
    ),
    number(
        IMG2IMG,
        "img2img_extra_noise",
        0.0,
        "Extra noise for img2img and the hires pass",
        0,
        1,
        0.01,
        infotext="Extra noise",
        changes_picture=True,
    ),
    switch(
        IMG2IMG, "img2img_color_correction", False, "Give img2img results the input's colours", changes_picture=True
    ),
    switch(IMG2IMG, "img2img_fix_steps", False, "Run exactly the steps asked for in img2img", changes_picture=True),
    colour(
        IMG2IMG,
        "img2img_background_color",
        "#ffffff",
        "What transparent parts of an input become",
        changes_picture=True,
    ),
    whole(IMG2IMG, "img2img_editor_height", 720, "Height of the picture editor, in pixels", 80, 1600, needs=PAGE),
    colour(IMG2IMG, "img2img_sketch_default_brush_color", "#ffffff", "First brush colour of Sketch", needs=PAGE),
    colour(IMG2IMG, "img2img_inpaint_mask_brush_color", "#a855f7", "Brush colour of Inpaint", needs=PAGE),
    colour(
        IMG2IMG,
        "img2img_inpaint_sketch_default_brush_color",
        "#ffffff",
        "First brush colour of Inpaint sketch",
        needs=PAGE,
    ),
    switch(IMG2IMG, "return_mask", False, "Show the mask among the results", travels=True),
    switch(IMG2IMG, "return_mask_composite", False, "Show the masked part among the results", travels=True),
    whole(IMG2IMG, "img2img_batch_show_results_limit", 32, "Results shown of a batch", -1, 1000, hint="-1: all"),
    switch(IMG2IMG, "overlay_inpaint", True, "Put the input's pixels back outside the mask", changes_picture=True),
    texts(POST, "postprocessing_enable_in_main_ui", (), "Postprocessing shown in txt2img and img2img", needs=PAGE),
    texts(POST, "postprocessing_disable_in_extras", (), "Postprocessing left out of Extras", needs=PAGE),
    whole(POST, "upscaling_max_images_in_cache", 5, "Upscaled pictures kept for the next run", 0, 10),
    choice(
        POST,
        "postprocessing_existing_caption_action",
        "Ignore",
        "Captions that exist already",
        ("Ignore", "Keep", "Prepend", "Append"),
    ),
)
