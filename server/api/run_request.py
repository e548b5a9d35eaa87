"""A chat request as the start of a run: which of the server's tools it may use, under which caps."""

import asyncio
import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields

from server.agent.caps import Caps
from server.agent.events import QUESTION_TOOL, Started
from server.agent.offering import FEW
from server.agent.policy import Restrictions, callable_names
from server.agent.runs import Runs
from server.api.catalog import Catalog
from server.api.chat_request import read_chat_request
from server.api.custom_tools import CustomToolIn
from server.api.engine_speaker import check_request
from server.api.errors import invalid
from server.api.run_choice import choice_of
from server.api.services import Services
from server.api.wire import ChatCompletionRequest, TrammelOptions
from server.chat.messages import Tool
from server.chat.request import ChatRequest
from server.tools.definition import ToolDefinition
from server.tools.retrieval import SEARCH_TOOLS

_ABOUT_RUNS = frozenset(TrammelOptions.model_fields) - {"constrain", "fit", "run_tools", "run"}
_NAMES_SHOWN = 10
"""In an error: the server may have thousands of tools."""


def refuse_run_fields(options: TrammelOptions | None) -> None:
    """Of a request that starts no run. Raises: ApiError, if it sets bounds that would count for nothing."""
    given = sorted(options.model_fields_set & _ABOUT_RUNS) if options else []
    if given:
        param = f"trammel.{given[0]}"
        raise invalid(f"'{param}' is about runs: set 'trammel.run_tools' to true as well, or leave it out.", param)


async def read_run_request(body: ChatCompletionRequest, runs: Runs, catalog: Catalog, owner: str) -> Started:
    """The first event of a run. Raises: ApiError, and what `Conversations.prepare` raises."""
    options = body.trammel or TrammelOptions()
    if (body.n or 1) > 1:
        raise invalid("A run has one answer: leave 'n' out.", "n")
    if any(isinstance(tool, CustomToolIn) for tool in body.tools or ()):
        raise invalid("In a run, the client's tools are functions.", "tools")
    chosen = _chosen(runs.loop.tools, options)
    caps = caps_of(options, runs.ceiling)
    async with catalog.lend(body.model, Services) as services:
        services.adapter_of(body.model)
        return await asyncio.to_thread(_read, body, options, caps, chosen, services, owner)


def _read(
    body: ChatCompletionRequest,
    options: TrammelOptions,
    caps: Caps,
    chosen: tuple[ToolDefinition, ...],
    services: Services,
    owner: str,
) -> Started:
    plain = body.model_copy(update={"tool_choice": None})
    chat = read_chat_request(plain, services.engine.model.sampling_defaults)
    _check_names(chat, chosen)
    choice = choice_of(body)
    needed = {*(choice.names or ()), SEARCH_TOOLS}
    shown = chosen if len(chosen) <= FEW else [tool for tool in chosen if tool.name in needed]
    ours = tuple(Tool(tool.name, tool.parameters, tool.description) for tool in shown)
    restrictions = Restrictions(options.read_only, tuple(options.forbid), tuple(options.approve))
    asking = [QUESTION_TOOL] if options.ask_user else []
    choice.check((*callable_names(chosen, restrictions), *(tool.name for tool in chat.tools), *asking))
    check_request(services, chat, (*ours, *chat.tools))
    return Started(
        chat.messages,
        {tool.name: tool.version for tool in chosen},
        chat.tools,
        caps,
        restrictions,
        owner,
        body.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"tools"}),
        options.ask_user,
        tuple(tool.name for tool in chosen if tool.name in needed),
    )


def caps_of(options: TrammelOptions, ceiling: Caps | None) -> Caps:
    """The request's, and ours where it has none, below the operator's. Raises: ApiError, if it asks for more."""
    usual, caps = Caps(), {}
    for field in fields(Caps):
        given, most = getattr(options, f"max_{field.name}", None), getattr(ceiling, field.name, None)
        if given is not None and most is not None and given > most:
            param = f"trammel.max_{field.name}"
            raise invalid(f"Invalid value for '{param}': this server allows at most {most:g}.", param)
        own = getattr(usual, field.name)
        caps[field.name] = given if given is not None else own if most is None else min(own, most)
    return Caps(**caps)


def _chosen(tools: Mapping[str, ToolDefinition], options: TrammelOptions) -> tuple[ToolDefinition, ...]:
    for field in ("tools", "forbid", "approve"):
        check_known(tools, getattr(options, field) or (), f"trammel.{field}")
    wanted = reach_of(tools) if options.tools is None else options.tools
    searching = [SEARCH_TOOLS] if options.search_tools and SEARCH_TOOLS in tools else []
    return tuple(tools[name] for name in dict.fromkeys([*wanted, *searching]))


def check_known(tools: Collection[str], names: Iterable[str], param: str) -> None:
    """Raises: ApiError, if the server hasn't one of the tools."""
    unknown = [name for name in names if name not in tools]
    if unknown:
        raise invalid(f"The server has no tool '{unknown[0]}'. {_what_there_is(tools, unknown[0])}", param)


def _what_there_is(tools: Collection[str], wanted: str) -> str:
    """All names where they are few, and otherwise those most like the one that was wanted."""
    if not tools:
        return "It has none; start the server with --tools."
    if len(tools) <= _NAMES_SHOWN:
        return f"It has: {', '.join(sorted(tools))}."
    like = difflib.get_close_matches(wanted, tools, n=3)
    meant = f"Did you mean {' or '.join(like)}? " if like else ""
    return f"{meant}GET /v1/tools lists all {len(tools)}."


def reach_of(tools: Mapping[str, ToolDefinition]) -> list[str]:
    """Names of the tools that a run has unless it is told otherwise."""
    return [name for name in tools if name != SEARCH_TOOLS]


def _check_names(chat: ChatRequest, chosen: tuple[ToolDefinition, ...]) -> None:
    ours = {tool.name for tool in chosen} | {QUESTION_TOOL}
    for index, tool in enumerate(chat.tools):
        if tool.name in ours:
            raise invalid(f"The server has a tool '{tool.name}' of its own.", f"tools[{index}].function.name")
