"""One operation of an API, with all that is needed to call it and nothing that leads elsewhere.

It is what the registry stores: a version of a tool. Its hash covers everything in it, so that whatever changes in a
document, wherever it stands there, is a change of the operations that use it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter

from server.tools.definition import Effect

Json = dict[str, Any]
Place = Literal["path", "query", "header", "cookie"]
Style = Literal["simple", "label", "matrix", "form", "spaceDelimited", "pipeDelimited", "deepObject"]
SchemeKind = Literal["apiKey", "basic", "bearer", "unsupported"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """Where an argument goes, and how it is written there (https://spec.openapis.org/oas/v3.1.1#parameter-object)."""

    argument: str
    """The model's name for it."""
    name: str
    place: Place
    style: Style
    explode: bool
    allow_reserved: bool = False
    content_type: str | None = None
    """It is written as a document of that type."""
    is_required: bool = False
    is_key: bool = False
    """An idempotency key: the gateway's, and no argument."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a property of a form is written."""

    content_type: str | None = None
    style: Style = "form"
    explode: bool = True
    is_binary: bool = False
    """A file's bytes rather than a value."""
    is_base64: bool = False
    """The argument is the bytes in base64."""


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries."""

    content_type: str
    properties: Mapping[str, str] = field(default_factory=dict)
    """Argument to property of the body."""
    whole: str | None = None
    """The argument that is all of the body."""
    is_required: bool = False
    encodings: Mapping[str, Encoding] = field(default_factory=dict)
    """By property, for forms."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """A way to show who calls. The secret itself is never part of a definition."""

    kind: SchemeKind
    place: Place = "header"
    name: str = "Authorization"


@dataclass(frozen=True, slots=True)
class Operation:
    """A tool as its document defines it."""

    key: str
    """What it is known by from version to version: its operationId, or method and path."""
    method: str
    url: str
    """Server and path; `{name}` stands for a path parameter."""
    schema: Mapping[str, Any]
    """Of all arguments, flat."""
    description: str | None = None
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    security: tuple[tuple[str, ...], ...] = ((),)
    """Alternatives; each names schemes that are all needed."""
    schemes: Mapping[str, Scheme] = field(default_factory=dict)
    accept: str = "*/*"
    effect: Effect = "destructive"

    @property
    def hash(self) -> str:
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def takes_key(self) -> bool:
        """The API itself ignores what it is told twice."""
        return any(parameter.is_key for parameter in self.parameters)

    def to_json(self) -> Json:
        written: Json = _ADAPTER.dump_python(self, mode="json")
        return written

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> "Operation":
        """Raises: pydantic.ValidationError."""
        return _ADAPTER.validate_python(dict(body))


_ADAPTER: TypeAdapter[Operation] = TypeAdapter(Operation)
