"""What this compiler does with every keyword of JSON Schema."""

TYPES = ("object", "array", "string", "number", "boolean", "null")
"""The types of a schema that names none; integers are numbers."""

BY_TYPE: dict[str, str] = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "items": "array",
    "minItems": "array",
    "maxItems": "array",
    "minLength": "string",
    "maxLength": "string",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
}
"""Enforced keywords about values of one type."""

COMBINING = frozenset({"type", "enum", "const", "anyOf", "$ref"})
"""Enforced keywords about values of any type."""

ANNOTATIONS = frozenset(
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
        "$schema",
        "$id",
        "id",
        "$defs",
        "definitions",
        "format",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "strict",
    ]
)
"""Keywords that assert nothing (`format` is an annotation unless a dialect says otherwise, validation §7.2.1)."""

_LATER = "this version doesn't compile it"
REFUSED: dict[str, str] = dict.fromkeys(
    [
        "pattern",
        "multipleOf",
        "uniqueItems",
        "prefixItems",
        "additionalItems",
        "contains",
        "minContains",
        "maxContains",
        "unevaluatedItems",
        "patternProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
        "dependentRequired",
        "dependentSchemas",
        "dependencies",
        "unevaluatedProperties",
        "allOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "$anchor",
        "$dynamicRef",
        "$dynamicAnchor",
        "$recursiveRef",
        "$recursiveAnchor",
        "nullable",
        "discriminator",
    ],
    _LATER,
)
"""Keywords that assert something no grammar of ours holds yet, with the reason."""
