"""Wrong calls out of right ones, preference lines, and what DPO makes of them."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from server.chat.messages import Message, Tool, ToolCall
from training.base.gguf_checkpoint import checkpoint_of
from training.data.validation import InvalidDataError
from training.train.corruption import MISSING_ARGUMENT, WRONG_TOOL, WRONG_VALUE, Corruption
from training.train.events import Event, Stepped
from training.train.pairs import read_pairs
from training.train.recipe import AdapterSettings, TrainingRecipe
from training.train.rows import Renderer
from training.train.run import run as train

from .conftest import TOOL, calling, talking, write_lines

TOOLS = (
    Tool("go", {"properties": {"to": {"type": "string"}, "by": {"enum": ["bus", "train"]}}}),
    Tool("stay", {}),
)
CALL = ToolCall("go", '{"to":"Rome","by":"bus"}', "c1")


@pytest.fixture(scope="module")
def renderer(base: Path, cache: Path) -> Renderer:
    return Renderer(AutoTokenizer.from_pretrained(checkpoint_of(base, cache)))


def test_each_kind_of_fault_comes_up_and_is_what_it_is_called() -> None:
    corruption = Corruption([CALL, ToolCall("go", '{"to":"Oslo"}')])
    found: dict[str, set[str]] = {}
    for seed in range(40):
        made = corruption.corrupt(Message("assistant", None, (CALL,)), TOOLS, random.Random(seed))
        assert made is not None
        (call,) = made[1].tool_calls
        found.setdefault(made[0], set()).add(f"{call.name} {call.arguments}")
    assert found == {
        WRONG_VALUE: {'go {"to":"Oslo","by":"bus"}', 'go {"to":"Rome","by":"train"}'},
        WRONG_TOOL: {'stay {"to":"Rome","by":"bus"}'},
        MISSING_ARGUMENT: {'go {"by":"bus"}', 'go {"to":"Rome"}'},
    }


def test_one_call_of_several_is_spoilt() -> None:
    answer = Message("assistant", None, (CALL, ToolCall("stay", "{}")))
    made = Corruption([CALL]).corrupt(answer, TOOLS, random.Random(3))
    assert made is not None
    assert sum(a != b for a, b in zip(made[1].tool_calls, answer.tool_calls, strict=True)) == 1


def test_a_call_that_leaves_nothing_to_spoil_is_no_pair() -> None:
    lone = Message("assistant", None, (ToolCall("stay", "{}"),))
    assert Corruption([]).corrupt(lone, TOOLS[1:], random.Random(0)) is None


def test_pairs_differ_in_the_answer_only_and_follow_the_seed(renderer: Renderer, tmp_path: Path) -> None:
    data = write_lines(tmp_path / "lines.jsonl", [calling("Rome"), calling("Oslo"), talking("Bern")])
    rows, pairs = read_pairs(data, renderer, 512, seed=1)
    assert len(pairs) == len(rows.rows) == 2
    for pair in pairs:
        good, bad = (renderer.tokenizer.decode(list(ids)) for ids in (pair.good, pair.bad))
        assert good != bad
        assert good.startswith("<tool_call>")
        assert good.endswith("<|end|>")
        assert bad.endswith("<|end|>")
    assert read_pairs(data, renderer, 512, seed=1)[1] == pairs
    assert read_pairs(data, renderer, len(pairs[0].prompt), seed=1)[0].audit.unlearnt == [1, 2]


def preference(good: Any = None, **changes: Any) -> dict[str, Any]:
    line = {
        "input": {"messages": [{"role": "user", "content": "To Rome!"}], "tools": [TOOL]},
        "preferred_output": [good or calling("Rome")["messages"][1]],
        "non_preferred_output": [{"role": "assistant", "content": "No."}],
    }
    return {**line, **changes}


def test_openais_preference_lines_are_read_as_they_are(renderer: Renderer, tmp_path: Path) -> None:
    data = write_lines(tmp_path / "pairs.jsonl", [preference()])
    rows, (pair,) = read_pairs(data, renderer, 512, seed=1)
    assert renderer.tokenizer.decode(list(pair.bad)) == "No.<|end|>"
    assert rows.audit.rows == {"preference": 1}
    ((_, record),) = rows.records
    assert [message.weight for message in record.messages] == [None, None]


def test_preferred_calls_must_fit_their_tools_unless_it_is_wanted(renderer: Renderer, tmp_path: Path) -> None:
    wrong = calling("Rome")["messages"][1]
    wrong["tool_calls"][0]["function"]["arguments"] = '{"to": 5}'
    data = write_lines(tmp_path / "pairs.jsonl", [preference(good=wrong)])
    with pytest.raises(InvalidDataError, match="invalid-arguments"):
        read_pairs(data, renderer, 512, seed=1)
    assert len(read_pairs(data, renderer, 512, seed=1, allow_invalid=True)[1]) == 1


def test_a_lines_own_separators_and_a_byte_order_mark_are_no_ends(renderer: Renderer, tmp_path: Path) -> None:
    said = preference(non_preferred_output=[{"role": "assistant", "content": "No.\u2028Never.\x85"}])
    data = tmp_path / "pairs.jsonl"
    data.write_bytes(b"\xef\xbb\xbf" + json.dumps(said, ensure_ascii=False).encode())
    (pair,) = read_pairs(data, renderer, 512, seed=1)[1]
    assert "Never" in renderer.tokenizer.decode(list(pair.bad))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (preference(non_preferred_output=[]), "missing-field non_preferred_output"),
        (preference(good={"role": "user", "content": "x"}), "no-assistant preferred_output"),
        (preference(good={"role": "bird"}), "preferred_output"),
    ],
)
def test_wrong_preference_lines_are_refused(line: Any, reason: str, renderer: Renderer, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match=reason):
        read_pairs(write_lines(tmp_path / "pairs.jsonl", [line]), renderer, 512, seed=1)
    (tmp_path / "torn.jsonl").write_text(json.dumps(preference()) + "\n{")
    with pytest.raises(InvalidDataError, match="line 2: error not-json"):
        read_pairs(tmp_path / "torn.jsonl", renderer, 512, seed=1)


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*save_embedding_layers:UserWarning")
def test_dpo_learns_to_prefer_the_right_calls(base: Path, lines: Path, cache: Path, tmp_path: Path) -> None:
    held = write_lines(tmp_path / "held.jsonl", [preference()])
    recipe = TrainingRecipe(
        model=base, train_path=lines, output=tmp_path / "run", method="dpo", max_steps=16, batch_size=4, accumulation=1,
        learning_rate=2e-2, longest=512, validation_path=held, threads=1, adapter=AdapterSettings(rank=4, alpha=8),
    )  # fmt: skip
    events: list[Event] = []
    outcome = train(recipe, events.append, cache=cache)
    steps = [event for event in events if isinstance(event, Stepped)]
    assert steps[0].loss == pytest.approx(0.693, abs=0.01)  # ln 2: no preference yet
    last = steps[-6:]
    assert sum(step.loss for step in last) / len(last) < 0.6
    assert sum(step.token_accuracy or 0 for step in last) / len(last) > 0.6
    assert outcome.gguf is not None
    assert {"loss", "exact"} <= outcome.metrics.keys()
