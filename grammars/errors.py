"""Why a schema can't become a grammar. Every error says where (a JSON pointer, RFC 6901) and what would mend it."""


class GrammarError(ValueError):
    """Base of all errors of this package."""

    def __init__(self, message: str, pointer: str = "") -> None:
        self.pointer = pointer
        """JSON pointer to the place in the schema; the empty string is its root."""
        shown = pointer if len(pointer) <= 200 else "…" + pointer[-200:]
        super().__init__(f"{message} (at {shown or 'the root of the schema'})")


class InvalidSchema(GrammarError):  # noqa: N818 - the names say what they are
    """It is not a JSON Schema: a keyword has a value it can't have."""


class UnsupportedSchema(GrammarError):  # noqa: N818
    """A keyword that this compiler can't enforce."""

    def __init__(self, keyword: str, pointer: str, reason: str) -> None:
        self.keyword = keyword
        self.reason = reason
        super().__init__(
            f"the keyword {keyword!r} can't be enforced: {reason}. Remove it, or compile without strict "
            "to have it checked after decoding",
            pointer,
        )


class UnsatisfiableSchema(GrammarError):  # noqa: N818
    """No JSON value can satisfy it."""


class LimitExceeded(GrammarError):  # noqa: N818
    """It is too deep or too large to compile."""


class Inexpressible(Exception):  # noqa: N818
    """A condition that no grammar of ours holds. Callers of the package get UnsupportedSchema, with its place."""
