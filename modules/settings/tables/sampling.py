"""Settings of samplers and noise schedules."""

from functools import partial

from modules.settings import declare
from modules.settings.declare import PAGE

SECTION = "sampler-params"
switch = partial(declare.switch, SECTION, changes_picture=True)
whole = partial(declare.whole, SECTION, changes_picture=True)
number = partial(declare.number, SECTION, changes_picture=True)
choice = partial(declare.choice, SECTION, changes_picture=True)

OPTIONS = (
    declare.texts(SECTION, "hide_samplers", (), "Samplers left out of the list", choices_from="samplers", needs=PAGE),
    number("eta_ddim", 0.0, "Eta of DDIM", 0, 1, 0.01, infotext="Eta DDIM"),
    number("eta_ancestral", 1.0, "Eta of the other samplers", 0, 1, 0.01, infotext="Eta"),
    number("eta_tcd", 0.3, "Eta of TCD", 0, 1, 0.01, infotext="Eta TCD", hint="The paper's gamma"),
    switch(
        "lcm_distilled_timesteps",
        True,
        "LCM: only the 50 timesteps that latent consistency models were distilled on",
        infotext="LCM distilled timesteps",
        hint="Off for DMD2 and others that want any timestep: with SGM Uniform 4 steps are 999, 749, 499, 249",
    ),
    choice("ddim_discretize", "uniform", "DDIM steps for img2img", ("uniform", "quad")),
    number("s_churn", 0.0, "Sigma churn", 0, 100, 0.01, infotext="Sigma churn"),
    number("s_tmin", 0.0, "Sigma tmin", 0, 10, 0.01, infotext="Sigma tmin"),
    number("s_tmax", 0.0, "Sigma tmax", 0, 999, 0.01, infotext="Sigma tmax", hint="0: no limit"),
    number("s_noise", 1.0, "Sigma noise", 0, 1.1, 0.001, infotext="Sigma noise"),
    number(
        "sigma_min",
        0.0,
        "Smallest sigma of the schedule",
        0,
        1000,
        0.001,
        infotext="Schedule min sigma",
        hint="0: the model's",
    ),
    number(
        "sigma_max",
        0.0,
        "Largest sigma of the schedule",
        0,
        1000,
        0.001,
        infotext="Schedule max sigma",
        hint="0: the model's",
    ),
    number("rho", 0.0, "Rho of the schedule", 0, 1000, 0.001, infotext="Schedule rho", hint="0: the schedule's own"),
    whole(
        "eta_noise_seed_delta",
        0,
        "Eta noise seed delta",
        -(2**63),
        2**63 - 1,
        infotext="ENSD",
        hint="31337 in some other programs",
    ),
    switch(
        "always_discard_next_to_last_sigma", False, "Drop the last sigma but one", infotext="Discard penultimate sigma"
    ),
    switch("sgm_noise_multiplier", False, "First noise scaled as SGM does", infotext="SGM noise multiplier"),
    choice("uni_pc_variant", "bh1", "UniPC variant", ("bh1", "bh2", "vary_coeff"), infotext="UniPC variant"),
    choice(
        "uni_pc_skip_type",
        "time_uniform",
        "UniPC steps",
        ("time_uniform", "time_quadratic", "logSNR"),
        infotext="UniPC skip type",
    ),
    whole("uni_pc_order", 3, "UniPC order", 1, 50, infotext="UniPC order", hint="must be less than the steps"),
    switch("uni_pc_lower_order_final", True, "UniPC: lower order at the end", infotext="UniPC lower order final"),
    choice(
        "sd_noise_schedule", "Default", "Noise schedule", ("Default", "Zero Terminal SNR"), infotext="Noise Schedule"
    ),
    number("skip_early_cond", 0.0, "Share of first steps without the negative", 0, 1, 0.01, infotext="Skip Early CFG"),
    number("beta_dist_alpha", 0.6, "Alpha of the Beta schedule", 0.01, 1, 0.01, infotext="Beta schedule alpha"),
    number("beta_dist_beta", 0.6, "Beta of the Beta schedule", 0.01, 1, 0.01, infotext="Beta schedule beta"),
)
