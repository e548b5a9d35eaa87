"""500 operations through the gateway, at a server that checks each request against the document."""

import random
from typing import Any

import pytest

from server.agent.canonical import canonical_arguments
from server.chat.validation import find_faults
from server.tools.api_tool import ApiTool
from server.tools.definition import CallContext
from server.tools.gateway.credentials import Secrets
from server.tools.gateway.gateway import Gateway
from server.tools.openapi.document import read_document
from server.tools.openapi.operation import Operation
from server.tools.openapi.reading import read_operations
from server.tools.source import Overrides, SourceSettings
from tests.server.tools.big_api import document, document_bytes, value_for
from tests.server.tools.checking_api import SECRETS, checking_api


def operations(server: str) -> list[Operation]:
    found, omitted = read_operations(read_document(document_bytes(server)))
    assert omitted == []
    return found


def test_the_document_has_500_operations_with_a_name_and_a_closed_schema_each() -> None:
    found = operations("https://api.example")
    assert len(found) == len({one.key for one in found}) == 500
    assert all(one.schema["additionalProperties"] is False for one in found)
    assert {one.effect for one in found} == {"read", "write", "destructive"}
    assert "$defs" in next(one for one in found if one.key == "create_order").schema


async def test_every_operation_is_called_rightly_and_understood_as_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(f"TRAMMEL_SECRET_{name.upper()}", value)
    chance = random.Random(7)
    with checking_api(document) as api:
        place = api.url.removeprefix("http://")
        settings = SourceSettings(hosts=(place,), internal=(place,), credentials={name: name for name in SECRETS})
        gateway = Gateway("big", settings.gateway(), Secrets())

        async def doubt() -> str | None:
            return None

        for operation in operations(api.url):
            arguments = value_for(operation.schema, chance)
            assert find_faults(operation.schema, arguments) == ()
            tool = ApiTool(operation.key, operation, Overrides(), settings, gateway, doubt).define()
            answer = await tool.execute(arguments, CallContext("run_1", "key"))
            if operation.method != "HEAD":
                assert answer["operation"] == operation.key
                assert understood(operation, answer) == said(arguments), operation.key
        await gateway.aclose()
    assert api.faults == []
    assert len({name for name, _ in api.seen}) == 500


def understood(operation: Operation, answer: dict[str, Any]) -> str:
    """The arguments as the other end has them."""
    parameters, body = answer["parameters"], answer["body"]
    found = {one.argument: parameters[one.name] for one in operation.parameters if one.name in parameters}
    if operation.body is not None and operation.body.whole:
        found[operation.body.whole] = body
    elif operation.body is not None:
        found |= {argument: body[name] for argument, name in operation.body.properties.items() if name in body}
    return said(found)


def said(arguments: dict[str, Any]) -> str:
    return canonical_arguments({name: value for name, value in arguments.items() if value != {}}, {})
