"""Flags: A1111's names, ours and ignored ones, errors that name the nearest flag."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.settings import FlagError, Flags, declared_flags, parse_flags
from modules.settings.flag_parser import flag_names
from modules.settings.flags import FlagAbout
from modules.settings.ignored_flags import IGNORED_FLAGS, IgnoredFlag

# The flags that the first issue names, whatever else is added.
REQUIRED = """
--port --listen --server-name --share --autolaunch --theme --data-dir --models-dir --ckpt --ckpt-dir --vae-dir
--lora-dir --embeddings-dir --ui-settings-file --api --nowebui --api-auth --gradio-auth --cors-allow-origins
--xformers --medvram --lowvram --no-half --no-half-vae --precision --use-cpu --device-id
--skip-load-model-at-start --tls-keyfile --tls-certfile --subpath --loglevel
"""

# The rest of A1111's command line: accepted here, with a meaning or without.
OTHERS = """
--config --vae-path --hypernetwork-dir --lyco-dir-backcompat --textual-inversion-templates-dir
--localizations-dir --styles-file --ui-config-file --gfpgan-dir --gfpgan-model --codeformer-models-path
--gfpgan-models-path --esrgan-models-path --bsrgan-models-path --realesrgan-models-path --dat-models-path
--ldsr-models-path --scunet-models-path --swinir-models-path --clip-models-path --skip-python-version-check
--skip-torch-cuda-test --skip-prepare-environment --skip-install --skip-version-check --reinstall-torch
--reinstall-xformers --update-check --update-all-extensions --exit --dump-sysinfo --log-startup --test-server
--do-not-download-clip --no-download-sd-model --no-hashing -f --upcast-sampling --medvram-sdxl --lowram
--disable-nan-check --opt-channelslast --use-ipex --disable-model-loading-ram-optimization
--always-batch-cond-uncond --unload-gfpgan --force-enable-xformers --xformers-flash-attention
--opt-split-attention --opt-sdp-no-mem-attention --opt-sdp-attention --opt-sub-quad-attention
--sub-quad-q-chunk-size --sub-quad-kv-chunk-size --sub-quad-chunk-threshold --opt-split-attention-invokeai
--opt-split-attention-v1 --disable-opt-split-attention --ngrok --ngrok-options --ngrok-region
--disable-tls-verify --cors-allow-origins-regex --gradio-auth-path --gradio-allowed-path --no-gradio-queue
--gradio-queue --timeout-keep-alive --api-log --api-server-stop --add-stop-route --use-textbox-seed
--hide-ui-dir-config --freeze-settings --freeze-settings-in-sections --freeze-specific-settings
--ui-debug-mode --no-progressbar-hiding --max-batch-count --disable-console-progressbars
--enable-console-prompts --no-prompt-history --unix-filenames-sanitization --filenames-max-length
--gradio-debug --gradio-img2img-tool --gradio-inpaint-tool --show-negative-prompt --deepdanbooru
--enable-insecure-extension-access --disable-safe-unpickle --disable-all-extensions --disable-extra-extensions
--administrator --allow-code
"""


def parse(*words: str, **environ: str) -> Flags:
    return parse_flags(words, environ)


def test_every_flag_of_a1111_is_known_and_no_name_is_declared_twice() -> None:
    names = flag_names()
    assert set((REQUIRED + OTHERS).split()) <= set(names)
    assert len(names) == len(set(names)) > 120


def test_required_flags_have_a_meaning() -> None:
    assert set(REQUIRED.split()) <= {flag.name for flag in declared_flags()}


def test_without_arguments_the_defaults_apply() -> None:
    assert parse() == Flags()
    assert (parse().effective_port, parse().host, parse().exposed) == (7860, "127.0.0.1", False)


def test_old_card_owners_line_works() -> None:
    flags = parse(COMMANDLINE_ARGS="--xformers --lowvram")
    assert flags.xformers and flags.lowvram and not flags.notices


def test_typed_flags_win_over_the_environment_and_lists_combine() -> None:
    flags = parse("--port", "7000", "--styles-file", "b.csv", COMMANDLINE_ARGS="--port 6000 --styles-file a.csv --api")
    assert (flags.port, flags.api, flags.styles_file) == (7000, True, ("a.csv", "b.csv"))


def test_kinds_follow_the_declaration() -> None:
    flags = parse("--data-dir", "~/sd", "--use-cpu", "all", "esrgan", "--device-id=1", "--precision", "full")
    assert flags.data_dir == Path("~/sd").expanduser()
    assert (flags.use_cpu, flags.device_id, flags.precision) == (("all", "esrgan"), 1, "full")


@pytest.mark.parametrize(
    ("words", "port", "host", "exposed"),
    [
        ((), 7860, "127.0.0.1", False),
        (("--nowebui",), 7861, "127.0.0.1", False),
        (("--listen", "--port", "80"), 80, "0.0.0.0", True),
        (("--server-name", "192.0.2.7"), 7860, "192.0.2.7", True),
        (("--server-name", "localhost"), 7860, "localhost", False),
        (("--share",), 7860, "127.0.0.1", True),
    ],
)
def test_address(words: tuple[str, ...], port: int, host: str, exposed: bool) -> None:
    flags = parse(*words)
    assert (flags.effective_port, flags.host, flags.exposed) == (port, host, exposed)


@pytest.mark.parametrize("ignored", IGNORED_FLAGS, ids=lambda flag: flag.name)
def test_ignored_flags_are_accepted_with_one_line(ignored: IgnoredFlag) -> None:
    value = ["x"] if ignored.takes else []
    (notice,) = parse(ignored.name, *value).notices
    assert notice.startswith(f"{ignored.name} is accepted and does nothing: ") and notice.endswith(".")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--prot", "1"), "unknown flag --prot, did you mean --port?"),
        (("--med-vram",), "unknown flag --med-vram, did you mean --medvram?"),
        (("--zzzzzzzzzz",), "unknown flag --zzzzzzzzzz (--help lists the known ones)"),
        (("seven",), '"seven" belongs to no flag'),
        (("--port", "70000"), "--port must be from 0 to 65535, not 70000."),
        (("--sub-quad-q-chunk-size", "0"), "--sub-quad-q-chunk-size must be at least 1, not 0."),
    ],
)
def test_errors_say_what_to_do(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(FlagError, match=re.escape(sentence)):
        parse(*words)


@pytest.mark.parametrize("words", [("--port", "x"), ("--port",), ("--theme", "blue"), ("--no-hal",)])
def test_unreadable_values_are_flag_errors_not_exits(words: tuple[str, ...]) -> None:
    with pytest.raises(FlagError):
        parse(*words)


def test_unclosed_quote_in_the_environment_is_named() -> None:
    with pytest.raises(FlagError, match="COMMANDLINE_ARGS can't be split"):
        parse(COMMANDLINE_ARGS='--ckpt "a b')


def test_unknown_flags_can_be_let_pass() -> None:
    flags = parse("--of-some-extension", "7", "--api", IGNORE_CMD_ARGS_ERRORS="1")
    assert flags.api and "unknown flag --of-some-extension" in flags.notices[0]


def test_secrets_are_not_shown() -> None:
    public = parse("--api-auth", "me:hunter2", "--gradio-auth", "you:hunter2", "--data-dir", "/d").public()
    assert "hunter2" not in str(public)
    assert (public["api_auth"], public["data_dir"], public["styles_file"]) == ("(set)", "/d", [])
    assert parse().public()["api_auth"] is None


def test_every_flag_has_a_meaning_and_a_group() -> None:
    flags = declared_flags()
    assert len(flags) > 80
    for flag in flags:
        assert isinstance(flag.about, FlagAbout) and flag.about.meaning and flag.about.group
        assert not flag.about.meaning.endswith("."), flag.name


@given(st.lists(st.text(max_size=20), max_size=5))
def test_any_words_parse_or_raise_flag_error(words: list[str]) -> None:
    try:
        parse(*[word for word in words if word not in ("-h", "--help")])
    except FlagError as problem:
        assert str(problem)
    except SystemExit:
        # argparse takes "-h" with letters glued to it as a request for help.
        assert any(word.startswith("-h") for word in words)


@pytest.mark.parametrize(
    ("words", "alone"),
    [
        ((), True),
        (("--port", "7000"), True),
        (("--listen",), False),
        (("--server-name", "192.0.2.1"), False),
        (("--subpath", "sd"), False),
        (("--gradio-auth", "a:b"), False),
    ],
)
def test_who_else_can_come_in(words: tuple[str, ...], alone: bool) -> None:
    assert parse_flags(list(words), {}).alone is alone
