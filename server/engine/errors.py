"""What can go wrong in the engine, one class a cause, each with a text a user can act on."""


class EngineError(Exception):
    """Base of all errors the engine raises on purpose."""


class ModelLoadError(EngineError):
    """The model file can't be served: missing, not a GGUF, truncated, or of an unknown architecture."""


class ContextLengthExceededError(EngineError):
    """The prompt leaves no room for an answer in the context."""

    def __init__(self, prompt_tokens: int, context_length: int) -> None:
        self.prompt_tokens = prompt_tokens
        self.context_length = context_length
        super().__init__(
            f"This model's maximum context length is {context_length} tokens. "
            f"However, your messages resulted in {prompt_tokens} tokens. Please reduce the length of the messages."
        )


class QueueFullError(EngineError):
    """As many requests wait as may wait."""

    def __init__(self, in_flight: int, retry_after: float) -> None:
        self.retry_after = retry_after
        """Seconds after which a place is likely to be free."""
        super().__init__(f"The server is busy with {in_flight} requests. Try again in {retry_after:.0f} s.")


class InvalidGrammarError(EngineError):
    """The mask engine can't read the grammar."""


class InvalidRequestError(EngineError):
    """A value no sequence can be run with; `param` names it."""

    def __init__(self, param: str, message: str) -> None:
        self.param = param
        super().__init__(message)


class AnswerTooLongError(InvalidRequestError):
    """No answer that its grammar has is short enough."""

    def __init__(self, least: int, room: int) -> None:
        self.least = least
        super().__init__(
            "max_tokens",
            f"The shortest answer that is whole takes {least} tokens, and there is room for {room}: give 'max_tokens' "
            f"at least {least}, and the context as much room.",
        )


class GenerationError(EngineError):
    """Decoding this sequence failed; the others go on."""


class NotFiniteError(GenerationError):
    """The model's logits are no numbers."""

    def __init__(self) -> None:
        super().__init__("The model gave logits that are no numbers (NaN or infinite).")


class DeadlineExceededError(EngineError):
    """The request's time was over before its first token."""

    def __init__(self) -> None:
        super().__init__("The request timed out before the model said anything. Allow more time, or try again later.")


class AdapterError(EngineError):
    """An adapter can't be served: no such file, not a LoRA, or made for another base model."""

    def __init__(self, name: str, cause: str) -> None:
        super().__init__(f"The adapter {name!r} can't be loaded: {cause}.")


class PrefixStoreError(ModelLoadError):
    """The folder for prefixes can't be used."""


class EngineStoppedError(EngineError):
    """The engine has been closed or its thread has died."""

    def __init__(self) -> None:
        super().__init__("The inference engine has stopped; try again once the server has been restarted.")


class ShuttingDownError(EngineStoppedError):
    """The server was told to stop, and the request did not end in the time that was left."""

    def __init__(self) -> None:
        Exception.__init__(self, "The server is shutting down and ended this request before it was finished.")
