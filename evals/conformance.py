"""Is a value what its JSON Schema wants? The schemas are those of suites that the user chose to run."""

import re
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from evals.case import Json


def conforms(value: Any, schema: Json | bool) -> bool | None:
    """None where the schema can't be judged by: it is none, refers elsewhere, or has patterns Python can't read."""
    try:
        Draft202012Validator.check_schema(schema)
        # an empty registry of its own: nothing is ever fetched
        validator: Any = Draft202012Validator(schema, registry=Registry())
        return bool(validator.is_valid(value))
    except (SchemaError, Unresolvable, re.error, RecursionError):
        return None
