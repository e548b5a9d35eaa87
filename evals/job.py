"""A run from endpoints to records: which columns there are, who is asked, and how far it is."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from evals.case import Case
from evals.endpoint import Client, Endpoint, EndpointError
from evals.folder import RunFolder
from evals.record import Record
from evals.run import Column, Grammar, Runner, Settings


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that was asked for but the cases."""

    endpoints: list[Endpoint]
    grammar: Literal["on", "off", "both"]
    settings: Settings
    retries: int
    timeout: float
    folder: RunFolder
    fresh: bool

    async def run(self, cases: list[Case], warn: Callable[[str], None]) -> list[Record]:
        """Asks and judges. Raises: EndpointError, JournalError, OSError."""
        async with AsyncExitStack() as stack:
            columns: list[Column] = []
            for endpoint in self.endpoints:
                client = Client(endpoint, self.retries, self.timeout)
                stack.push_async_callback(client.close)
                columns += await self._columns(client, warn)
            if not columns:
                raise EndpointError("no endpoint can do without its grammar")
            journal = stack.enter_context(self.folder.journal(fresh=self.fresh))
            progress = stack.enter_context(_progress())
            bar = progress.add_task("asking", total=len(cases) * len(columns) * self.settings.seeds)
            episodes = await Runner(columns, journal, self.settings).run(cases, lambda: progress.advance(bar))
        return [Record.of(episode) for episode in episodes]

    def described(self) -> list[tuple[str, str]]:
        """The settings, to be shown in reports."""
        s = self.settings
        return [
            ("grammar", self.grammar),
            ("tool_choice", s.choice),
            ("temperature", f"{s.temperature:g}"),
            ("max_tokens", str(s.max_tokens)),
            ("seeds", str(s.seeds)),
            ("cases at once", str(s.parallel)),
        ]

    async def _columns(self, client: Client, warn: Callable[[str], None]) -> list[Column]:
        """Only Trammel knows the field that leaves the grammar out."""
        listed = await client.models()
        if not listed:
            raise EndpointError(f"{client.endpoint.name} lists no model")
        model = client.endpoint.model or next(iter(listed))
        wanted: tuple[Grammar, ...] = ("on", "off") if self.grammar == "both" else (self.grammar,)
        if "off" in wanted and "trammel" not in listed.values():
            warn(f"{client.endpoint.name} is not Trammel and has no column without a grammar")
            wanted = tuple(grammar for grammar in wanted if grammar == "on")
        return [Column(client, model, grammar) for grammar in wanted]


def _progress() -> Progress:
    """On standard error; nothing where that is no terminal."""
    console = Console(stderr=True)
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*parts, console=console, disable=not console.is_terminal)
