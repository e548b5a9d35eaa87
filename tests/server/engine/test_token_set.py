"""Sets of tokens: few of a vocabulary or all but few, told by the same bits."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server.engine.token_set import TokenSet


@given(st.lists(st.booleans(), min_size=1, max_size=100))
def test_a_set_holds_the_tokens_whose_bits_are_set(allowed: list[bool]) -> None:
    words = np.zeros(-(-len(allowed) // 32), dtype=np.int32)
    for token, is_allowed in enumerate(allowed):
        if is_allowed:
            words.view(np.uint32)[token // 32] |= np.uint32(1 << token % 32)
    tokens = TokenSet.of_bits(words, len(allowed))
    assert tokens.ids.tolist() == [token for token, is_allowed in enumerate(allowed) if is_allowed]
    assert len(tokens) == sum(allowed)
    assert tokens.listed.size <= len(allowed) / 2

    logits = np.arange(len(allowed), dtype=np.float32)
    values = tokens.values(logits)
    assert {tokens.token(place) for place in np.flatnonzero(np.isfinite(values)).tolist()} == set(tokens.ids.tolist())
    assert logits.tolist() == list(range(len(allowed)))
