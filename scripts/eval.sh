#!/usr/bin/env bash
# Serves a model, and the same file by llama-server where its binary is found, and evaluates them side by side.
# usage: scripts/eval.sh VENV/bin "SUITE…" LIMIT [further flags of trammel eval]
#
# The suite sgd is made by `trammel gold` from the corpus in $TRAMMEL_DATA, because only the offline job reads corpora.
# MODEL: a GGUF, by default ours. ADAPTER: a LoRA adapter of it, a column of its own. THREADS: 1, because llama.cpp's
# threads spin. OUTPUT: the folder of answers and reports, by default runs/eval. LLAMA_SERVER: its binary, empty for
# none; by default the one on the PATH or what `make bench` has built.
set -euo pipefail

bin=$1 suites=$2 limit=$3
shift 3
cd "$(dirname "$0")/.."
model=${MODEL:-models/trammel-tiny.gguf}
threads=${THREADS:-1}
output=${OUTPUT:-runs/eval}
port=${PORT:-8471}
log=$(mktemp -d)
pids=()
trap '[ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null; rm -rf "$log"' EXIT

wait_for() { # URL PID NAME
    for _ in $(seq 300); do
        kill -0 "$2" 2>/dev/null || break # whoever answers then is another
        curl --silent --fail --output /dev/null "$1" && sleep 0.5 && kill -0 "$2" 2>/dev/null && return
        sleep 0.2
    done
    echo "$3 did not come up:" >&2
    tail -5 "$log/$3" >&2
    return 1
}

"$bin/python" -c "from server.cli import main; main()" serve --model "$model" --model-name base --port "$port" --threads "$threads" \
    ${ADAPTER:+--adapter "adapter=$ADAPTER"} >"$log/trammel" 2>&1 &
pids+=($!)
wait_for "http://127.0.0.1:$port/healthz" $! trammel
endpoints=(--endpoint "base=http://127.0.0.1:$port#base")
if [ -n "${ADAPTER:-}" ]; then
    endpoints+=(--endpoint "adapter=http://127.0.0.1:$port#adapter")
else
    echo "NOT RUN: no ADAPTER was given, so there is no column for one" >&2
fi

built=$(ls -t "${XDG_CACHE_HOME:-$HOME/.cache}"/trammel/peers/*/build/bin/llama-server 2>/dev/null | head -1 || true)
llama=${LLAMA_SERVER-$(command -v llama-server || echo "$built")}
if [ -n "$llama" ]; then
    "$llama" --model "$model" --port $((port + 1)) --threads "$threads" --jinja --parallel 4 --ctx-size 16384 \
        >"$log/llama-server" 2>&1 &
    pids+=($!)
    if wait_for "http://127.0.0.1:$((port + 1))/health" $! llama-server; then
        endpoints+=(--endpoint "llama-server=http://127.0.0.1:$((port + 1))")
    else
        echo "NOT RUN: llama-server" >&2
    fi
else
    echo "NOT RUN: llama-server is not in \$LLAMA_SERVER, not on the PATH, and not built by make bench" >&2
fi

named=()
for suite in $suites; do
    if [ "$suite" != sgd ]; then
        named+=("$suite")
    elif "$bin/python" -c "from server.cli import main; main()" gold "$log/sgd.jsonl" --limit 100 >&2; then
        named+=("$log/sgd.jsonl")
    else
        echo "NOT RUN: suite sgd" >&2
    fi
done

# Answers are kept by what was asked of whom, and "base" may be another file today, or answered by other code.
asked=$({
    sha256sum "$model" ${ADAPTER:+"$ADAPTER"} ${llama:+"$llama"} constraints.txt
    find server grammars -name '*.py' -print0 | sort -z | xargs -0 sha256sum
} | sha256sum | cut -d ' ' -f 1)
mkdir -p "$output"
if [ "$(cat "$output/asked.sha256" 2>/dev/null || true)" != "$asked" ]; then
    rm -f "$output"/answers.jsonl "$output"/results.jsonl
    echo "$asked" >"$output/asked.sha256"
fi

"$bin/python" -m evals eval "${named[@]}" "${endpoints[@]}" --grammar both --limit "$limit" --output "$output" "$@"
