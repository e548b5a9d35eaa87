"""What is wrong with arguments by their tool's schema.

`server.chat.validation` guards against schemas that are programs, at two milliseconds a look, and a data set has
thousands of calls. Schemas without the keywords that can run away are judged by a validator that is kept.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry

from server.chat.validation import find_faults

_MAY_RUN_AWAY = ('"$', '"pattern', '"uniqueItems"', '"unevaluated')


def argument_faults(schema: Mapping[str, Any], arguments: Any) -> tuple[str, ...]:
    """One text a fault. Never raises."""
    text = json.dumps(schema)
    if any(keyword in text for keyword in _MAY_RUN_AWAY):
        return find_faults(schema, arguments)
    try:
        return tuple(error.message for error in _validator(text).iter_errors(arguments))
    except Exception as error:  # an ill-formed schema shows itself in many ways
        return (f"not checked to the end: {error}",)


@lru_cache(maxsize=4096)
def _validator(schema: str) -> Any:
    return Draft202012Validator(json.loads(schema), registry=Registry())
