"""Which settings and flags act: those that no source mentions are listed as without effect, and no others."""

import re
from typing import Final

import pytest

from modules.settings import OPTIONS, REPOSITORY, declared_flags
from modules.settings.without_effect import IDLE_IN_A1111, NOT_YET, WITHOUT_EFFECT, without_effect

# Their keys are put together where they are read: `outdir_{mode}_{kind}`, `{architecture}_tile`.
_COMPOSED: Final = re.compile(r"outdir_(txt2img|img2img|extras)?_?(samples|grids)|(ESRGAN|DAT)_tile(_overlap)?")


@pytest.fixture(scope="module")
def mentioned() -> set[str]:
    files = [path for path in (REPOSITORY / "modules").rglob("*") if path.suffix in (".py", ".js")]
    # The first three declare; what is only recorded in infotext does not act.
    declaring = ("without_effect", "flags", "ignored_flags", "infotext_options")
    acting = [path for path in files if "tables" not in path.parts and path.stem not in declaring]
    assert len(acting) > 200
    return {word for path in acting for word in re.findall(r"\w+", path.read_text("utf-8"))}


def test_what_nothing_reads_is_listed(mentioned: set[str]) -> None:
    shown = {key for key, option in OPTIONS.items() if not option.hidden and not _COMPOSED.fullmatch(key)}
    silent = sorted(shown - mentioned - WITHOUT_EFFECT)
    assert not silent, f"no source reads these settings: make them act, or add them to without_effect.py: {silent}"
    acting = sorted(WITHOUT_EFFECT & mentioned)
    assert not acting, f"these settings act now: take them out of modules/settings/without_effect.py: {acting}"


def test_no_flag_with_a_meaning_is_read_nowhere(mentioned: set[str]) -> None:
    idle = sorted(flag.key for flag in declared_flags() if flag.key not in mentioned)
    assert not idle, f"nothing reads these flags: make them act, or move them to ignored_flags.py: {idle}"


def test_only_declared_settings_are_listed() -> None:
    assert set(OPTIONS) >= WITHOUT_EFFECT


def test_what_a1111_ignores_too_is_listed_apart() -> None:
    assert not NOT_YET & IDLE_IN_A1111
    assert "A1111 v1.10.1 ignores it too" in without_effect("ddim_discretize")
    assert without_effect("postprocessing_existing_caption_action") == "Has no effect yet."
    assert without_effect("refiner_switch_by_sample_steps") == without_effect("token_merging_ratio") == ""
