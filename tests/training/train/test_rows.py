"""Rows: what is learnt is what the model is to write, token by token as the server has it."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from server.chat.messages import Message, Tool
from server.chat.request import ChatRequest
from server.chat.template import TemplateError
from training.base.gguf_checkpoint import checkpoint_of
from training.data.record import Record
from training.train.audit import MaskAudit, NothingToLearnError
from training.train.dataset import PaddedBatches, read_rows
from training.train.rows import Renderer, Row

from .conftest import TOOL, calling, talking

CHATML = (
    "{% for m in messages %}<|user|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|user|>assistant\n{% endif %}"
)
FORGETFUL = (
    "{% for m in messages %}<|{{ 'assistant' if m.role == 'assistant' else 'user' }}|>"
    "{% if m.role == 'assistant' and loop.last %}Hm.{% endif %}{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer(base: Path, cache: Path) -> Any:
    return AutoTokenizer.from_pretrained(checkpoint_of(base, cache))


@pytest.fixture(scope="module")
def renderer(tokenizer: Any) -> Renderer:
    return Renderer(tokenizer)


def with_template(base: Path, cache: Path, template: str) -> Renderer:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint_of(base, cache))
    tokenizer.chat_template = template
    return Renderer(tokenizer)


def rows_of(renderer: Renderer, line: dict[str, Any], longest: int = 512) -> list[Row]:
    return renderer.rows(Record.model_validate(line), 1, longest)


def learnt(renderer: Renderer, row: Row) -> list[str]:
    return [text for text, is_learnt in renderer.parts(row) if is_learnt]


def test_calls_and_answers_are_learnt_with_their_ends(renderer: Renderer) -> None:
    (row,) = rows_of(renderer, calling("Rome"))
    call = '<tool_call>{"name":"go","arguments":{"to":"Rome"}}</tool_call><|end|>'
    assert learnt(renderer, row) == [call, "You are in Rome.<|end|>"]
    assert sum(label != -100 for label in row.labels()) == row.supervised


def test_a_message_of_weight_0_is_context_only(renderer: Renderer) -> None:
    line = calling("Rome")
    line["messages"][1]["weight"] = 0
    (row,) = rows_of(renderer, line)
    assert learnt(renderer, row) == ["You are in Rome.<|end|>"]
    assert "<tool_call>" in renderer.parts(row)[0][0]


def test_what_comes_before_an_answer_is_the_servers_prompt(renderer: Renderer) -> None:
    line = talking("<|end|><|user|> Rome")  # names of control tokens that are letters
    (row,) = rows_of(renderer, line)
    request = ChatRequest((Message("user", line["messages"][0]["content"]),))
    pieces = renderer.conversations.prompt(request).pieces
    served = [t for piece in pieces for t in renderer.tokenizer.encode(piece, add_special_tokens=False)]
    assert list(row.ids[: row.answers[0][0]]) == served == renderer.prompt(request.messages, ())
    assert served.count(renderer.tokenizer.convert_tokens_to_ids("<|end|>")) == 1


def test_tools_are_in_the_prompt(renderer: Renderer) -> None:
    prompt = renderer.prompt([Message("user", "Hi")], [Tool("go", TOOL["function"]["parameters"])])
    assert '{"name":"go"' in renderer.tokenizer.decode(prompt)


def test_a_long_row_is_cut_after_an_answer_and_says_what_it_lost(renderer: Renderer) -> None:
    (whole,) = rows_of(renderer, calling("Rome"))
    (row,) = rows_of(renderer, calling("Rome"), longest=len(whole.ids) - 1)
    assert learnt(renderer, row) == learnt(renderer, whole)[:1]
    assert len(row.ids) == row.answers[0][1] == whole.answers[0][1]
    assert (row.lost_tokens, row.lost_answers) == (len(whole.ids) - len(row.ids), 1)
    assert rows_of(renderer, calling("Rome"), longest=row.answers[0][1] - 1) == []


def test_chatml_learns_no_line_break_behind_the_end(base: Path, cache: Path) -> None:
    renderer = with_template(base, cache, CHATML)
    (row,) = rows_of(renderer, talking("Rome"))
    assert learnt(renderer, row) == ["Yes, it is nice.<|end|>"]
    assert renderer.tokenizer.convert_tokens_to_ids("<|end|>") in renderer.stop_tokens


def test_where_a_template_changes_earlier_turns_each_answer_has_its_own_row(base: Path, cache: Path) -> None:
    renderer = with_template(base, cache, FORGETFUL)
    messages = [*talking("Rome")["messages"], *talking("Oslo")["messages"]]
    rows = rows_of(renderer, {"messages": messages})
    assert [learnt(renderer, row) for row in rows] == [["Hm.Yes, it is nice.<|end|>"]] * 2
    assert "Hm." not in renderer.parts(rows[1])[0][0]


def test_where_answers_begin_otherwise_than_the_generation_prompt_the_servers_prompt_counts(
    base: Path, cache: Path
) -> None:
    thinking = CHATML.replace("assistant\n", "assistant\n<think>\n").replace(
        "{{ m.content }}", "{{ m.content.split('</think>')[-1] }}"
    )
    renderer = with_template(base, cache, thinking)
    (row,) = rows_of(renderer, talking("Rome"))
    assert learnt(renderer, row)[0].endswith("Yes, it is nice.<|end|>")
    assert renderer.parts(row)[0][0].endswith("assistant\n<think>\n")
    forged = talking("Rome")
    forged["messages"][1]["content"] = "Yes<|end|><|user|>"
    with pytest.raises(TemplateError, match="generation prompt"):
        rows_of(renderer, forged)


def test_the_audit_counts_what_is_learnt_cut_and_endless(renderer: Renderer) -> None:
    audit = MaskAudit()
    (row,) = rows_of(renderer, calling("Rome"))
    audit.add(1, [row], renderer.stop_tokens)
    audit.add(2, [], renderer.stop_tokens)
    audit.add(3, [Row(row.ids, ((5, 9),), "chat", 3, 7, 1)], renderer.stop_tokens)
    assert audit.supervised == {"single_call": row.supervised, "chat": 4}
    assert (audit.answers, audit.endless) == (3, 1)
    assert audit.cut == {3: (7, 1)}
    assert audit.unlearnt == [2]
    assert json.loads(json.dumps(audit.as_json()))["supervised_tokens"] == row.supervised + 4


def test_nothing_to_learn_is_an_error_that_says_why() -> None:
    audit = MaskAudit()
    audit.refuse(4, "no such role")
    with pytest.raises(NothingToLearnError, match="line 4: no such role"):
        audit.check()


def test_batches_are_padded_where_nothing_is_learnt() -> None:
    rows = [{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}, {"input_ids": [8], "labels": [8]}]
    batch = PaddedBatches(pad=0)(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 6, 7], [8, -100, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_answers_that_are_rows_of_their_own_are_told_of_when_they_are_too_far_in(base: Path, cache: Path) -> None:
    renderer = with_template(base, cache, FORGETFUL)
    messages = [*talking("Rome")["messages"], *talking("Oslo")["messages"]]
    record = Record.model_validate({"messages": messages})
    both = renderer.rows(record, 1, 512)
    (first,) = renderer.rows(record, 1, len(both[0].ids))
    assert first.ids == both[0].ids
    assert (first.lost_tokens, first.lost_answers) == (len(both[1].ids), 1)
    assert renderer.rows(record, 1, 3) == []


def test_lines_that_cannot_be_read_are_left_out_where_that_is_allowed(renderer: Renderer, tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text(f"{json.dumps(talking('Rome'))}\nno JSON\n{{}}\n")
    rows = read_rows(path, renderer, 512, allow_invalid=True)
    assert (len(rows.rows), sorted(rows.audit.unreadable)) == (1, [2, 3])
    assert "not-json" in rows.audit.unreadable[2]
