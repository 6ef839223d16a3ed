"""Splitting COMMANDLINE_ARGS, and the flags that the launcher follows."""

import pytest

from modules.launch.arguments import LaunchFlags, launch_flags, split_arguments
from modules.settings.flag_parser import flag_names


@pytest.mark.parametrize(
    ("text", "windows", "words"),
    [
        ("--xformers --lowvram", True, ["--xformers", "--lowvram"]),
        ("--xformers --lowvram", False, ["--xformers", "--lowvram"]),
        (r'--ckpt "C:\my models\a.ckpt" --api', True, ["--ckpt", r"C:\my models\a.ckpt", "--api"]),
        (r"--ckpt C:\models\a.ckpt", True, ["--ckpt", r"C:\models\a.ckpt"]),
        (r'--data-dir="D:\sd data"', True, ["--data-dir=D:\\sd data"]),
        ("--ckpt 'my models/a.ckpt'", False, ["--ckpt", "my models/a.ckpt"]),
        ("", False, []),
    ],
)
def test_split(text: str, windows: bool, words: list[str]) -> None:
    assert split_arguments(text, windows) == words


@pytest.mark.parametrize("windows", [True, False])
def test_an_unclosed_quote(windows: bool) -> None:
    with pytest.raises(ValueError, match="quot"):
        split_arguments('--ckpt "a', windows)


def test_only_its_own_flags_are_seen() -> None:
    flags = launch_flags(["--xformers", "--port", "1", "--exit", "-h"])
    assert flags == LaunchFlags(xformers=True, exit=True, help=True)
    assert launch_flags([]) == LaunchFlags()


def test_each_is_a_flag_of_the_program_too() -> None:
    names = {"--" + name.replace("_", "-") for name in LaunchFlags._fields} - {"--help"}
    assert names <= set(flag_names()) and len(names) >= 9
