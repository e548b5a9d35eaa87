"""A document of 500 operations as a company might have: shared parts by $ref, nested bodies, four ways to authenticate,
every style of parameter, forms, parts and texts. The same for everybody who asks."""

import json
import random
from typing import Any

Json = dict[str, Any]
RESOURCES = ("customers", "orders", "invoices", "products", "shipments", "tickets", "employees", "projects", "assets",
             "contracts", "vendors", "payments", "refunds", "campaigns", "leads", "meetings", "documents", "branches",
             "vehicles", "warehouses", "policies", "claims", "courses", "devices", "subscriptions")  # fmt: skip
NASTY = ("plain", "two words", "a&b=c", "50% off?", "#1/2", "ünïcödé ✓", "semi;colon", "plus+sign", 'quo"te', "x" * 40)


def document(server: str) -> Json:
    """OpenAPI 3.1."""
    paths: Json = {}
    for number, resource in enumerate(RESOURCES):
        paths |= _paths(resource, number)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Everything", "version": "1"},
        "servers": [{"url": server + "/{base}", "variables": {"base": {"default": "v1"}}}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "parameters": _PARAMETERS,
            "schemas": _SCHEMAS | {_one(name).capitalize(): _resource(number) for number, name in enumerate(RESOURCES)},
            "responses": {"Done": {"description": "Done", "content": {"application/json": {"schema": {}}}}},
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
                "query_key": {"type": "apiKey", "in": "query", "name": "api_key"},
                "token": {"type": "http", "scheme": "bearer"},
                "person": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


_PARAMETERS: Json = {
    "id": {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}},
    "limit": {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
    "tenant": {"name": "X-Tenant", "in": "header", "required": True, "schema": {"type": "integer", "minimum": 1}},
}
_SCHEMAS: Json = {
    "Address": {
        "type": "object",
        "required": ["street", "country"],
        "properties": {
            "street": {"type": "string", "description": "Street and number"},
            "country": {"type": "string", "enum": ["NO", "SE", "DK"]},
            "zip": {"type": ["string", "null"]},
        },
    },
    "Money": {
        "type": "object",
        "required": ["amount", "currency"],
        "properties": {"amount": {"type": "number", "minimum": 0}, "currency": {"enum": ["EUR", "NOK"]}},
    },
    "Node": {  # contains itself
        "type": "object",
        "required": ["label"],
        "properties": {"label": {"type": "string"}, "children": {"type": "array", "items": _ref("schemas", "Node")}},
    },
    "Move": {
        "oneOf": [
            {"type": "object", "required": ["kind"], "properties": {"kind": {"const": "close"}},
             "additionalProperties": False},
            {"type": "object", "required": ["kind", "to"], "additionalProperties": False,
             "properties": {"kind": {"const": "assign"}, "to": {"type": "string", "minLength": 1}}},
        ]
    },
}  # fmt: skip


def _one(resource: str) -> str:
    return resource.removesuffix("s")


def _resource(number: int) -> Json:
    own = f"field_{number}"
    return {
        "type": "object",
        "required": ["name", own],
        "properties": {
            "id": {"type": "string", "readOnly": True},
            "name": {"type": "string", "minLength": 1, "maxLength": 60},
            own: {"type": "integer", "minimum": number},
            "address": _ref("schemas", "Address"),
            "price": _ref("schemas", "Money"),
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 4},
            "tree": _ref("schemas", "Node"),
        },
    }


def _paths(resource: str, number: int) -> Json:
    one, whole = _one(resource), _ref("schemas", _one(resource).capitalize())
    id_ = _ref("parameters", "id")

    def operation(name: str, *parameters: Json, body: Json | None = None, **fields: Any) -> Json:
        made: Json = {"operationId": f"{name}_{one}", "summary": f"{name.replace('_', ' ').capitalize()} {one}"}
        if parameters:
            made["parameters"] = list(parameters)
        if body:
            made["requestBody"] = {"required": True, "content": body}
        return {**made, **fields, "responses": {"200": _ref("responses", "Done")}}

    token, person, query_key = [{"token": []}], [{"person": []}], [{"query_key": []}]
    as_json = {"application/json": {"schema": whole}}
    strings = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": 4}
    numbers = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 4}
    state = {"type": "object", "properties": {"status": {"enum": ["open", "done"]}, "owner": {"type": "string"}}}
    form = {"application/x-www-form-urlencoded": {"schema": {
        "type": "object", "required": ["status"],
        "properties": {"status": {"type": "string"}, "urgent": {"type": "boolean"}, "count": {"type": "integer"}},
    }}}  # fmt: skip
    parts = {"multipart/form-data": {"schema": {
        "type": "object", "required": ["title", "file"],
        "properties": {"title": {"type": "string"}, "file": {"contentMediaType": "application/octet-stream"}},
    }}}  # fmt: skip
    move = _ref("schemas", "Move")
    changes = {"type": "object", "properties": {"name": {"type": "string"}, "price": _ref("schemas", "Money")}}
    root = f"/{resource}"
    return {
        root: {
            "get": operation(
                "list", _ref("parameters", "limit"), _query("filter", state, style="deepObject", explode=True),
                _query("sort", {"enum": ["name", "-name"]}), _query("tags", strings),
            ),
            "post": operation("create", body=as_json, security=token),
        },
        f"{root}/search": {
            "get": operation(
                "search", _query("ids", numbers, style="pipeDelimited", explode=False),
                _query("fields", strings, explode=False), _query("q", {"type": "string"}),
                _query("range", numbers, style="spaceDelimited", explode=False),
            )
        },
        f"{root}/export": {
            "get": operation(
                "export",
                {"name": "query", "in": "query", "required": True, "content": {"application/json": {"schema": state}}},
                security=query_key,
            )
        },
        f"{root}/batch": {
            "post": operation(
                "batch", security=token,
                body={"application/json": {"schema": {"type": "array", "minItems": 1, "maxItems": 2, "items": whole}}},
            )
        },
        f"{root}/by-ids/{{ids}}": {
            "get": operation("get_several", {"name": "ids", "in": "path", "required": True, "schema": numbers})
        },
        f"{root}/near/{{point}}": {
            "get": operation("find_near", {"name": "point", "in": "path", "required": True, "style": "matrix",
                                           "schema": {"type": "integer"}})
        },
        f"{root}/level/{{level}}": {
            "get": operation("get_level", {"name": "level", "in": "path", "required": True, "style": "label",
                                           "schema": {"type": "integer"}})
        },
        f"{root}/{{id}}": {
            "parameters": [id_],
            "get": operation("get"),
            "head": operation("look_for"),
            "put": operation("replace", body=as_json, security=token),
            "patch": operation("change", security=token, body={"application/merge-patch+json": {"schema": changes}}),
            "delete": operation("delete", {"name": "If-Match", "in": "header", "schema": {"enum": ['"1"', '"a, b"']}},
                                security=person),
        },
        f"{root}/{{id}}/history": {
            "parameters": [id_],
            "get": operation("get_history", _ref("parameters", "tenant"),
                             {"name": "session", "in": "cookie", "schema": {"type": "string"}}),
        },
        f"{root}/{{id}}/notes": {
            "parameters": [id_],
            "get": operation("list_notes", _ref("parameters", "limit")),
            "post": operation("add_note", body={"text/plain": {"schema": {"type": "string"}}}, security=token),
        },
        f"{root}/{{id}}/files": {"post": operation("add_file", id_, body=parts, security=token)},
        f"{root}/{{id}}/status": {"post": operation("set_status", id_, body=form, security=token)},
        f"{root}/{{id}}/moves": {
            "post": operation("move", id_, body={"application/json": {"schema": move}}, security=token)
        },
        f"{root}/{{id}}/labels": {
            "put": operation("set_labels", id_, security=token, body={"application/json": {
                "schema": {"type": "object", "additionalProperties": {"type": "string"}}
            }}),
        },
    }  # fmt: skip


def _query(name: str, schema: Json, **fields: Any) -> Json:
    return {"name": name, "in": "query", "schema": schema, **fields}


def value_for(schema: Any, chance: random.Random, root: Json | None = None, depth: int = 0) -> Any:
    """Something that the schema of a tool admits, with signs in it that have a meaning in URLs."""
    root = root if root is not None else schema
    if "$ref" in schema:
        return value_for(root["$defs"][schema["$ref"].rpartition("/")[2]], chance, root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return chance.choice(schema["enum"])
    if "oneOf" in schema:
        return value_for(chance.choice(schema["oneOf"]), chance, root, depth)
    kind = schema.get("type")
    match chance.choice(kind) if isinstance(kind, list) else kind:
        case "object":
            return _object_for(schema, chance, root, depth)
        case "array":
            least, most = schema.get("minItems", 0), schema.get("maxItems", 2 if depth < 3 else 0)
            return [value_for(schema["items"], chance, root, depth + 1) for _ in range(chance.randint(least, most))]
        case "integer":
            return chance.randint(schema.get("minimum", 0), schema.get("maximum", 10**6))
        case "number":
            return round(chance.uniform(schema.get("minimum", 0), 1e6), 2)
        case "boolean":
            return chance.random() < 0.5
        case "null":
            return None
        case _:
            return chance.choice(NASTY)[: schema.get("maxLength", 40)]


def _object_for(schema: Json, chance: random.Random, root: Json, depth: int) -> Json:
    needed = schema.get("required", ())
    given = {
        name: value_for(inner, chance, root, depth + 1)
        for name, inner in schema.get("properties", {}).items()
        if name in needed or chance.random() < 0.7
    }
    if isinstance(more := schema.get("additionalProperties"), dict):
        given |= {name: value_for(more, chance, root, depth + 1) for name in ("a", "b b")}
    return given


def document_bytes(server: str) -> bytes:
    return json.dumps(document(server)).encode()
