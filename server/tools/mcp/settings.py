"""Which MCP servers there are: a JSON file in the form that other clients have, with what we need to know beside it."""

import json
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from server.tools.definition import Effect
from server.tools.gateway.credentials import CredentialError, Secrets
from server.tools.source import Hold

_SECRET = re.compile(r"\$\{([A-Za-z0-9_-]+)\}")


class McpFileError(Exception):
    """The file can't be used. Names the place."""


class McpServer(BaseModel):
    """A server: a program that is started and spoken to over its standard input, or a URL (streamable HTTP)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    """`${NAME}` in a value is a secret of --tool-secrets or TRAMMEL_SECRET_NAME; so in `headers`."""
    cwd: str | None = None
    url: str | None = Field(default=None, pattern="^https?://")
    headers: dict[str, str] = Field(default_factory=dict)
    tools: tuple[str, ...] | None = None
    """None: all that the server has."""
    effects: dict[str, Effect] = Field(default_factory=dict)
    """By tool; before what the server says of itself."""
    trust: Literal["trusted", "untrusted"] = "untrusted"
    """Of results."""
    texts: Literal["untrusted", "trusted", "hidden"] = "untrusted"
    """Of its words, to the model."""
    hold: tuple[Hold, ...] = ("texts", "new")
    """What waits for a person when the server's tools change."""
    timeout: float = Field(default=30.0, gt=0, le=3600)

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("a server has either a command or a url")
        return self


def read_servers(path: Path) -> dict[str, McpServer]:
    """`{"mcpServers": {NAME: …}}`. Raises: McpFileError."""
    try:
        servers = json.loads(path.read_text(encoding="utf-8"))["mcpServers"]
        return {str(name): McpServer.model_validate(server) for name, server in servers.items()}
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"])) or "a server"
        raise McpFileError(f"{path}: {place}: {fault['msg']}") from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise McpFileError(f'{path} is no JSON file of {{"mcpServers": {{NAME: …}}}}: {error}') from error


def with_secrets(values: dict[str, str], secrets: Secrets) -> dict[str, str]:
    """`${NAME}` replaced. Raises: CredentialError, if there is no such secret."""

    def secret(found: re.Match[str]) -> str:
        value = secrets.get(found[1])
        if value is None:
            raise CredentialError(f"there is no secret {found[1]}")
        return value

    return {name: _SECRET.sub(secret, value) for name, value in values.items()}
