"""Who may log in on the page: --gradio-auth and --gradio-auth-path."""

from __future__ import annotations

from modules.settings import FlagError, Flags


def logins(flags: Flags) -> list[tuple[str, str]]:
    """User and password pairs from the flags. Raises FlagError for an entry without a colon; never shows a password."""
    texts = [flags.gradio_auth or ""]
    if flags.gradio_auth_path is not None:
        try:
            texts.append(flags.gradio_auth_path.read_text("utf-8"))
        except OSError as error:
            sentence = f"--gradio-auth-path: {flags.gradio_auth_path} can't be read ({error.strerror})."
            raise FlagError(sentence) from error
    entries = [entry.strip() for text in texts for entry in text.replace("\n", ",").split(",")]
    return [_pair(entry) for entry in entries if entry]


def _pair(entry: str) -> tuple[str, str]:
    user, colon, password = entry.partition(":")
    if not colon or not user or not password:
        raise FlagError("--gradio-auth takes user:password, several with commas; one has no colon or an empty half.")
    return user, password
