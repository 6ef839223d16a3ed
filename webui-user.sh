#!/usr/bin/env bash
# Starts the web UI. The lines below are yours to edit; flags are listed in docs/flags.md.

#export COMMANDLINE_ARGS="--xformers --lowvram"
#export PYTHON="python3.11"
#export VENV_DIR="venv"
#export TORCH_COMMAND="pip install torch==2.13.0"

# ----------------------------------------------------------------------------------------------------------------------
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

# Names that an older webui-user.sh used.
PYTHON="${PYTHON:-${python_cmd:-}}"
export VENV_DIR="${VENV_DIR:-${venv_dir:-}}"

if [ -z "$PYTHON" ]; then
    PYTHON=$(command -v python3 || command -v python) || {
        echo "Python wasn't found: install Python 3.11 or newer and start again." >&2
        exit 1
    }
fi

# A window that was opened by a double click is to stay after an error, so that the reason can be read.
if [ -t 0 ] && [ -t 2 ]; then
    export WEBUI_WINDOW=1
fi

# In place of this shell: what systemd, Docker or a supervisor sends to it then reaches the server.
shopt -s execfail
exec "$PYTHON" webui.py "$@"
status=$?
echo "$PYTHON can't be started: correct PYTHON in webui-user.sh." >&2
[ -z "$WEBUI_WINDOW" ] || read -r -p "Press Enter to close. " _
exit "$status"
