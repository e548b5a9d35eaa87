"""Whether two models mean the same by a token number, so that one may guess what the other will say.

Families often share a tokenizer but pad its table to different lengths (Qwen2.5: 151,936 and 152,064 rows); rows that
no text uses are no difference.
"""

import llama_cpp.llama_cpp as llama

from server.engine.vocabulary import Vocabulary

_HIDDEN = llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN
_UNUSED = llama.LLAMA_TOKEN_ATTR_UNUSED
_SPECIAL = ("bos", "eos")


class DifferentVocabularyError(Exception):
    """Two vocabularies differ; the message says where first."""


def count_shared(one: Vocabulary, other: Vocabulary) -> int:
    """How many token numbers, from 0 on, mean the same in both. Takes about a second for 150,000.

    Raises: DifferentVocabularyError, if they are not the same vocabulary but for unused rows at the end.
    """
    shared = min(one.size, other.size)
    _check_rest(one if one.size > shared else other, shared)
    for token, (piece, others) in enumerate(zip(one.pieces, other.pieces, strict=False)):
        if piece != others and not all(_is_hidden(vocabulary, token) for vocabulary in (one, other)):
            raise DifferentVocabularyError(f"token {token} is {_shown(one, token)} and {_shown(other, token)}")
    _check_special(one, other, shared)
    return shared


def _check_rest(longer: Vocabulary, shared: int) -> None:
    for token in range(shared, longer.size):
        if not llama.llama_vocab_get_attr(longer.handle, token) & _UNUSED:
            raise DifferentVocabularyError(
                f"they have {longer.size:,} and {shared:,} tokens, and {_shown(longer, token)} is in one only"
            )


def _check_special(one: Vocabulary, other: Vocabulary, shared: int) -> None:
    """Control tokens have no piece of text, unless one vocabulary speaks them; names and roles must agree."""
    for token in range(shared):
        hidden = [_is_hidden(vocabulary, token) for vocabulary in (one, other)]
        if any(hidden) and (not all(hidden) or one.name(token) != other.name(token)):
            raise DifferentVocabularyError(
                f"the special token {token} is {_shown(one, token)} and {_shown(other, token)}"
            )
    for role in _SPECIAL:
        tokens = getattr(one, role), getattr(other, role)
        if tokens[0] != tokens[1] and min(tokens) >= 0:
            raise DifferentVocabularyError(f"{role} is token {tokens[0]} and {tokens[1]}")
    if differing := one.end_tokens ^ other.end_tokens:
        token = min(differing)
        raise DifferentVocabularyError(f"token {token}, {_shown(one, token)}, ends an answer of one only")


def _is_hidden(vocabulary: Vocabulary, token: int) -> bool:
    return bool(llama.llama_vocab_get_attr(vocabulary.handle, token) & _HIDDEN)


def _shown(vocabulary: Vocabulary, token: int) -> str:
    return repr(vocabulary.name(token))
