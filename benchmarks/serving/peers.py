"""The commands that start us and everyone else with the same model, threads, context and places."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.serving.processes import Setup
from benchmarks.serving.random_model import HALF_BILLION, write_random_adapter, write_random_model

ROOT = Path(__file__).parents[2]
TRAINED = ROOT / "models" / "trammel-tiny.gguf"
_TEMPLATE = "models/templates/Qwen-Qwen2.5-7B-Instruct.jinja"
_VOCABULARY = "models/ggml-vocab-qwen2.gguf"
ADAPTERS = 4


class NotAvailableError(Exception):
    """A row can't be measured here; the text says why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What all servers are given alike."""

    threads: int
    context: int = 32_768
    """Cells of the KV cache, over all places."""
    places: int = 16
    """Requests decoded together."""


@dataclass(frozen=True, slots=True)
class Peers:
    """Where the peers and the model files are."""

    folder: Path
    """What scripts/build_peers.sh printed."""
    sources: Path
    """llama.cpp's source tree."""

    @staticmethod
    def find() -> "Peers":
        """Build what is missing; this takes a quarter of an hour the first time."""
        folder = _output(ROOT / "scripts" / "build_peers.sh", sys.prefix)
        return Peers(Path(folder), Path(_output(ROOT / "scripts" / "llama_sources.sh", sys.prefix)))

    @property
    def random_model(self) -> Path:
        """The random half-billion model, written on first use."""
        path = self.folder.parent / "random-qwen2-0.5b-q8_0.gguf"
        if not path.exists():
            print(f"writing {path}", file=sys.stderr)
            write_random_model(path, self.sources / _VOCABULARY, (self.sources / _TEMPLATE).read_text())
        return path

    @property
    def adapters(self) -> list[Path]:
        """Random LoRA files for the random model."""
        paths = [self.folder.parent / f"random-adapter-{number}.gguf" for number in range(ADAPTERS)]
        for seed, path in enumerate(paths):
            if not path.exists():
                write_random_adapter(path, seed, HALF_BILLION)
        return paths

    def trammel(self, model: Path, settings: Settings, *flags: str) -> Setup:
        """Us."""
        program = (sys.executable, "-c", "from server.cli import main; main()", "serve", "--port", "{port}")
        sizes = _flags(threads=settings.threads, kv_cells=settings.context, parallel=settings.places)
        length = ("--context-length", str(_context(model, settings)))
        name = ("--model", str(model), "--model-name", "model", "--log-level", "warning")
        return Setup("trammel", (*program, *name, *sizes, *length, *flags), "/healthz", ROOT)

    def llama_server(self, model: Path, settings: Settings, *flags: str) -> Setup:
        """llama.cpp's own server."""
        sizes = _flags(threads=settings.threads, ctx_size=settings.context, parallel=settings.places)
        program = (str(self.folder / "build/bin/llama-server"), "--port", "{port}", "-m", str(model))
        return Setup("llama-server", (*program, *sizes, "--kv-unified", "--no-webui", *flags))

    def bindings_server(self, model: Path, settings: Settings) -> Setup:
        """llama_cpp.server: one request at a time, so it needs the context of one."""
        python = str(self.folder / "venv/bin/python")
        program = (python, "-m", "llama_cpp.server", "--port", "{port}", "--model", str(model))
        sizes = ("--n_ctx", "8192", "--n_threads", str(settings.threads), "--n_threads_batch", str(settings.threads))
        # by default it breaks off a stream when another request comes
        modes = ("--interrupt_requests", "false", "--logits_all", "false")
        return Setup("llama_cpp.server", (*program, *sizes, *modes), "/v1/models")

    def bindings_example(self, model: Path, settings: Settings) -> Setup:
        """The bindings' examples/server, which batches; it reads a file of settings."""
        config = {
            "server": {"host": "127.0.0.1", "port": 0},
            "model": {
                "path": str(model),
                "alias": "model",
                "chat_template": (self.sources / _TEMPLATE).read_text(),
                "n_ctx": settings.context,
                "n_seq_max": settings.places,
                "n_batch": 2048,
                "n_ubatch": 512,
                "threads": settings.threads,
                "threads_batch": settings.threads,
                "kv_unified": True,
                "store_logits": False,
                "max_output_tokens": 4096,
            },
        }
        python, server = self.folder / "venv/bin/python", self.sources.parents[1] / "examples/server/server.py"
        # the port is known only when the process starts, so the command itself writes the file
        starter = (
            "import json,os,sys,tempfile;c=json.loads(sys.argv[2]);c['server']['port']=int(sys.argv[3]);"
            "f=tempfile.NamedTemporaryFile('w',suffix='.json',delete=False);json.dump(c,f);f.close();"
            "os.execv(sys.executable,[sys.executable,sys.argv[1],'-C',f.name])"
        )
        command = (str(python), "-c", starter, str(server), json.dumps(config), "{port}")
        return Setup("examples/server", command, "/v1/models")

    def bench_speed(self, model: Path, settings: Settings, tokens: int) -> float:
        """Tokens a second of llama-bench decoding one stream."""
        program = str(self.folder / "build/bin/llama-bench")
        sizes = ("-m", str(model), "-t", str(settings.threads), "-p", "0", "-n", str(tokens), "-r", "1", "-o", "json")
        return float(json.loads(_output(Path(program), *sizes))[0]["avg_ts"])

    def batched_bench_speed(self, model: Path, settings: Settings, streams: int, tokens: int) -> float:
        """Tokens a second of llama-batched-bench decoding several streams at once."""
        program = str(self.folder / "build/bin/llama-batched-bench")
        work = ("-m", str(model), "-t", str(settings.threads), "-c", str(settings.context), "--kv-unified")
        shape = ("-npp", "16", "-ntg", str(tokens), "-npl", str(streams), "--output-format", "jsonl")
        lines = [line for line in _output(Path(program), *work, *shape).splitlines() if line.startswith("{")]
        return float(json.loads(lines[-1])["speed_tg"])


def require_flag(flag: str) -> None:
    """Raises: NotAvailableError, if `trammel serve` has no such flag yet."""
    if flag not in _serve_help():
        raise NotAvailableError(f"trammel serve has no {flag}")


@cache
def _serve_help() -> str:
    command = [sys.executable, "-c", "from server.cli import main; main()", "serve", "--help"]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True, env=environment).stdout


def _context(model: Path, settings: Settings) -> int:
    return min(settings.context, 2048) if model == TRAINED else min(settings.context, 8192)


def _flags(**values: object) -> tuple[str, ...]:
    return tuple(part for name, value in values.items() for part in ("--" + name.replace("_", "-"), str(value)))


def _output(program: Path, *arguments: str) -> str:
    run = subprocess.run([str(program), *arguments], stdout=subprocess.PIPE, stderr=None, text=True, check=True)
    return run.stdout.strip()
