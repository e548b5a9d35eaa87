"""The table of keywords: what the compiler does with every keyword of JSON Schema, and the source of its docs."""

from typing import Literal, NamedTuple

Fate = Literal["enforced", "enforced when", "refused", "annotation"]

TYPES = ("object", "array", "string", "number", "boolean", "null")
"""The types of a schema that names none; integers are numbers."""


class Keyword(NamedTuple):
    """A row of docs/json-schema.md."""

    fate: Fate
    note: str = ""


_ONE_TYPE = "asserts about values of its type only"
KEYWORDS: dict[str, Keyword] = {
    "type": Keyword("enforced"),
    "enum": Keyword("enforced", "object values with their keys in the order given"),
    "const": Keyword("enforced", "object values with their keys in the order given"),
    "properties": Keyword("enforced", "keys in the order of the schema"),
    "required": Keyword("enforced"),
    "additionalProperties": Keyword("enforced", "further keys come after the declared ones"),
    "patternProperties": Keyword("enforced when", "its patterns are; overlapping ones are told apart by automata"),
    "propertyNames": Keyword("enforced"),
    "minProperties": Keyword("enforced when", "declared keys suffice for it, with at most one further key counted"),
    "maxProperties": Keyword("enforced"),
    "dependentRequired": Keyword("enforced"),
    "dependentSchemas": Keyword("enforced"),
    "dependencies": Keyword("enforced", "as in draft 3 to 7"),
    "unevaluatedProperties": Keyword("enforced when", "what stands beside it makes at most 64 cases"),
    "items": Keyword("enforced", "a list of schemas is read as prefixItems, as up to draft 2019-09"),
    "prefixItems": Keyword("enforced"),
    "additionalItems": Keyword("enforced", "beside a list of items, as up to draft 2019-09"),
    "minItems": Keyword("enforced"),
    "maxItems": Keyword("enforced"),
    "contains": Keyword("enforced", "with a maximum, only if its complement can be written"),
    "minContains": Keyword("enforced"),
    "maxContains": Keyword("enforced when", "the complement of contains can be written"),
    "uniqueItems": Keyword("enforced when", "there is at most one item, or items are at most 8 known values"),
    "unevaluatedItems": Keyword("enforced when", "what stands beside it makes at most 64 cases"),
    "minLength": Keyword("enforced", "code points"),
    "maxLength": Keyword("enforced", "code points"),
    "pattern": Keyword("enforced when", "it needs no back reference, look-behind or word boundary"),
    "format": Keyword(
        "enforced when", "the format is known; unknown formats, and OpenAPI's unless asked for, are annotations"
    ),
    "minimum": Keyword("enforced"),
    "maximum": Keyword("enforced"),
    "exclusiveMinimum": Keyword("enforced", "a boolean is read as in draft 4"),
    "exclusiveMaximum": Keyword("enforced", "a boolean is read as in draft 4"),
    "multipleOf": Keyword("enforced when", "it needs at most 2,000 remainders"),
    "allOf": Keyword("enforced"),
    "anyOf": Keyword("enforced"),
    "oneOf": Keyword("enforced when", "branches are disjoint, or the complement of those that overlap can be written"),
    "not": Keyword("enforced when", "the complement can be written"),
    "if": Keyword("enforced when", "its complement can be written"),
    "then": Keyword("enforced when", "the complement of if can be written"),
    "else": Keyword("enforced when", "the complement of if can be written"),
    "$ref": Keyword("enforced", "inside of the schema, and to the published meta-schemas; nothing is fetched"),
    "$dynamicRef": Keyword("enforced when", "its anchor stands once in the schema"),
    "$recursiveRef": Keyword("enforced when", "the schema has no other resources"),
    "$dynamicAnchor": Keyword("annotation"),
    "$recursiveAnchor": Keyword("annotation"),
    "$anchor": Keyword("annotation"),
    "$defs": Keyword("annotation"),
    "definitions": Keyword("annotation"),
    "$schema": Keyword("enforced when", "it is one of JSON Schema's or OpenAPI's; refused otherwise"),
    "nullable": Keyword(
        "enforced when", "OpenAPI's reading is asked for and it stands beside type; else an annotation"
    ),
    **dict.fromkeys(
        [
            "title",
            "description",
            "default",
            "examples",
            "example",
            "deprecated",
            "readOnly",
            "writeOnly",
            "$comment",
            "$id",
            "id",
            "$vocabulary",
            "contentEncoding",
            "contentMediaType",
            "contentSchema",
            "strict",
            "discriminator",
        ],
        Keyword("annotation"),
    ),
}

ASSERTIONS = frozenset(name for name, keyword in KEYWORDS.items() if keyword.fate.startswith("enforced"))
