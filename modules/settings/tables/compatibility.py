"""Settings that bring back how older versions computed a picture."""

from functools import partial

from modules.settings import declare

switch = partial(declare.switch, "compatibility", changes_picture=True)

OPTIONS = (
    switch("auto_backcompat", True, "Follow the version named in pasted parameters"),
    switch("use_old_emphasis_implementation", False, "Emphasis as before 1.0"),
    switch("use_old_karras_scheduler_sigmas", False, "Karras from sigma 0.1 to 10"),
    switch("no_dpmpp_sde_batch_determinism", False, "DPM++ SDE noise that depends on the batch"),
    switch("use_old_hires_fix_width_height", False, "Width and Height are the hires pass's size"),
    switch("hires_fix_use_firstpass_conds", False, "The hires pass's text is read with the first pass's networks"),
    switch(
        "use_old_scheduling",
        False,
        "Prompt editing counts both passes' steps together",
        infotext="Old prompt editing timelines",
    ),
    switch("use_downcasted_alpha_bar", False, "Noise schedule rounded to 16 bits", infotext="Downcast alphas_cumprod"),
    switch(
        "refiner_switch_by_sample_steps",
        False,
        "The refiner starts at a share of the steps",
        infotext="Refiner switch by sampling steps",
    ),
    switch("lora_functional", False, "Apply LoRA beside the weights instead of in them", travels=True),
)
