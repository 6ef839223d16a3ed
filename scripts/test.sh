#!/usr/bin/env bash
# Every check of the project, on a machine that has Python and git: makes the environment, then lint, types, tests.
# Words behind it go to pytest: scripts/test.sh tests/prompt -k attention
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Threads that spin while they wait make a busy machine many times slower.
export OMP_WAIT_POLICY=passive

say() { printf '\n== %s\n' "$*"; }

say "Environment"
"${PYTHON:-python3}" webui.py --exit
venv=${VENV_DIR:-venv}
if [ "$venv" = "-" ]; then python=${PYTHON:-python3}; else python=$venv/bin/python; fi
if [ -x "$venv/Scripts/python.exe" ]; then python=$venv/Scripts/python.exe; fi

say "Tools and oracles of the tests"
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$python" -m pip install --quiet --only-binary :all: --requirement requirements-test.txt
# Without what they depend on: only single files of them are used, and they would bring another torch.
"$python" -m pip install --quiet --no-deps --requirement requirements-test-oracles.txt

if ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "Chromium"
        export DEBIAN_FRONTEND=noninteractive
        apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium >/dev/null
    else
        echo "Chromium isn't installed, so the tests that drive the page are skipped (on Debian: apt install chromium)."
    fi
fi

say "Lint"
"$python" -m ruff check .
"$python" -m ruff format --check .

say "Types"
"$python" -m mypy

say "Tests"
exec "$python" -m pytest "$@"
