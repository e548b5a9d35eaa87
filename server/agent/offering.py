"""Which of very many tools the model is shown: those that the user's words ask for, more with every turn, never fewer.

Only the user's words choose. Nothing that a tool has said can bring another tool into reach, and what is shown stays
where it is in the prompt, so that its KV is found again.
"""

from collections.abc import Collection

from server.agent.events import Offered
from server.agent.state import RunState
from server.tools.retrieval import ToolFinder

FEW = 10
"""Tools that are shown without a search."""
_OFFERED = 5


def has_to_offer(state: RunState) -> bool:
    """Whether the user has said something for which no tools were looked for yet."""
    return len(state.started.tools) > FEW and state.offered_for < max(1, len(state.user_words))


async def offer(state: RunState, finder: ToolFinder, allowed: Collection[str]) -> Offered:
    """`allowed`: the tools that may be called at all."""
    new = state.user_words[state.offered_for :]
    hits = await finder.find(new[-1] if new else "", allowed, _OFFERED)
    if len(new) > 1:  # "yes, do that": what it means was said before
        hits += await finder.find("\n".join(new[:-1]), allowed, _OFFERED)
    names = dict.fromkeys([*state.started.needed, *(hit.name for hit in hits)])
    if not names and not state.offered:
        names = dict.fromkeys(list(allowed)[:_OFFERED])
    why = {hit.name: f"words {hit.word_rank or '-'}, vectors {hit.vector_rank or '-'}" for hit in reversed(hits)}
    return Offered(tuple(names), len(state.user_words), why)
