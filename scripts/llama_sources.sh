#!/usr/bin/env bash
# Prints the folder of llama.cpp's sources (vocabularies, chat templates …), fetching them once from the
# llama-cpp-python source archive into ${XDG_CACHE_HOME:-~/.cache}/trammel/sources.
# usage: scripts/llama_sources.sh VENV
set -euo pipefail

venv=$1
here=$(cd "$(dirname "$0")/.." && pwd)
version=$(sed -n 's/^llama-cpp-python==//p' "$here/constraints.txt")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/trammel/sources
folder=$cache/llama_cpp_python-$version/vendor/llama.cpp
if [ ! -d "$folder" ]; then
    mkdir -p "$cache"
    "$venv/bin/pip" download --quiet --no-deps --no-binary llama-cpp-python --dest "$cache" \
        "llama-cpp-python==$version" >&2
    tar -xzf "$cache/llama_cpp_python-$version.tar.gz" -C "$cache"
fi
echo "$folder"
