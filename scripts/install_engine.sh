#!/usr/bin/env bash
# Builds llama-cpp-python into a virtual environment and proves that it decodes.
# usage: scripts/install_engine.sh VENV
#
# Some hypervisors announce AMX and then kill programs that use it, so AMX is left out where the processor has it;
# TRAMMEL_AMX=1 asks for it all the same. pip's own wheel cache knows nothing of compiler flags: wheels are kept apart
# by version, flags and processor in ${XDG_CACHE_HOME:-~/.cache}/trammel/wheels.
set -euo pipefail

venv=$1
here=$(cd "$(dirname "$0")/.." && pwd)
version=$(sed -n 's/^llama-cpp-python==//p' "$here/constraints.txt")
no_amx="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"

install_with() {
    local flags=$1 key wheels
    key=$({ echo "$version $flags"; grep -m1 '^flags' /proc/cpuinfo 2>/dev/null || uname -m; } | cksum | cut -d' ' -f1)
    wheels=${XDG_CACHE_HOME:-$HOME/.cache}/trammel/wheels/llama-cpp-python-$version-$key
    if ! compgen -G "$wheels/llama_cpp_python-*.whl" >/dev/null; then
        echo "building llama-cpp-python $version (about 5 minutes on 2 cores) ${flags:+with CMAKE_ARGS=$flags}"
        mkdir -p "$wheels"
        CMAKE_ARGS=$flags "$venv/bin/pip" wheel --quiet --no-cache-dir --no-deps \
            --no-binary llama-cpp-python --wheel-dir "$wheels" "llama-cpp-python==$version"
    fi
    "$venv/bin/pip" install --quiet --force-reinstall --no-deps "$wheels"/llama_cpp_python-*.whl
}

prove() {
    "$venv/bin/python" "$here/scripts/prove_engine.py" "$here/models/trammel-tiny.gguf"
}

"$venv/bin/pip" install --quiet numpy typing-extensions diskcache jinja2
flags=${CMAKE_ARGS:-}
if [ -z "${TRAMMEL_AMX:-}" ] && grep -q amx_tile /proc/cpuinfo 2>/dev/null; then
    flags="$flags -DCMAKE_C_FLAGS='$no_amx' -DCMAKE_CXX_FLAGS='$no_amx'"
fi
install_with "$flags"
if ! prove; then
    echo "the engine died; rebuilding without AMX"
    install_with "${CMAKE_ARGS:-} -DCMAKE_C_FLAGS='$no_amx' -DCMAKE_CXX_FLAGS='$no_amx'"
    prove
fi
