"""The body of `POST /v1/completions`: https://platform.openai.com/docs/api-reference/completions/create."""

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from server.api.adapter_fields import AdapterFields
from server.api.grammar_fields import GrammarFields
from server.api.sampling_fields import SamplingFields, StreamFields

_MOST_CHOICES = 128
"""OpenAI's bound of `n`; ours of all prompts' choices together."""


class TextCompletionRequest(SamplingFields, StreamFields, GrammarFields, AdapterFields):
    """Prompts to be continued: a text, texts, a token array, or token arrays."""

    model: str
    prompt: str | list[str] | list[int] | list[list[int]] | None = None
    max_tokens: int | None = Field(default=16, ge=0)
    n: int | None = Field(default=None, ge=1, le=_MOST_CHOICES)
    best_of: int | None = Field(default=None, ge=1, le=20)
    logprobs: int | None = Field(default=None, ge=0, le=5)
    echo: bool | None = None
    suffix: Any = None

    @field_validator("suffix")
    @classmethod
    def _no_suffix(cls, value: Any) -> Any:
        if value:
            raise ValueError(
                "filling in before a suffix needs a model with tokens for it, and this server has no such mode; "
                "leave the field out, or put what follows into the prompt"
            )
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wanted = self.n or 1
        if self.best_of is not None and self.best_of < wanted:
            raise ValueError("'best_of' can't be less than 'n'")
        if self.best_of is not None and self.best_of > wanted and self.stream:
            raise ValueError("the best of several can only be told once all are whole: no 'stream' with 'best_of'")
        if self.candidates * len(self.prompts) > _MOST_CHOICES:
            raise ValueError(f"at most {_MOST_CHOICES} choices are made in a request, over all prompts")
        return self

    @property
    def judges_prompt(self) -> bool:
        """Whether the echoed prompt's tokens have log probabilities too."""
        return bool(self.echo) and self.logprobs is not None

    @property
    def candidates(self) -> int:
        """Generations for each prompt."""
        return max(self.n or 1, self.best_of or 1)

    @property
    def prompts(self) -> list[str | list[int]]:
        """One by one. No prompt is the empty one."""
        match self.prompt:
            case None | []:
                return [""]
            case str() | [int(), *_]:
                return [self.prompt]  # type: ignore[list-item] # mypy does not narrow by the first item
            case _:
                return list(self.prompt)  # type: ignore[arg-type]
