"""All settings of the server in one object: from flags, then the environment, then a TOML file, then defaults."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from server.engine.types import FlashAttention, KvType, SplitMode
from server.store.home import Home

DEFAULT_MODEL = Path(__file__).resolve().parents[1] / "models" / "trammel-tiny.gguf"
CONFIG_FILE = "trammel.toml"
_SHORTEST_KEY = 16


class Settings(BaseSettings):
    """Every field is a flag of `trammel serve`, a variable TRAMMEL_… and a key of the TOML file."""

    model_config = SettingsConfigDict(env_prefix="TRAMMEL_", toml_file=CONFIG_FILE, extra="forbid", frozen=True)

    model: Annotated[list[str], NoDecode] = Field(
        [str(DEFAULT_MODEL)],
        min_length=1,
        description="The GGUF file to serve, PATH or NAME=PATH. May be given again: further ones load when asked for.",
    )
    model_name: str | None = Field(None, description="The first model's name; by default its file's, without suffix.")
    models: Path | None = Field(
        None, description="A folder of further models (*.gguf), each served under its file's name when asked for."
    )
    max_models: int = Field(1, ge=1, description="Further models in memory at once; the least recently used leaves.")
    adapter: Annotated[list[str], NoDecode] = Field(
        [], description="A LoRA to serve, NAME=PATH or NAME=PATH:SCALE. May be given again."
    )
    adapters: Path | None = Field(
        None, description="A folder of LoRA files (*.gguf), watched: each is served under its name while it is there."
    )
    admin_key: SecretStr | None = Field(
        None,
        description="What loading and unloading adapters over HTTP needs, at least 16 characters; without one it is "
        "refused. Flags are seen by other users of the machine: better in the environment or a file.",
    )
    admin_key_file: Path | None = Field(None, description="A file that holds the admin key.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    context_length: Annotated[int, Field(ge=64)] | Literal["model"] | None = Field(
        None,
        description="Tokens a request may have in all; `model`: all it was trained for; by default that, up to 8192.",
    )
    kv_cells: int | None = Field(
        None,
        ge=64,
        description="Tokens the KV cache holds over all requests; by default parallel × context, up to 65536.",
    )
    parallel: int = Field(16, ge=1, le=128, description="Requests decoded together.")
    queue: int = Field(128, ge=0, description="Requests that may wait; the next gets 429.")
    prefill_chunk: int = Field(256, ge=1, le=2048, description="Prompt tokens a step may take while others decode.")
    threads: int | None = Field(None, ge=1, description="Threads of llama.cpp; by default all cores.")
    idle_kv_mib: int = Field(
        1024,
        ge=0,
        description="Bound in MiB of the memory, a model, in which the KV of finished requests waits for the next that "
        "begins alike; 0: it stays in the cells of the KV cache, where those that run pass over it.",
    )
    prefix_store: Path | None = Field(
        None, description="A folder that keeps the KV of system texts and tools, so that a restart finds it warm."
    )
    prefix_store_mib: int = Field(
        1024, ge=1, description="Bound of that folder in MiB; the least recently used prefixes leave."
    )
    speculate: Literal["off", "lookup", "draft"] = Field(
        "off",
        description="Guess ahead: lookup, what an answer repeats of its prompt; draft, what the draft model says. "
        "The output stays the same.",
    )
    draft_model: Path | None = Field(
        None,
        validate_default=True,
        description="A smaller GGUF with the first model's vocabulary that drafts for it; goes with speculate `draft`.",
    )
    kv_type: KvType = Field(
        "f16", description=f"How the KV cache holds numbers: {', '.join(get_args(KvType))}; q8_0 halves its memory."
    )
    flash_attention: FlashAttention = Field("auto", description="auto, on or off; quantized KV types need it.")
    gpu_layers: int = Field(0, ge=-1, description="Layers to offload to a GPU; -1 for all.")
    split_mode: SplitMode = Field("layer", description="Division among several GPUs: none, layer, row or tensor.")
    main_gpu: int = Field(0, ge=0, description="The GPU that is used where split-mode is none.")
    mmap: bool = Field(True, description="Map the model file into memory rather than read it.")
    mlock: bool = Field(False, description="Keep the weights from being swapped out.")
    request_timeout: float | None = Field(
        None, gt=0, description="Seconds a request may take, waiting included; by default as long as it takes."
    )
    drain_timeout: float = Field(
        30.0, ge=0, description="Seconds that requests under way may take to finish once the server is told to end."
    )
    draft_tokens: int = Field(15, ge=1, le=64, description="Tokens guessed ahead at once, at most.")
    align: bool = Field(
        True,
        description="Take a choice under a grammar back where the grammar forbids what the model would say after it, "
        "and another is worth more.",
    )
    grammar_engine: Literal["llguidance", "llama.cpp"] = Field(
        "llguidance", description="What holds the model to a grammar: llguidance, or llama.cpp's own sampler (slower)."
    )
    store: str | None = Field(
        None,
        description="The database of responses, runs, files and jobs: the path of an SQLite file, or "
        "`postgresql+psycopg://USER@HOST/NAME` (extra `postgres`); by default memory, which goes with the server.",
    )
    store_limit: int = Field(10_000, ge=1, description="Responses that are stored; beyond that the oldest leave.")
    home: Path | None = Field(
        None,
        description="A folder for uploaded files, fine-tuning jobs and the adapters they make; without `store` the "
        "database is in it too. None: no files and no jobs.",
    )
    worker: bool = Field(False, description="Run a `trammel worker` for the jobs, beside the server; needs `home`.")
    file_limit: float = Field(512.0, gt=0, description="Megabytes (2^20 bytes) that an uploaded file may have.")
    tools: str | None = Field(None, description="A Python file or module whose tools the server runs itself.")
    mcp: Path | None = Field(
        None, description='A JSON file of MCP servers whose tools the server runs: {"mcpServers": {NAME: …}}.'
    )
    tool_secrets: Path | None = Field(
        None,
        description="A TOML file of credentials for the APIs that tools call, NAME = VALUE, readable to nobody else; "
        "TRAMMEL_SECRET_NAME in the environment comes before it.",
    )
    tool_search_model: str | None = Field(
        None,
        description="Name of a served embedding model by which tools are found where there are more than ten; without "
        "it they are found by words alone.",
    )
    runs: str | None = Field(
        None,
        description="A database for runs alone, written like `store`; by default that of `store`.",
    )
    run_steps: int = Field(100, ge=1, description="Turns that a run may ask for at most (it gets 12 by itself).")
    run_calls: int = Field(1000, ge=1, description="Calls that a run may ask for at most (it gets 32 by itself).")
    run_seconds: float = Field(
        3600.0, gt=0, description="Seconds of work that a run may ask for at most (it gets 300 by itself)."
    )
    run_tokens: int = Field(
        1_000_000,
        ge=1,
        description="Tokens, less cached ones, that a run may ask for at most (it gets 65536 by itself).",
    )
    run_bytes: int = Field(
        64 * 1024 * 1024, ge=1, description="Bytes of results that a run may ask for at most (it gets 4 MiB by itself)."
    )
    approval_timeout: float = Field(86_400.0, gt=0, description="Seconds a person has to approve a call.")
    api_key: Annotated[list[str], NoDecode] = Field(
        [], description="A key that requests must have, in clear or as sha256:HEX. May be given again; none: no keys."
    )
    api_keys: Path | None = Field(
        None, description="A TOML file of keys: [NAME] with hash, and concurrency and rate of its own if wanted."
    )
    key_concurrency: int | None = Field(None, ge=1, description="Requests that a key may have under way at once.")
    key_rate: int | None = Field(None, ge=1, description="Requests that a key may make in a minute.")
    cors_origin: Annotated[list[str], NoDecode] = Field(
        [], description="A web origin whose pages may ask; * for all. May be given again; none: no CORS."
    )
    body_limit: float = Field(8.0, gt=0, description="Megabytes (2^20 bytes) that a request's body may have.")
    tls_certificate: Path | None = Field(None, description="A PEM file; with it the server speaks HTTPS.")
    tls_key: Path | None = Field(None, description="The certificate's private key, where it is a file of its own.")
    log_format: Literal["text", "json"] = Field("text", description="A log entry is a line of text or a JSON object.")
    log_prompts: bool = Field(False, description="Log the bodies of requests, prompts included.")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="debug, info, warning or error.")

    @field_validator("adapter")
    @classmethod
    def _adapters_are_named(cls, texts: list[str]) -> list[str]:
        names = [adapter_of(text)[0] for text in texts]
        if len(set(names)) < len(names):
            raise ValueError("two adapters have the same name")
        return texts

    @field_validator("admin_key")
    @classmethod
    def _is_no_guess(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < _SHORTEST_KEY:
            raise ValueError(f"the admin key needs at least {_SHORTEST_KEY} characters")
        return key

    @field_validator("admin_key_file")
    @classmethod
    def _holds_a_key(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is None:
            return None
        if info.data.get("admin_key") is not None:
            raise ValueError("give the admin key or a file that holds it, not both")
        try:
            key = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} can't be read as text") from error
        if len(key) < _SHORTEST_KEY:
            raise ValueError(f"the admin key in {file} needs at least {_SHORTEST_KEY} characters")
        return file

    def read_admin_key(self) -> str | None:
        """The key itself, wherever it was given."""
        if self.admin_key_file is not None:
            return self.admin_key_file.read_text(encoding="utf-8").strip()
        return None if self.admin_key is None else self.admin_key.get_secret_value()

    @field_validator("worker")
    @classmethod
    def _has_a_home(cls, worker: bool, info: ValidationInfo) -> bool:
        if worker and info.data.get("home") is None:
            raise ValueError("it needs home too")
        return worker

    @property
    def database(self) -> str:
        """The database of everything: a URL, or the path of an SQLite file."""
        return self.store or (str(Home(self.home).database) if self.home else "sqlite://")

    @field_validator("draft_model")
    @classmethod
    def _goes_with_speculate(cls, draft_model: Path | None, info: ValidationInfo) -> Path | None:
        if (draft_model is not None) != (info.data.get("speculate", "off") == "draft"):
            raise ValueError("speculate `draft` and a draft model go together: give both or neither")
        return draft_model

    @field_validator("flash_attention")
    @classmethod
    def _quantized_kv_has_it(cls, flash_attention: FlashAttention, info: ValidationInfo) -> FlashAttention:
        kv_type = info.data.get("kv_type", "f16")
        if flash_attention == "off" and kv_type not in ("f32", "f16", "bf16"):
            raise ValueError(f"the KV type {kv_type} needs flash attention")
        return flash_attention

    @field_validator("model", "adapter", "api_key", "cors_origin", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        """One value, or a JSON list where a list can't be written (an environment variable)."""
        if isinstance(value, str):
            return json.loads(value) if value.startswith("[") else [value]
        return [str(value)] if isinstance(value, Path) else value

    @field_validator("model")
    @classmethod
    def _models_are_named(cls, texts: list[str]) -> list[str]:
        names = [model_of(text)[0] for text in texts]
        if len(set(names)) < len(names):
            raise ValueError("two models have the same name; write NAME=PATH")
        return texts

    @field_validator("api_key")
    @classmethod
    def _keys_are_no_blanks(cls, keys: list[str]) -> list[str]:
        if any(not key.strip() or key != key.strip() for key in keys):
            raise ValueError("a key is not empty and has no blanks around it")
        return keys

    @field_validator("tls_key")
    @classmethod
    def _has_a_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if key is not None and info.data.get("tls_certificate") is None:
            raise ValueError("it needs tls-certificate too")
        return key

    @field_validator("adapters", "models")
    @classmethod
    def _is_a_folder(cls, folder: Path | None) -> Path | None:
        if folder is not None and not folder.is_dir():
            raise ValueError(f"{folder} is no folder")
        return folder

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class names it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def model_of(text: str) -> tuple[str, Path]:
    """Name and file of PATH or NAME=PATH."""
    name, sign, path = text.partition("=")
    if not sign or Path(text).exists():
        return Path(text).stem, Path(text)
    return name, Path(path)


def adapter_of(text: str) -> tuple[str, Path, float]:
    """Name, file and scale of NAME=PATH or NAME=PATH:SCALE. Raises: ValueError."""
    name, sign, rest = text.partition("=")
    if not name or not sign or not rest:
        raise ValueError(f"{text!r} is not NAME=PATH or NAME=PATH:SCALE")
    path, colon, scale = rest.rpartition(":")
    try:
        return (name, Path(path), float(scale)) if colon else (name, Path(rest), 1.0)
    except ValueError:
        return name, Path(rest), 1.0


def settings_table() -> str:
    """The settings as a Markdown table, for the docs; a test compares it."""
    lines = ["| flag | environment | default | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "`models/trammel-tiny.gguf`" if name == "model" else f"`{field.default}`"
        default = "" if field.default in (None, []) else default
        flag = name.replace("_", "-")
        lines.append(f"| `--{flag}` | `TRAMMEL_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"
