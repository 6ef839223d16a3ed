"""The table of samplers: labels, aliases, default schedules and flags, and how a name is resolved to an entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from modules.parameters.schedules import (
    AUTOMATIC,
    SCHEDULE_SPELLINGS,
    Schedule,
    find_schedule,
    nearest_hint,
    resolve_schedule,
)

SamplerFamily = Literal["sigma", "timestep", "lcm"]

CHURN: Final = ("s_churn", "s_tmin", "s_tmax", "s_noise")
NOISE_SCALE: Final = ("s_noise",)


class UnknownSamplerError(ValueError):
    """A sampler name that no table entry answers to."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """One sampler as the page, the API and infotext know it; the function behind it lives in `modules.sampling`.

    `schedule` is the label that "Automatic" stands for (None: the model's own, which is Uniform). `family` says what
    the sampler walks over: "sigma" and "lcm" a list of noise levels, "timestep" the model's discrete steps.
    `second_order`: the model is called twice a step, so prompt schedules and progress count twice the steps.
    `uses_ensd`: infotext records ENSD. `brownian_noise`: its noise comes from a Brownian tree.
    `discards_penultimate`: the schedule is made one step longer and its last level above zero is dropped.
    `needs_timesteps`: it asks which timestep a noise level is, so that the model must have been trained on such.
    `settings` are the sampler parameters (s_churn, ...) that apply to it; `eta` is the option that sets its eta.
    `flow_instead`: it can't sample models trained by flow matching, and that one is the nearest that can.
    """

    label: str
    aliases: tuple[str, ...]
    schedule: str | None = None
    family: SamplerFamily = "sigma"
    second_order: bool = False
    uses_ensd: bool = False
    brownian_noise: bool = False
    discards_penultimate: bool = False
    solver_type: Literal["heun"] | None = None
    eta: Literal["eta_ancestral", "eta_ddim", "eta_tcd"] | None = None
    settings: tuple[str, ...] = ()
    needs_timesteps: bool = False
    flow_instead: str | None = None
    from_forge: bool = False

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every name this sampler answers to, label first."""
        return (self.label, *self.aliases)

    @property
    def default_eta(self) -> float:
        """The eta at which infotext stays silent."""
        return {"eta_ddim": 0.0, "eta_tcd": 0.3}.get(self.eta or "", 1.0)

    def call_count(self, steps: int) -> int:
        """Model calls that prompt schedules and progress reckon with for `steps` sampling steps."""
        return steps * 2 if self.second_order else steps

    def api_item(self) -> dict[str, object]:
        """This entry as `/sdapi/v1/samplers` lists it: options are text, and only those that are set."""
        schedule = find_schedule(self.schedule)
        options = {"scheduler": schedule.name} if schedule else {}
        flags = {
            "uses_ensd": self.uses_ensd,
            "second_order": self.second_order,
            "brownian_noise": self.brownian_noise,
            "discard_next_to_last_sigma": self.discards_penultimate,
            "default_eta_is_0": self.eta == "eta_ddim",
        }
        options |= {name: "True" for name, is_set in flags.items() if is_set}
        if self.solver_type:
            options["solver_type"] = self.solver_type
        return {"name": self.label, "aliases": list(self.aliases), "options": options}


def _sde(label: str, alias: str, schedule: str, **flags: bool) -> Sampler:
    """A member of the SDE family: Brownian noise, eta and s_noise."""
    solver: Literal["heun"] | None = "heun" if alias.endswith("heun") else None
    return Sampler(
        label, (alias,), schedule, brownian_noise=True, eta="eta_ancestral", settings=NOISE_SCALE, solver_type=solver,
        second_order=flags.get("second_order", False), discards_penultimate=flags.get("discards_penultimate", False),
    )  # fmt: skip


SAMPLERS: Final[tuple[Sampler, ...]] = (
    Sampler("DPM++ 2M", ("k_dpmpp_2m",), "Karras"),
    _sde("DPM++ SDE", "k_dpmpp_sde", "Karras", second_order=True),
    _sde("DPM++ 2M SDE", "k_dpmpp_2m_sde", "Exponential"),
    _sde("DPM++ 2M SDE Heun", "k_dpmpp_2m_sde_heun", "Exponential"),
    Sampler("DPM++ 2S a", ("k_dpmpp_2s_a",), "Karras", uses_ensd=True, second_order=True, eta="eta_ancestral",
            settings=NOISE_SCALE),
    _sde("DPM++ 3M SDE", "k_dpmpp_3m_sde", "Exponential", discards_penultimate=True),
    Sampler("Euler a", ("k_euler_a", "k_euler_ancestral"), uses_ensd=True, eta="eta_ancestral"),
    Sampler("Euler", ("k_euler",), settings=CHURN),
    Sampler("LMS", ("k_lms",)),
    Sampler("Heun", ("k_heun",), second_order=True, settings=CHURN),
    Sampler("DPM2", ("k_dpm_2",), "Karras", discards_penultimate=True, second_order=True, settings=CHURN),
    Sampler("DPM2 a", ("k_dpm_2_a",), "Karras", discards_penultimate=True, uses_ensd=True, second_order=True,
            eta="eta_ancestral", settings=NOISE_SCALE),
    Sampler("DPM fast", ("k_dpm_fast",), uses_ensd=True, eta="eta_ancestral", settings=NOISE_SCALE,
            flow_instead="DPM++ 2S a"),
    Sampler("DPM adaptive", ("k_dpm_ad",), uses_ensd=True, eta="eta_ancestral", flow_instead="DPM++ 2M"),
    Sampler("Restart", ("restart",), "Karras", second_order=True, flow_instead="Heun"),
    Sampler("DDIM", ("ddim",), family="timestep", needs_timesteps=True, uses_ensd=True, eta="eta_ddim",
            flow_instead="Euler"),
    Sampler("DDIM CFG++", ("ddim_cfgpp",), family="timestep", needs_timesteps=True, uses_ensd=True, eta="eta_ddim",
            flow_instead="Euler"),
    Sampler("PLMS", ("plms",), family="timestep", needs_timesteps=True, flow_instead="IPNDM"),
    Sampler("UniPC", ("unipc",), family="timestep", needs_timesteps=True, flow_instead="DPM++ 2M"),
    Sampler("LCM", ("k_lcm",), family="lcm", needs_timesteps=True),
    Sampler("HeunPP2", ("heunpp2",), from_forge=True),
    Sampler("IPNDM", ("ipndm",), from_forge=True),
    Sampler("IPNDM_V", ("ipndm_v",), from_forge=True),
    Sampler("DEIS", ("deis",), from_forge=True),
    Sampler("DDPM", ("ddpm",), from_forge=True),
    Sampler("TCD", ("tcd",), uses_ensd=True, eta="eta_tcd", needs_timesteps=True, flow_instead="LCM",
            from_forge=True),
)  # fmt: skip

# Names by which other programs know them (ComfyUI, InvokeAI, NovelAI, Easy Diffusion, Draw Things), as they stand in
# infotext and in pictures. The API's list of aliases is A1111's, without these.
_FOREIGN_SPELLINGS: Final = {
    "Euler a": ("euler_ancestral", "euler_a", "euler ancestral"),
    "Euler": ("euler",),
    "LMS": ("lms",),
    "Heun": ("heun",),
    "HeunPP2": ("heunpp2",),
    "DPM2": ("dpm_2", "dpm2", "kdpm_2"),
    "DPM2 a": ("dpm_2_ancestral", "k_dpm_2_ancestral", "dpm_2_a", "dpm2_a", "kdpm_2_a"),
    "DPM fast": ("dpm_fast",),
    "DPM adaptive": ("dpm_adaptive", "k_dpm_adaptive"),
    "DPM++ 2S a": ("dpmpp_2s_ancestral", "k_dpmpp_2s_ancestral", "dpmpp_2s_a", "dpmpp_2s"),
    "DPM++ SDE": ("dpmpp_sde", "dpmpp_sde_gpu"),
    "DPM++ 2M": ("dpmpp_2m",),
    "DPM++ 2M SDE": ("dpmpp_2m_sde", "dpmpp_2m_sde_gpu"),
    "DPM++ 2M SDE Heun": ("dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu"),
    "DPM++ 3M SDE": ("dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "dpmpp_3m"),
    "DDIM": ("ddim_v3",),
    "PLMS": ("pndm",),
    "UniPC": ("uni_pc", "uni_pc_bh2"),
    "LCM": ("lcm",),
}

_BY_SPELLING: Final = {
    spelling.lower(): entry
    for entry in SAMPLERS
    for spelling in (*_FOREIGN_SPELLINGS.get(entry.label, ()), *entry.spellings)
}

# Before 1.9 a schedule was part of the sampler: "k_dpmpp_2m_ka" was the alias of "DPM++ 2M Karras".
_OLD_ALIAS_ENDINGS: Final = {"_ka": "Karras", "_exp": "Exponential"}


@dataclass(frozen=True, slots=True)
class SamplerChoice:
    """What a pair of names was resolved to. `schedule` is Automatic where it names the sampler's own default."""

    sampler: Sampler
    schedule: Schedule

    @property
    def applied_schedule(self) -> Schedule:
        """The schedule that runs, and that infotext records: the sampler's default where Automatic was chosen.

        Samplers without a default keep Automatic, as A1111 does.
        """
        if self.schedule is AUTOMATIC and self.sampler.schedule is not None:
            return resolve_schedule(self.sampler.schedule)
        return self.schedule

    @property
    def recorded_schedule(self) -> str | None:
        """The label that A1111 notes while it samples: none where the levels come from the model itself."""
        applied = self.applied_schedule
        return None if self.sampler.family == "timestep" or applied is AUTOMATIC else applied.label


def sampler_labels() -> tuple[str, ...]:
    """Labels in the order of the page's dropdown; the first is the default."""
    return tuple(entry.label for entry in SAMPLERS)


def find_sampler(name: str | None) -> Sampler | None:
    """The sampler of this label or alias in any case; None when there is none."""
    return _BY_SPELLING.get((name or "").strip().lower())


def resolve_sampler(name: str | None, schedule: str | None = None, *, strict: bool = False) -> SamplerChoice:
    """Turn names as found in requests, infotext and old clients into table entries.

    A schedule at the end of the name ("DPM++ 2M Karras", "k_dpmpp_2m_ka") is split off and wins over `schedule`.
    As in A1111, a schedule that is the sampler's own default becomes Automatic, an empty name is the first sampler,
    and an unknown name is too unless `strict`.

    Raises UnknownSamplerError or UnknownScheduleError (strict only), naming the nearest label.
    """
    wanted = (name or "").strip()
    chosen = resolve_schedule(schedule, strict=strict)
    sampler = find_sampler(wanted)
    if sampler is None and wanted:
        stem, ending = split_schedule(wanted)
        sampler = find_sampler(stem)
        chosen = ending or chosen
    if sampler is None:
        if strict and wanted:
            raise UnknownSamplerError(f"There is no sampler {wanted!r}; {nearest_hint(wanted, sampler_labels())}")
        sampler = SAMPLERS[0]
    return choice_of(sampler, chosen)


def choice_of(sampler: Sampler, schedule: Schedule) -> SamplerChoice:
    """The two together; a schedule that is the sampler's own default becomes Automatic, as in A1111."""
    return SamplerChoice(sampler, AUTOMATIC if sampler.schedule == schedule.label else schedule)


def split_schedule(name: str) -> tuple[str, Schedule | None]:
    """`name` without the schedule at its end ("DPM++ 2M Karras", "dpmpp_2m_karras"), and that schedule."""
    lowered = name.lower()
    # Longest first, or "SGM Uniform" would be taken for Uniform (as A1111 takes it).
    for ending in sorted(SCHEDULE_SPELLINGS, key=len, reverse=True):
        if lowered.endswith((f" {ending}", f"_{ending}")):
            return name[: -len(ending) - 1].rstrip(), find_schedule(ending)
    for ending, label in _OLD_ALIAS_ENDINGS.items():
        if lowered.endswith(ending):
            return name[: -len(ending)], find_schedule(label)
    return name, None
