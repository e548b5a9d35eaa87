"""Finding tools by the user's words."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.tools.definition import CallContext, ToolDefinition
from server.tools.retrieval import NumpyVectors, ToolIndex
from server.tools.retrieval.vectors import QdrantVectors
from server.tools.retrieval.words import query_terms, sentences, spaced

OFFICE = {
    "getWeather": "Get the weather forecast of a city",
    "send_email": "Send an email to a person",
    "list_emails": "List the emails in the inbox",
    "book_flight": "Book a flight between two airports",
    "cancel_flight": "Cancel a booking of a flight",
    "create_invoice": "Create an invoice for a customer",
    "refund_payment": "Refund a payment of a customer",
    "translate_text": "Translate a text into another language",
    "search_documents": "Search the documents of the company",
    "add_holiday": "Enter a holiday of an employee",
    "list_rooms": "List the free meeting rooms",
    "reserve_room": "Reserve a meeting room",
}


async def nothing(arguments: dict[str, Any], context: CallContext) -> None:
    raise AssertionError("it is found, never called")


def tool(name: str, description: str, **options: Any) -> ToolDefinition:
    schema = {"type": "object", "properties": {"note": {"type": "string", "description": "a note"}}}
    return ToolDefinition(name, schema, nothing, description, **options)


def tools(described: dict[str, str]) -> dict[str, ToolDefinition]:
    return {name: tool(name, words) for name, words in described.items()}


async def meaning(texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """Vectors by counting letters in threes: related words are near, and no model is needed."""
    vectors = np.zeros((len(texts), 512), np.float32)
    for row, text in enumerate(texts):
        for a, b, c in zip(text.lower(), text.lower()[1:], text.lower()[2:], strict=False):
            vectors[row, hash((ord(a), ord(b), ord(c))) % 512] += 1
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


async def index_of(described: dict[str, str], **options: Any) -> ToolIndex:
    index = ToolIndex(**options)
    await index.sync(tools(described))
    await index.settle()
    return index


async def found(index: ToolIndex, text: str, limit: int = 5, **options: Any) -> list[str]:
    return [hit.name for hit in await index.search(text, limit, **options)]


@pytest.mark.parametrize("embed", [None, meaning], ids=["words", "words and vectors"])
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("What will the weather be like in Oslo?", "getWeather"),
        ("Please cancel my flights", "cancel_flight"),
        ("Is there a room free for a meeting? List them", "list_rooms"),
        ("mailing: send this to Ann by e-mail, an email", "send_email"),
    ],
)
async def test_what_is_asked_for_comes_first(embed: Any, text: str, name: str) -> None:
    assert (await found(await index_of(OFFICE, embed=embed), text))[0] == name


async def test_a_turn_that_asks_for_two_things_gets_both() -> None:
    flights = {f"flight_{word}": f"{word} a flight, the flight's {word}" for word in ("show", "change", "find", "hold")}
    index = await index_of(OFFICE | flights)
    names = await found(
        index, "Find a flight for Friday, show the flight, hold the flight. Then refund the payment.", 4
    )
    assert "refund_payment" in names


async def test_a_value_in_quotation_marks_counts_less_than_what_is_to_be_done() -> None:
    index = await index_of(OFFICE)
    text = 'Translate "cancel the booking of the flight, book a flight" into French'
    assert (await found(index, text))[0] == "translate_text"


async def test_a_hit_says_why_it_was_found() -> None:
    (hit,) = await (await index_of(OFFICE, embed=meaning)).search("Refund the payment", 1)
    assert (hit.name, hit.word_rank, hit.vector_rank) == ("refund_payment", 1, 1)
    assert set(hit.words) == {"refund", "payment"}


async def test_only_the_allowed_are_found() -> None:
    index = await index_of(OFFICE)
    assert await found(index, "Book a flight", among={"cancel_flight", "send_email"}) == ["cancel_flight"]


async def test_nothing_is_found_by_words_that_no_tool_has() -> None:
    index = await index_of(OFFICE)
    assert await found(index, "Hello!") == []
    assert await found(index, "") == []
    assert await found(await index_of({}), "Book a flight") == []


async def test_a_tool_that_is_changed_added_or_gone_is_found_as_it_is_now() -> None:
    index = await index_of(OFFICE, embed=meaning)
    changed = {name: words for name, words in OFFICE.items() if name != "book_flight"}
    changed |= {"send_email": "Launch a rocket", "water_plants": "Water the plants"}
    await index.sync(tools(changed))
    assert "book_flight" not in await found(index, "Book a flight", 12)
    assert (await found(index, "Launch a rocket"))[0] == "send_email"
    await index.settle()
    assert (await found(index, "Water the plants"))[0] == "water_plants"
    assert len(index) == len(changed)


async def test_words_alone_are_used_until_all_vectors_are_there() -> None:
    go = asyncio.Event()

    async def slow(texts: Sequence[str]) -> np.ndarray[Any, Any]:
        await go.wait()
        return await meaning(texts)

    index = ToolIndex(slow)
    await index.sync(tools(OFFICE))
    (hit,) = await index.search("Refund the payment", 1)
    assert hit.vector_rank is None
    go.set()
    await index.settle()
    (hit,) = await index.search("Refund the payment", 1)
    assert hit.vector_rank == 1


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(sorted(OFFICE)), st.sampled_from(sorted(OFFICE.values())), min_size=0, max_size=12
        ),
        max_size=5,
    )
)
def test_an_index_that_was_changed_equals_one_made_anew(steps: list[dict[str, str]]) -> None:
    async def compare() -> None:
        changed = ToolIndex(meaning)
        for step in steps:
            await changed.sync(tools(step))
            await changed.settle()
        fresh = await index_of(steps[-1] if steps else {}, embed=meaning)
        for text in ("Book a flight and send an email", "the customer"):
            one, other = await changed.search(text, 12), await fresh.search(text, 12)
            assert sorted(hit.name for hit in one) == sorted(hit.name for hit in other)
            assert [round(hit.score, 6) for hit in one] == [round(hit.score, 6) for hit in other]

    asyncio.run(compare())


def test_qdrant_gives_what_numpy_gives() -> None:
    qdrant = pytest.importorskip("qdrant_client", reason="qdrant-client is not installed: Qdrant is NOT tried")
    random = np.random.default_rng(0)
    vectors = random.standard_normal((40, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    client = qdrant.QdrantClient(":memory:")
    held = NumpyVectors(), QdrantVectors(client, limit=40)
    for one in held:
        one.put(list(range(40)), vectors)
        one.drop([3, 7])
        one.put([3], vectors[4:5])
    (numbers, cosines), (others, their) = (one.near(vectors[:2]) for one in held)
    assert numbers.tolist() == others.tolist()
    np.testing.assert_allclose(cosines, their, atol=1e-5)
    client.close()


async def test_an_index_works_on_qdrant() -> None:
    qdrant = pytest.importorskip("qdrant_client", reason="qdrant-client is not installed: Qdrant is NOT tried")
    client = qdrant.QdrantClient(":memory:")
    index = await index_of(OFFICE, embed=meaning, vectors=QdrantVectors(client))
    assert (await found(index, "Please cancel my flights"))[0] == "cancel_flight"
    client.close()


def test_names_are_read_as_words() -> None:
    assert spaced("getUserById") == "get User By Id"
    assert spaced("list_open-orders.v2") == "list open orders v2"


@given(st.text(max_size=200))
def test_any_text_can_be_asked(text: str) -> None:
    terms = query_terms(text)
    assert all(re.fullmatch(r"[^\W_]+", word) for word in terms)
    parts = sentences(text)
    assert parts
    index = ToolIndex()
    asyncio.run(index.sync(tools(OFFICE)))
    asyncio.run(index.search(text))
    index.close()
