#!/usr/bin/env bash
# The Python of the project's own environment, where the launcher made it: scripts/python.sh -m ruff check .
# VENV_DIR names another folder than venv, and "-" the Python that PYTHON names or the system's.
set -euo pipefail
root=$(dirname "${BASH_SOURCE[0]}")/..
venv=${VENV_DIR:-venv}
if [ "$venv" = "-" ]; then exec "${PYTHON:-python3}" "$@"; fi
case $venv in /* | ?:*) ;; *) venv=$root/$venv ;; esac
if [ -x "$venv/Scripts/python.exe" ]; then exec "$venv/Scripts/python.exe" "$@"; fi
exec "$venv/bin/python" "$@"
