#!/usr/bin/env bash
# Builds what `make bench` measures us against, from the sources of the llama-cpp-python we use: llama-server,
# llama-bench and llama-batched-bench with our engine's compiler flags, and a venv in which llama_cpp.server runs.
# usage: scripts/build_peers.sh VENV   (prints the folder; about 15 minutes on 2 cores, once)
#
# TRAMMEL_PEERS names another folder than ${XDG_CACHE_HOME:-~/.cache}/trammel/peers. The flags are those of
# scripts/install_engine.sh: Release, -march=native, OpenMP, and no AMX where the processor announces it, unless
# TRAMMEL_AMX=1. A build of other flags or another version gets a folder of its own.
set -euo pipefail

venv=$(cd "$1" && pwd -P)
here=$(cd "$(dirname "$0")/.." && pwd)
version=$(sed -n 's/^llama-cpp-python==//p' "$here/constraints.txt")
flags=${CMAKE_ARGS:-}
if [ -z "${TRAMMEL_AMX:-}" ] && grep -q amx_tile /proc/cpuinfo 2>/dev/null; then
    no_amx="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
    flags="$flags -DCMAKE_C_FLAGS='$no_amx' -DCMAKE_CXX_FLAGS='$no_amx'"
fi
key=$({ echo "$version $flags"; grep -m1 '^flags' /proc/cpuinfo 2>/dev/null || uname -m; } | cksum | cut -d' ' -f1)
folder=${TRAMMEL_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/trammel/peers}/$version-$key

if [ ! -e "$folder/.native" ]; then
    sources=$("$here/scripts/llama_sources.sh" "$venv")
    echo "building llama-server, llama-bench and llama-batched-bench in $folder" >&2
    eval cmake -S "'$sources'" -B "'$folder/build'" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON \
        -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
        -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF "$flags" >&2
    nice -n 10 cmake --build "$folder/build" --parallel "${JOBS:-2}" \
        --target llama-server llama-bench llama-batched-bench >&2
    touch "$folder/.native"
fi

# The venv sees our own llama-cpp-python, so both servers run the same libllama; only what its server needs is added.
if [ ! -e "$folder/.python" ]; then
    "$venv/bin/python" -m venv --system-site-packages "$folder/venv"
    "$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
        >"$("$folder/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/engine.pth"
    "$folder/venv/bin/pip" install --quiet 'sse-starlette>=1.6.1' 'starlette-context>=0.3.6,<0.4' \
        'pydantic-settings>=2.0.1' 'PyYAML>=5.1' >&2
    touch "$folder/.python"
fi
echo "$folder"
