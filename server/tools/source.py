"""Where tools come from, as an operator says: an API's document, what may be called, with which credentials, how far
its words and its answers are trusted; and what he says of a single tool."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from server.tools.definition import Approval, Effect, Source, Trust
from server.tools.gateway.gateway import GatewaySettings

Json = dict[str, Any]
Hold = Literal["texts", "breaking", "new"]
_NO_MORE = ConfigDict(extra="forbid")
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


class SourceError(Exception):
    """A source or a tool can't be as it is asked for. Says why."""


class NoSuchSourceError(SourceError):
    """There is no source, or none with a tool, of that name."""


@checked(frozen=True, slots=True, config=_NO_MORE)
class SourceSettings:
    """Of one source. What changes the document may bring by itself is bounded by them."""

    server: str | None = None
    """Takes the place of the document's servers."""
    hosts: tuple[str, ...] = ()
    """`host:port` that may be called; by default those of the document when it was added."""
    internal: tuple[str, ...] = ()
    """Hosts or networks that may be private."""
    methods: tuple[str, ...] = ()
    credentials: Mapping[str, str] = field(default_factory=dict)
    """Scheme of the document (or `document`, to read it) to the name of a secret."""
    prefix: str = ""
    """Before the tools' names."""
    trust: Trust = "untrusted"
    texts: Literal["untrusted", "trusted", "hidden"] = "untrusted"
    """Of the document, to the model. Untrusted: shown, and writes of a run that shows them need approval."""
    hold: tuple[Hold, ...] = ("texts", "new")
    """What waits for a person when the document changes; another server or another effect always does."""
    timeout: Seconds = 30.0
    concurrency: Positive = 8
    rate: Positive | None = None
    """Calls in a minute."""
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    response_limit: Positive = 4 * 2**20
    """Bytes of an answer that are read."""
    result_limit: Positive = 16_384
    """Bytes of it that the model gets."""
    refresh: Seconds | None = None
    """Seconds between readings."""

    def gateway(self) -> GatewaySettings:
        return GatewaySettings(
            self.hosts,
            self.internal,
            self.methods,
            self.credentials,
            self.concurrency,
            self.rate,
            self.retries,
            self.response_limit,
        )


@checked(frozen=True, slots=True, config=_NO_MORE)
class Overrides:
    """What an operator says of a tool, in the place of what its source says."""

    effect: Effect | None = None
    trust: Trust | None = None
    approval: Approval | None = None
    timeout: Seconds | None = None
    result_limit: Positive | None = None
    fields: tuple[str, ...] = ()
    """What is kept of an answer: `id`, `owner.name`."""
    sources: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    touches: tuple[str, ...] = ()
    polls: bool = False
    is_idempotent: bool = False
    rejected: tuple[str, ...] = ()
    """Versions that a person has said no to."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a reading of a source brought."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    """Changed or new, and waiting for a person."""
    dropped: tuple[str, ...] = ()
    omitted: Mapping[str, str] = field(default_factory=dict)
    """Operations that are no tools, and why."""
    is_unchanged: bool = False


_SETTINGS: TypeAdapter[SourceSettings] = TypeAdapter(SourceSettings)
_OVERRIDES: TypeAdapter[Overrides] = TypeAdapter(Overrides)


def read_settings(body: Mapping[str, Any]) -> SourceSettings:
    """Raises: SourceError."""
    settings: SourceSettings = _read(_SETTINGS, body)
    return settings


def read_overrides(body: Mapping[str, Any]) -> Overrides:
    """Raises: SourceError."""
    overrides: Overrides = _read(_OVERRIDES, body)
    return overrides


def write_settings(settings: SourceSettings) -> Json:
    written: Json = _SETTINGS.dump_python(settings, mode="json")
    return written


def write_overrides(overrides: Overrides) -> Json:
    written: Json = _OVERRIDES.dump_python(overrides, mode="json", exclude_defaults=True)
    return written


def _read(adapter: TypeAdapter[Any], body: Mapping[str, Any]) -> Any:
    try:
        return adapter.validate_python(dict(body))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SourceError(f"{name}: {first['msg']}") from error
