#!/bin/sh
# Installs the JavaScript clients of tests/clients/node outside the repository, once for each lock file, and prints where.
# With --check it installs nothing and fails if they are absent.
set -eu
source=$(cd "$(dirname "$0")/../tests/clients/node" && pwd)
lock=$(cksum < "$source/package-lock.json" | cut -d ' ' -f 1)
place="${XDG_CACHE_HOME:-$HOME/.cache}/trammel/node-clients/$lock"
if [ ! -f "$place/.complete" ]; then
    [ "${1:-}" != --check ] || exit 1
    mkdir -p "$place"
    cp "$source/package.json" "$source/package-lock.json" "$place/"
    (cd "$place" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error) >&2
    touch "$place/.complete"
fi
echo "$place"
