#!/usr/bin/env bash
# Every check of the project, on a machine that has Python and git: makes the environment, then lint, types, the page's
# scripts, tests. Words behind it go to pytest: scripts/test.sh tests/prompt -k attention
# --long alone runs everything at full length, as before a release (docs/testing.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Threads that spin while they wait make a busy machine many times slower.
export OMP_WAIT_POLICY=passive
# Dozens of processes import the same modules: compiled once, whatever this machine is set to.
unset PYTHONDONTWRITEBYTECODE
# What is imported is compiled then; compiling all that is installed takes longer than fetching it (pip reads 0 as "don't").
export PIP_NO_COMPILE=0

say() { printf '\n== %s\n' "$*"; }

# What runs meanwhile: its output is shown when it is waited for.
scripts_said=$(mktemp)
types_said=$(mktemp)
meanwhile=()
trap 'kill "${meanwhile[@]}" 2>/dev/null || true; rm -f "$scripts_said" "$types_said"' EXIT

# A browser for the tests that drive the page, what checks its scripts, and the font that the demo checkpoint's pictures
# are drawn from.
missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
compgen -G "/usr/share/fonts/*/*oto*/NotoColorEmoji.ttf" >/dev/null || missing+=(fonts-noto-color-emoji)
if [ "${#missing[@]}" -gt 0 ] && ! { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }; then
    echo "Not installed, so some tests are skipped: ${missing[*]} (Debian's names)."
    missing=()
fi

# The environment is made by one core, so the other one fetches these and checks the page's scripts.
fetch_and_check_scripts() {
    if [ "${#missing[@]}" -gt 0 ]; then
        say "Debian packages: ${missing[*]}"
        export DEBIAN_FRONTEND=noninteractive
        apt-get -qq update
        apt-get -qq install --yes --no-install-recommends "${missing[@]}" >/dev/null
    fi
    say "The page's scripts"
    bash scripts/check-javascript.sh
}
(fetch_and_check_scripts) >"$scripts_said" 2>&1 &
scripts=$!
meanwhile+=("$scripts")

say "Environment"
"${PYTHON:-python3}" webui.py --exit
python=scripts/python.sh

say "Tools and oracles of the tests"
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$python" -m pip install --quiet --only-binary :all: --require-hashes --requirement requirements-test-lock.txt
# Without what they depend on: only single files of them are used, and they would bring another torch.
"$python" -m pip install --quiet --no-deps --require-hashes --requirement requirements-test-oracles.txt

say "Lint"
"$python" -m ruff check .
"$python" -m ruff format --check .

# Types are checked by one core in minutes in which the tests leave some of it over: what it finds is shown at the end.
nice -n 10 "$python" -m mypy >"$types_said" 2>&1 &
types=$!
meanwhile+=("$types")

checked=0
wait "$scripts" || checked=$?
cat "$scripts_said"
if [ "$checked" != 0 ]; then exit "$checked"; fi

say "Tests"
if [ $# = 0 ] || [ "$*" = --long ]; then
    # The whole suite in two workers, in the order that tests/conftest.py gives. A third one made two cores no faster and
    # browsers late.
    set -- --numprocesses 2 --dist loadgroup --no-loadscope-reorder "$@"
fi
tests=0
"$python" -m pytest "$@" || tests=$?

say "Types"
typed=0
wait "$types" || typed=$?
cat "$types_said"
if [ "$tests" != 0 ]; then exit "$tests"; fi
exit "$typed"
