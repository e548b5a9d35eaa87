"""A document's operations, one by one. One that can't be called says why, and is no reason to leave the others out."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

import grammars
from server.tools.definition import Effect
from server.tools.openapi.arguments import Arguments, encodings_of, hidden_key, idempotency_key
from server.tools.openapi.document import Document, DocumentError, Json
from server.tools.openapi.operation import Body, Operation, Parameter, Place, Scheme, Style
from server.tools.openapi.schemas import References, SchemaReader
from server.tools.openapi.words import plain_text

_EFFECTS: dict[str, Effect] = {"GET": "read", "HEAD": "read", "OPTIONS": "read", "DELETE": "destructive"}
"""By method; any other writes. TRACE is not called: it gives back what was sent, credentials too."""
_METHODS = ("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH")
_STRICTNESS: tuple[Effect, ...] = ("read", "write", "destructive")
_STYLES: dict[str, tuple[str, ...]] = {
    "path": ("simple", "label", "matrix"),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form",),
}
"""The first is the default (https://spec.openapis.org/oas/v3.1.1#style-values)."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_THEIRS = frozenset(("accept", "content-type", "authorization", "host", "content-length", "transfer-encoding",
    "connection", "cookie", "te", "trailer", "upgrade", "expect", "keep-alive", "accept-encoding",
    "proxy-authorization", "proxy-connection"))  # fmt: skip
"""Headers that are no parameters: the specification ignores the first three, and the others are HTTP's own."""


@dataclass(frozen=True, slots=True)
class Omission:
    """An operation that is no tool, and why."""

    key: str
    reason: str


def read_operations(document: Document, server: str | None = None) -> tuple[list[Operation], list[Omission]]:
    """`server`: takes the place of the document's. Raises: DocumentError, if it has no operations at all."""
    references = References(document.body)
    operations: dict[str, Operation] = {}
    omissions = []
    for path, method, item, operation in _operations(document.body, references):
        key = operation.get("operationId") or f"{method} {path}"
        try:
            if not isinstance(key, str) or len(key) > 200:
                raise DocumentError("its operationId is no text of at most 200 characters")
            if key in operations:
                raise DocumentError("an earlier operation has the same operationId")
            reader = _Reader(document, references, path, method, item, operation, server)
            operations[key] = reader.read(key)
        except DocumentError as error:
            omissions.append(Omission(str(key)[:200], str(error)))
        except (TypeError, ValueError, AttributeError, KeyError, RecursionError) as error:
            omissions.append(Omission(str(key)[:200], f"it can't be read: {type(error).__name__}"))
    if not operations and not omissions:
        raise DocumentError("the document has no operations")
    return list(operations.values()), omissions


def _operations(body: Json, references: References) -> Iterator[tuple[str, str, Json, Json]]:
    for path, node in (body.get("paths") or {}).items():
        try:
            item = references.follow(node)
        except DocumentError:
            item = {"get": {"operationId": f"paths {path}", "$ref": node["$ref"]}}
        for method in _METHODS:
            if isinstance(operation := item.get(method.lower()), dict):
                yield path, method, item, operation


@dataclass(frozen=True, slots=True)
class _Reader:
    document: Document
    references: References
    path: str
    method: str
    item: Json
    operation: Json
    server: str | None

    def read(self, key: str) -> Operation:
        """Raises: DocumentError."""
        if "$ref" in self.operation:
            self.references.find(self.operation["$ref"])
        schemas, arguments = SchemaReader(self.document, self.references), Arguments()
        parameters = tuple(self._parameter(one, schemas, arguments) for one in self._parameters())
        body = self._body(schemas, arguments)
        self._check_path(parameters)
        security, schemes = self._security()
        schema = arguments.schema(schemas.definitions)
        try:
            grammars.compile_schema(schema, strict=False, closed=True, openapi=True)
        except grammars.GrammarError as error:  # one such tool would be the end of every request that has it
            raise DocumentError(f"no grammar can be made of its arguments: {error}") from error
        return Operation(
            key,
            self.method,
            self._server() + self.path,
            schema,
            self._description(),
            parameters,
            body,
            security,
            schemes,
            self._accept(),
            self._effect(),
        )

    def _description(self) -> str | None:
        said = (plain_text(self.operation.get(name)) for name in ("summary", "description"))
        texts = [text for text in said if text]
        return texts[0] if len(texts) == 2 and texts[1].startswith(texts[0]) else " ".join(texts)[:1000] or None

    def _effect(self) -> Effect:
        """By the method; the document may say that it does more, not that it does less."""
        own = _EFFECTS.get(self.method, "write")
        said = self.operation.get("x-trammel-effect")
        return max(own, said, key=_STRICTNESS.index) if said in _STRICTNESS else own

    def _parameters(self) -> list[Json]:
        """The operation's own take the place of the path's."""
        found: dict[tuple[Any, Any], Json] = {}
        for node in [*(self.item.get("parameters") or ()), *(self.operation.get("parameters") or ())]:
            parameter = self.references.follow(node)
            found[parameter.get("in"), parameter.get("name")] = parameter
        return [one for one in found.values() if not self._is_http(one)]

    def _is_http(self, parameter: Json) -> bool:
        return parameter.get("in") == "header" and str(parameter.get("name")).lower() in _NOT_THEIRS

    def _parameter(self, node: Json, schemas: SchemaReader, arguments: Arguments) -> Parameter:
        if idempotency_key(node):
            return hidden_key()
        name, place = node["name"], node["in"]
        style = node.get("style", _STYLES[place][0])
        if style not in _STYLES[place]:
            raise DocumentError(f"the parameter {name!r} can't have the style {style!r}")
        if place in ("header", "cookie") and not _TOKEN.fullmatch(name):
            raise DocumentError(f"the parameter {name[:50]!r} is no name for a {place}")
        content_type, schema = None, node.get("schema", True)
        if content := node.get("content"):
            content_type, media = next(iter(content.items()))
            schema = self.references.follow(media).get("schema", True)
        described = schemas.read(schema)
        if isinstance(described, dict) and (text := plain_text(node.get("description"))):
            described = {**described, "description": text}
        is_required = node.get("required") is True or place == "path"
        argument = arguments.add(name, described, is_required=is_required, place=place)
        explode = node.get("explode", style == "form")
        return Parameter(
            argument,
            name,
            cast(Place, place),
            cast(Style, style),
            explode is True,
            node.get("allowReserved") is True,
            content_type,
            is_required,
        )

    def _body(self, schemas: SchemaReader, arguments: Arguments) -> Body | None:
        if "requestBody" not in self.operation:
            return None
        node = self.references.follow(self.operation["requestBody"])
        is_required = node.get("required") is True
        content_type, media = _preferred(node.get("content") or {})
        if content_type is None:
            if is_required:
                raise DocumentError(f"no body of type {', '.join(node.get('content') or ())} can be written")
            return None
        schema = schemas.read(media.get("schema", True))
        encodings = encodings_of(content_type.partition(";")[0], media, self._deep(schema, schemas))
        return arguments.add_body(content_type, schema, encodings, is_required=is_required)

    def _deep(self, schema: Any, schemas: SchemaReader) -> Any:
        if isinstance(schema, dict) and str(schema.get("$ref")).startswith("#/$defs/"):
            return schemas.definitions[schema["$ref"].removeprefix("#/$defs/")]
        return schema

    def _check_path(self, parameters: tuple[Parameter, ...]) -> None:
        wanted = set(re.findall(r"\{([^{}]*)\}", self.path))
        given = {parameter.name for parameter in parameters if parameter.place == "path"}
        if wanted != given:
            raise DocumentError(f"the path wants {sorted(wanted)}, the parameters give {sorted(given)}")

    def _server(self) -> str:
        """Without a slash at its end."""
        servers = self.operation.get("servers") or self.item.get("servers") or self.document.body.get("servers")
        node = (servers or [{"url": "/"}])[0]
        url = re.sub(r"\{([^{}]*)\}", lambda found: _default(node, found[1]), str(node.get("url", "/")))
        url = self.server or urljoin(self.document.location, url)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise DocumentError(f"its server {url[:100]!r} is no http(s) address; name one with `server`")
        if parts.username is not None or parts.query or parts.fragment or "{" in url:
            raise DocumentError("its server's address has a user, a query or a variable in it")
        return url.rstrip("/")

    def _security(self) -> tuple[tuple[tuple[str, ...], ...], dict[str, Scheme]]:
        said = self.operation.get("security", self.document.body.get("security"))
        alternatives = tuple(tuple(one) for one in said) if said else ((),)
        known = (self.document.body.get("components") or {}).get("securitySchemes") or {}
        names = sorted({name for one in alternatives for name in one})
        return alternatives, {name: _scheme(self.references.follow(known.get(name))) for name in names}

    def _accept(self) -> str:
        types: list[str] = []
        for status, node in (self.operation.get("responses") or {}).items():
            if str(status).startswith("2"):
                found = self.references.follow(node)
                types += [name for name in found.get("content") or {} if re.fullmatch(r"[\w!#$&^.+*/; =-]+", name)]
        return ", ".join(dict.fromkeys(types[:4])) or "*/*"


def _default(server: Mapping[str, Any], variable: str) -> str:
    found = (server.get("variables") or {}).get(variable) or {}
    return str(found.get("default", "{" + variable + "}"))


def _preferred(content: Mapping[str, Any]) -> tuple[str | None, Json]:
    """The content type that holds most of what a model can say."""

    def rank(name: str) -> int | None:
        plain = name.partition(";")[0].strip().lower()
        if plain == "application/json" or plain.endswith("+json"):
            return 0 if plain == "application/json" else 1
        kinds = ("application/x-www-form-urlencoded", "multipart/form-data", "*/*", "application/*", "text/plain")
        return kinds.index(plain) + 2 if plain in kinds else 9 if plain.startswith("text/") else None

    ranked = sorted((order, name) for name in content if (order := rank(name)) is not None)
    if not ranked:
        return None, {}
    name = ranked[0][1]
    return ("application/json" if "*" in name else name), content[name] or {}


def _scheme(node: Any) -> Scheme:
    """https://spec.openapis.org/oas/v3.1.1#security-scheme-object"""
    match node:
        case {"type": "apiKey", "in": ("query" | "header" | "cookie") as place, "name": str(name)}:
            is_header = place == "query" or _TOKEN.fullmatch(name)
            return Scheme("apiKey", place, name) if is_header else Scheme("unsupported")
        case {"type": "http", "scheme": str(scheme)} if scheme.lower() in ("basic", "bearer"):
            return Scheme("basic" if scheme.lower() == "basic" else "bearer")
        case {"type": "oauth2" | "openIdConnect"}:
            return Scheme("bearer")  # with a token that was had elsewhere
        case _:
            return Scheme("unsupported")
