"""An MCP server as a source of tools: a connection that is kept, tools that are read again when they change."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from server.tools.api_tool import definition_of
from server.tools.definition import CallContext, Json, ToolDefinition, ToolError, UncertainError
from server.tools.gateway.credentials import Secrets
from server.tools.mcp.settings import McpServer, with_secrets
from server.tools.mcp.tools import data_of, operations_of
from server.tools.openapi.operation import Operation
from server.tools.registry import Registry
from server.tools.source import Overrides, SourceSettings

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import CallToolResult, Tool

logger = logging.getLogger("trammel.tools")

_PAGES = 100
_REFRESH = 60.0
"""Seconds between readings, where the server does not tell of changes."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
"""Seconds before the connection is tried again."""


class McpSource:
    """`watch` it in a task of its own: the SDK wants a connection closed where it was opened."""

    def __init__(self, name: str, server: McpServer, secrets: Secrets, registry: Registry) -> None:
        """`registry`: is told of the tools whenever they change, and keeps them."""
        self.name = name
        self.has_told = asyncio.Event()
        """The registry has its tools, as they are since the start."""
        self._server = server
        self._secrets = secrets
        self._registry = registry
        self._client: Client | None = None
        self._has_news = asyncio.Event()

    async def watch(self) -> None:
        """Connect, and connect again; ends only when it is cancelled."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async with self._connected() as client:
                    pause = _FIRST_PAUSE
                    await self._keep(client)
            except Exception as error:  # the SDK's transports raise groups of anything
                logger.warning("MCP server %s: %s; trying again in %g s", self.name, _told(error), pause)
            finally:
                self._client = None
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    @contextlib.asynccontextmanager
    async def _connected(self) -> "AsyncIterator[Client]":
        import httpx2
        from mcp import Client, StdioServerParameters
        from mcp.client.streamable_http import streamable_http_client

        server = self._server
        async with contextlib.AsyncExitStack() as stack:
            if server.command is not None:
                environment = with_secrets(server.env, self._secrets)
                place: Any = StdioServerParameters(
                    command=server.command, args=list(server.args), env=environment, cwd=server.cwd
                )
            else:
                headers = with_secrets(server.headers, self._secrets)
                # Nothing may come for long where only changes are told; each request has a bound of its own.
                http = httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(server.timeout, read=None))
                place = streamable_http_client(str(server.url), http_client=await stack.enter_async_context(http))
            client = Client(place, message_handler=self._hear, read_timeout_seconds=server.timeout)
            yield await stack.enter_async_context(client)

    async def _hear(self, message: Any) -> None:
        if getattr(message, "method", "") == "notifications/tools/list_changed":
            self._has_news.set()

    async def _keep(self, client: "Client") -> None:
        """Until the connection is lost."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(client))
            group.create_task(self._read(client))

    async def _listen(self, client: "Client") -> None:
        """Servers since 2026 tell of changes to those who listen; earlier ones to everybody (`_hear`)."""
        from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost

        with contextlib.suppress(ListenNotSupportedError):
            while True:
                with contextlib.suppress(SubscriptionLost):  # calls may be under way on the same connection
                    async with client.listen(tools_list_changed=True) as events:
                        async for _ in events:
                            self._has_news.set()
                self._has_news.set()  # reading the tools shows whether the server is still there
                await asyncio.sleep(_FIRST_PAUSE)

    async def _read(self, client: "Client") -> None:
        """The tools, now and whenever there is news."""
        told: list[Tool] | None = None
        while True:
            self._has_news.clear()
            found = [
                tool async for tool in _listed(client) if self._server.tools is None or tool.name in self._server.tools
            ]
            self._client = client
            if found != told:
                told = found
                place = f"mcp:{self._server.url or self._server.command}"
                operations, omissions = await asyncio.to_thread(operations_of, found, place)
                await self._registry.announce(self.name, self._settings(), operations, omissions, self.define)
                self.has_told.set()
                for one in omissions:
                    logger.warning("MCP server %s: the tool %s is left out: %s", self.name, one.key, one.reason)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._has_news.wait(), _REFRESH)

    def _settings(self) -> SourceSettings:
        server = self._server
        return SourceSettings(
            prefix=f"{self.name}_", trust=server.trust, texts=server.texts, hold=server.hold, timeout=server.timeout
        )

    def define(self, name: str, operation: Operation, said: Overrides, settings: SourceSettings) -> ToolDefinition:
        """A version of a tool, as the loop takes it."""
        effect = said.effect or self._server.effects.get(operation.key) or operation.effect

        async def execute(arguments: Json, _: CallContext) -> Any:
            return data_of(await self._ask(operation.key, arguments), effect)

        return definition_of(name, operation, said, settings, execute, effect=effect)

    async def _ask(self, tool: str, arguments: Json) -> "CallToolResult":
        if self._client is None:
            raise ToolError(f"The MCP server {self.name} is not connected now.")
        try:
            return await self._client.call_tool(tool, arguments, read_timeout_seconds=self._server.timeout)
        except Exception as error:
            self._has_news.set()  # reading the tools shows whether the server is still there
            raise UncertainError(f"The MCP server {self.name} did not answer: {_told(error)}") from error


async def _listed(client: "Client") -> "AsyncIterator[Tool]":
    cursor: str | None = None
    for _ in range(_PAGES):
        page = await client.list_tools(cursor=cursor, cache_mode="refresh")
        for tool in page.tools:
            yield tool
        cursor = page.next_cursor
        if cursor is None:
            return


def _told(error: BaseException) -> str:
    """The first cause in a group of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
