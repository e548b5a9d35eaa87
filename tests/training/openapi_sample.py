"""A small API, with a shared parameter and schemas that refer to each other."""

from typing import Any

OPENAPI: dict[str, Any] = {
    "openapi": "3.0.3",
    "paths": {
        "/pets/{id}": {
            "parameters": [{"$ref": "#/components/parameters/Id"}],
            "get": {"summary": "Show a\n pet", "parameters": [{"name": "X-Key", "in": "header"}]},
            "put": {
                "operationId": "update.pet",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}},
                },
            },
        }
    },
    "components": {
        "parameters": {"Id": {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}},
        "schemas": {
            "Pet": {
                "type": "object",
                "required": ["name", "made"],
                "properties": {
                    "name": {"type": "string"},
                    "made": {"type": "string", "readOnly": True},
                    "friend": {"$ref": "#/components/schemas/Friend"},
                },
            },
            "Friend": {"type": "object", "properties": {"of": {"type": "string", "nullable": True}}},
        },
    },
}
