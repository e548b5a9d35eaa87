"""What the routes work with, built once at start and handed down."""

import time
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request

from server.api.aliases import Aliases
from server.api.errors import model_not_found
from server.api.opening import Openings
from server.chat.conversation import CHATML, Conversations
from server.chat.prompt import SpecialNames
from server.chat.template import ChatTemplate
from server.engine.embedder import Embedder
from server.engine.engine import Engine
from server.engine.model import Model


@dataclass(frozen=True, slots=True)
class Services:
    """One served model."""

    engine: Engine
    model_name: str
    conversations: Conversations
    body_limit: int = 8 * 1024 * 1024
    """Bytes of a request's body."""
    keep_alive: float = 10.0
    """Seconds of silence after which a stream gets a comment, so that proxies don't close it."""
    created: int = field(default_factory=lambda: int(time.time()))
    openings: Openings = field(default_factory=Openings)
    aliases: Aliases = field(default_factory=Aliases)
    """Second names of the adapters."""
    made: dict[str, int] = field(default_factory=dict)
    """Adapters that jobs have made, and when, in seconds since the epoch."""

    @property
    def fingerprint(self) -> str:
        """OpenAI's `system_fingerprint`: changes when the answers to a seed may change."""
        return f"trammel-{self.engine.model.path.stem}-{self.engine.model.path.stat().st_size:x}"

    def knows(self, name: str) -> bool:
        """Whether a request's `model` means this one, or an adapter of it."""
        adapters = (adapter.name for adapter in self.engine.adapters)
        return name == self.model_name or name in self.aliases or name in adapters

    @property
    def is_idle(self) -> bool:
        """No request is under way."""
        return not self.engine.in_flight

    @property
    def has_failed(self) -> bool:
        """The engine has died by a fault."""
        return self.engine.fault is not None

    def abort(self) -> None:
        """End the requests under way, after the step under way, with ShuttingDownError."""
        self.engine.stop()

    def start(self) -> None:
        self.engine.start()

    async def close(self) -> None:
        """Stop the engine and give its memory back."""
        if await self.engine.close():
            self.engine.model.close()

    def adapter_of(self, name: str) -> str | None:
        """The adapter that a `model` means; None for the base model. Raises: ApiError, 404 model_not_found."""
        asked, name = name, self.aliases.resolve(name)
        if name == self.model_name:
            return None
        adapters = [adapter.name for adapter in self.engine.adapters]
        if name not in adapters:
            raise model_not_found(asked, [self.model_name, *adapters])
        return name

    def model_objects(self) -> list[dict[str, Any]]:
        """OpenAI's Model objects: the base model, then its adapters with `parent` and `root`, as vLLM lists them."""
        names = [self.model_name, *(adapter.name for adapter in self.engine.adapters)]
        base = {"id": self.model_name, "object": "model", "created": self.created, "owned_by": "trammel"}
        return [
            {**base, "root": self.model_name, "parent": None},
            *(
                {
                    **base,
                    "id": adapter.name,
                    "created": self.made.get(adapter.name, self.created),
                    "root": adapter.path.name,
                    "parent": self.model_name,
                }
                for adapter in self.engine.adapters
            ),
            *(
                {**base, "id": alias.name, "created": alias.created, "root": alias.target, "parent": self.model_name}
                for alias in self.aliases.all
                if alias.target in names
            ),
        ]


def conversations_of(model: Model) -> Conversations:
    """How to talk with a model. Its vocabulary speaks the marks of its calls and thoughts from then on.

    Before anything else is asked of the vocabulary. Raises: TemplateError, if the chat template can't be compiled.
    """
    vocabulary = model.vocabulary
    template = ChatTemplate(model.chat_template or CHATML, bos_token=model.bos_token, eos_token=model.eos_token)
    conversations = Conversations(template, SpecialNames(vocabulary.control_names, vocabulary.word_names))
    vocabulary.speak(conversations.dialect.marks)
    return conversations


@dataclass(frozen=True, slots=True)
class EmbeddingServices:
    """One served embedding model."""

    embedder: Embedder
    model_name: str

    @property
    def is_idle(self) -> bool:
        return self.embedder.is_idle

    @property
    def has_failed(self) -> bool:
        """Its thread can't die: it is an executor's."""
        return False

    def abort(self) -> None:
        """Those that wait get an error."""
        self.embedder.stop()

    def start(self) -> None:
        """Its thread starts with the first input."""

    async def close(self) -> None:
        """End after the batch under way and give the memory back."""
        await self.embedder.close()
        self.embedder.model.close()


def services_of(request: Request) -> Services:
    """The services of the app a request came to."""
    services: Services = request.app.state.services
    return services
