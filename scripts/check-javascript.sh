#!/usr/bin/env bash
# Lint, types and unit tests of the page's scripts. They need Node.js and npm for that; the page itself needs neither.
# Without them nothing is checked, which in CI counts as a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "Node.js or npm is not installed, so the page's scripts are not checked (Debian's names: nodejs npm)."
    if [ -n "${CI:-}" ]; then exit 1; else exit 0; fi
fi

# Installed as the lock file says, and again only when that has changed.
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
fi
npm run --silent lint
npm run --silent types
exec npm run --silent test
