"""Looks again at arguments whose grammar did not hold their whole schema.

Schemas come from clients, so validating with one is running a client's program: a `$ref` to another host must not be
fetched, and neither a pattern that backtracks without end nor references that double at every level may hold the
server up. All that can take long shares one deadline; what it leaves unchecked is said.
"""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import regex
from jsonschema import Draft202012Validator, ValidationError, validators
from referencing import Registry

_SECONDS = 0.5
_DEEPEST = 50
"""References inside references. Python's own limit comes at about 100, and hitting it inside the library's Rust parts
is a panic that no `except Exception` catches."""
_TIMED = ("$ref", "$dynamicRef", "uniqueItems", "unevaluatedItems")
"""Keywords of the library's whose work can grow beyond the schema's own size."""

Schema = Mapping[str, Any] | bool
Faults = Iterator[ValidationError]


def find_faults(schema: Schema, value: Any) -> tuple[str, ...]:
    """What is wrong with a value by its schema, one text a fault, and why the rest was not checked, if so.

    Never raises. Takes about half a second at most; call it off the event loop.
    """
    faults: list[str] = []
    try:
        for error in _Checks(schema).validator().iter_errors(value):
            faults.append(error.message)  # noqa: PERF401 - what was found before a failure counts
    except TimeoutError:
        faults.append(f"not checked to the end: it takes longer than {_SECONDS} s")
    except Exception as error:  # an unresolvable reference, an unreadable pattern, endless recursion: all the schema's
        faults.append(f"not checked to the end: {error}")
    return tuple(faults)


class _Checks:
    """Keywords checked under a deadline. Signatures are jsonschema's: validator, keyword's value, instance, schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._end = time.monotonic() + _SECONDS
        self._depth = 0

    def validator(self) -> Any:
        checks: dict[str, Any] = {keyword: self._in_time(keyword) for keyword in _TIMED}
        checks["pattern"] = self._pattern
        checks["patternProperties"] = self._pattern_properties
        checks["additionalProperties"] = self._additional_properties
        if "patternProperties" in json.dumps(self._schema):  # the library would match them without a deadline
            checks["unevaluatedProperties"] = _refuse
        kind: Any = validators.extend(Draft202012Validator, checks)  # type: ignore[no-untyped-call]
        return kind(self._schema, registry=Registry())

    def _seconds_left(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _has(self, pattern: str, text: str) -> bool:
        return regex.search(pattern, text, timeout=self._seconds_left()) is not None

    def _in_time(self, keyword: str) -> Any:
        check_keyword = Draft202012Validator.VALIDATORS[keyword]

        def check(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
            self._seconds_left()
            self._depth += 1
            if self._depth > _DEEPEST:
                raise RecursionError(f"references nest more than {_DEEPEST} deep")
            try:
                yield from check_keyword(validator, value, instance, schema) or ()
            finally:
                self._depth -= 1

        return check

    def _pattern(self, _: Any, pattern: str, instance: Any, __: Any) -> Faults:
        if isinstance(instance, str) and not self._has(pattern, instance):
            yield ValidationError(f"{instance!r} does not match {pattern!r}")

    def _pattern_properties(self, validator: Any, patterns: Mapping[str, Any], instance: Any, _: Any) -> Faults:
        for pattern, inner in patterns.items() if isinstance(instance, dict) else ():
            for key in instance:
                if self._has(pattern, key):
                    yield from validator.descend(instance[key], inner, path=key, schema_path=pattern)

    def _additional_properties(self, validator: Any, inner: Any, instance: Any, schema: Mapping[str, Any]) -> Faults:
        patterns = schema.get("patternProperties", {})
        for key in instance if isinstance(instance, dict) else ():
            if key in schema.get("properties", {}) or any(self._has(pattern, key) for pattern in patterns):
                continue
            if inner is False:
                yield ValidationError(f"the property {key!r} is not allowed")
            else:
                yield from validator.descend(instance[key], inner, path=key)


def _refuse(_: Any, __: Any, ___: Any, ____: Any) -> Faults:
    raise ValueError("unevaluatedProperties together with patternProperties")
