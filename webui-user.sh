#!/usr/bin/env bash
# Starts the web UI. The lines below are yours to edit; flags are listed in docs/flags.md.

#export COMMANDLINE_ARGS="--xformers --lowvram"
#export PYTHON="python3.12"
#export VENV_DIR="venv"
#export TORCH_COMMAND="pip install torch==2.13.0"

# ----------------------------------------------------------------------------------------------------------------------
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

# Names that an older webui-user.sh used.
PYTHON="${PYTHON:-${python_cmd:-}}"
export VENV_DIR="${VENV_DIR:-${venv_dir:-}}"

if [ -z "$PYTHON" ]; then
    PYTHON=$(command -v python3 || command -v python) || {
        echo "Python wasn't found: install Python 3.12 and start again." >&2
        exit 1
    }
fi

"$PYTHON" webui.py "$@"
status=$?

# 130 is Ctrl+C. A window that was opened by a double click stays, so that the reason above can be read.
if [ "$status" -ne 0 ] && [ "$status" -ne 130 ]; then
    echo "The web UI ended with status $status; the reason stands above." >&2
    if [ -t 0 ] && [ -t 2 ]; then
        read -r -p "Press Enter to close. " _
    fi
fi
exit "$status"
