"""OpenAI's own OpenAPI document, as a judge of what goes over the wire.

The whole document (3 MB) is looked up in $TRAMMEL_DATA or ../shared/data beside the checkout. Without it `sample.json`
judges: its schemas of completions, embeddings, models and errors, without their descriptions (openai/openai-python,
api_reference/openapi.transformed.yml, 2026-08, Apache-2.0).
"""

import json
import lzma
import os
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

HERE = Path(__file__).parent
DATA = Path(os.environ.get("TRAMMEL_DATA") or HERE.parents[2] / "shared" / "data")
DOCUMENT = DATA / "openai-openapi.yml.xz"
SAMPLE = HERE / "sample.json"
_URI = "urn:openai"


class Document:
    """Judges values by the document's named schemas."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self.names = frozenset(schemas)
        content = {"components": {"schemas": _as_json_schema(schemas)}}
        self._registry = Registry().with_resource(_URI, Resource(content, DRAFT202012))

    def fault(self, name: str, value: Any) -> str | None:
        """What is wrong with a value by the schema of that name, None if nothing is."""
        told = None
        errors = list(self._validator(name).iter_errors(value))
        while errors:  # of alternatives, the one that fits furthest says most
            worst = max(errors, key=lambda error: len(error.absolute_path))
            told = f"{name}{worst.json_path[1:]}: {worst.message[:300]}"
            errors = worst.context or []
        return told

    @cache  # noqa: B019 - there is one document
    def _validator(self, name: str) -> Draft202012Validator:
        schema = {"$ref": f"{_URI}#/components/schemas/{name}"}
        return Draft202012Validator(schema, registry=self._registry, format_checker=FormatChecker())


@lru_cache(maxsize=1)
def whole_document() -> Document | None:
    """The whole one, where it is to be had."""
    if not DOCUMENT.exists():
        return None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    schemas = yaml.load(lzma.decompress(DOCUMENT.read_bytes()), loader)["components"]["schemas"]
    return Document(schemas)


@lru_cache(maxsize=1)
def sample() -> Document:
    return Document(json.loads(SAMPLE.read_text()))


def _as_json_schema(value: Any) -> Any:
    """`nullable` is OpenAPI 3.0's word, which JSON Schema ignores; the document still uses it here and there."""
    if isinstance(value, list):
        return [_as_json_schema(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    inner = {key: _as_json_schema(one) for key, one in value.items()}
    for bound in ("minimum", "maximum"):
        if isinstance(inner.get(bound), str):  # 9e18, which is no number in YAML 1.1
            inner[bound] = float(inner[bound])
        exclusive = f"exclusive{bound.capitalize()}"
        if inner.get(exclusive) is True:  # OpenAPI 3.0's way again
            inner[exclusive] = inner.pop(bound)
    return {"anyOf": [inner, {"type": "null"}]} if value.get("nullable") is True else inner
