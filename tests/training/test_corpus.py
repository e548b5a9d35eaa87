"""From corpora to conversations, and how they are varied."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from server.chat.messages import Message, Tool
from training.conversation import Conversation, conversation_from_json
from training.convert.star import write_star
from training.convert.taskmaster import write_taskmaster
from training.corpus import sgd, vary
from training.corpus.archives import DataMissingError, data_folder, find_corpus
from training.corpus.gold import write_gold
from training.corpus.mix import MixSettings, training_mix
from training.data.record import Record

from .sample import PARAPHRASE, SERVICE, TURNS

DIALOGUE = sgd.Dialogue("sgd/train/1", ("Tables_1",), tuple(TURNS))
SERVICES = {"Tables_1": SERVICE}
CONVERSATION = sgd.convert(DIALOGUE, SERVICES)


def calls_of(conversation: Conversation) -> list[tuple[str, dict[str, object]]]:
    return [(call.name, json.loads(call.arguments)) for message in conversation.messages for call in message.tool_calls]


def assert_calls_fit_their_tools(conversation: Conversation) -> None:
    schemas = {tool.name: tool.parameters for tool in conversation.tools}
    for name, arguments in calls_of(conversation):
        Draft202012Validator(schemas[name]).validate(arguments)


def test_a_system_turn_with_a_call_becomes_call_result_and_answer() -> None:
    assert [message.role for message in CONVERSATION.messages] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    call = CONVERSATION.messages[3].tool_calls[0]
    assert CONVERSATION.messages[4].tool_call_id == call.id
    assert json.loads(CONVERSATION.messages[4].content or "") == [{"place": "Bella Vista", "time": "18:00"}]


def test_arguments_stand_in_the_schemas_order() -> None:
    assert CONVERSATION.messages[3].tool_calls[0].arguments == '{"place":"Bella Vista","people":"2"}'


def test_an_argument_is_worded_as_it_was_said_last() -> None:
    turns = (TURNS[0], {**TURNS[2], "utterance": "Bella for 2."}, TURNS[3])
    conversation = sgd.convert(sgd.Dialogue("x", ("Tables_1",), turns), SERVICES)
    assert calls_of(conversation)[0][1]["place"] == "Bella"


def test_paraphrased_schemas_rename_tools_and_arguments_together() -> None:
    variant = {"Tables_11": PARAPHRASE}
    conversation = sgd.convert(vary.paraphrase(DIALOGUE, SERVICES, variant), variant)
    assert calls_of(conversation) == [("ReserveSeat", {"the_place": "Bella Vista", "the_people": "2"})]
    assert_calls_fit_their_tools(conversation)


@pytest.mark.parametrize("seed", range(12))
def test_changed_values_change_everywhere(seed: int) -> None:
    changed = vary.change_values(CONVERSATION, {"place": ["Rosa's", "The Anchor"]}, seed)
    ((_, arguments),) = calls_of(changed)
    place = str(arguments["place"])
    assert place in (changed.messages[0].content or "")
    assert place in (changed.messages[-1].content or "")
    assert place in (changed.messages[4].content or "")
    assert arguments["people"] == "2"


@pytest.mark.parametrize("seed", range(8))
def test_changed_names_still_fit(seed: int) -> None:
    changed = vary.change_names(CONVERSATION, seed)
    assert_calls_fit_their_tools(changed)
    assert set(calls_of(changed)[0][1].values()) == {"Bella Vista", "2"}


def test_changed_names_may_have_another_verb_of_the_same_meaning() -> None:
    names = {calls_of(vary.change_names(CONVERSATION, seed))[0][0].lower().replace("_", "") for seed in range(60)}
    assert {"booktable", "reservetable", "tablebook"} <= names
    assert all(("table" in name) and "play" not in name for name in names)


def test_other_names_never_make_two_tools_one() -> None:
    tools = tuple(Tool(name, CONVERSATION.tools[0].parameters) for name in ("FindTable", "GetTable", "find_table"))
    for seed in range(60):
        changed = vary.change_names(replace(CONVERSATION, tools=tools, messages=()), seed)
        assert len({tool.name for tool in changed.tools}) == 3


def test_other_verbs_tell_tools_apart_that_had_the_same() -> None:
    """Where all find, the verb says nothing; where each has its own, what the tool is about decides it."""
    parameters = CONVERSATION.tools[0].parameters
    tools = tuple(Tool(name, parameters) for name in ("FindTable", "FindSong", "FindBus", "BookBus"))
    counts = []
    for seed in range(60):
        changed = vary.change_names(replace(CONVERSATION, tools=tools, messages=()), seed)
        said = [tool.name.lower() for tool in changed.tools[:3]]
        counts.append(
            len(
                {
                    name.replace("_", "").replace(thing, "")
                    for name, thing in zip(said, ("table", "song", "bus"), strict=True)
                }
            )
        )
        assert all(thing in name for thing, name in zip(("table", "song", "bus"), said, strict=True))
    assert set(counts) == {1, 3}
    assert counts.count(3) > counts.count(1)


def test_hidden_names_leave_only_descriptions_to_tell() -> None:
    whole = replace(CONVERSATION, tools=(*CONVERSATION.tools, replace(CONVERSATION.tools[0], name="FindTable")))
    parameters = set()
    for seed in range(40):
        changed = vary.hide_names(whole, seed)
        ((name, arguments),) = calls_of(changed)
        assert "table" not in name.lower()
        assert len({tool.name for tool in changed.tools}) == 2
        assert [tool.description for tool in changed.tools] == [tool.description for tool in whole.tools]
        assert list(arguments.values()) == ["Bella Vista", "2"]
        assert_calls_fit_their_tools(changed)
        parameters.add("place" in arguments)
    assert parameters == {True, False}


def test_names_stay_where_nothing_else_tells() -> None:
    bare = replace(CONVERSATION, tools=(replace(CONVERSATION.tools[0], description=None),))
    assert vary.hide_names(bare, 1) == bare


def test_changed_things_change_in_names_schemas_and_words() -> None:
    seen = set()
    for seed in range(20):
        changed = vary.change_things(CONVERSATION, seed)
        ((name, arguments),) = calls_of(changed)
        assert arguments == {"place": "Bella Vista", "people": "2"}
        assert_calls_fit_their_tools(changed)
        seen.add(thing := name.removeprefix("Book"))
        said = json.dumps(changed.as_json())
        if thing != "Table":
            assert "table" not in said.lower()
            assert said.replace(thing, "Table").replace(thing.lower(), "table") == json.dumps(CONVERSATION.as_json())
    assert len(seen) > 10


def test_a_thing_is_not_looked_for_inside_of_words_or_schemas() -> None:
    tool = Tool("find_bus_type", {"type": "object", "properties": {"busy": {"type": "string"}}, "required": []}, "Bus")
    messages = (Message("user", "Are buses busy? A Bus, an AirBus, a syllabus."), Message("assistant", "Yes"))
    changed = vary.change_things(Conversation(messages, (tool,)), 3)
    (other,) = changed.tools
    thing = other.description or ""
    assert thing not in ("", "Bus")
    assert (other.name, other.parameters) == (f"find_{thing.lower()}_type", tool.parameters)
    assert changed.messages[0].content == f"Are {thing.lower()}s busy? A {thing}, an Air{thing}, a syllabus."


def test_values_may_become_any_phrase() -> None:
    values = {
        calls_of(vary.change_values(CONVERSATION, {}, seed, ["The Great War"]))[0][1]["place"] for seed in range(40)
    }
    assert {"The Great War", "the great war", "Bella Vista"} < values


def test_changed_types_make_integers_and_booleans_of_enums() -> None:
    changed = vary.change_types(CONVERSATION)
    assert calls_of(changed)[0][1]["people"] == 2
    assert changed.tools[0].parameters["properties"]["outside"]["type"] == "boolean"
    assert_calls_fit_their_tools(changed)


def test_a_conversation_survives_its_json() -> None:
    line = json.loads(json.dumps(CONVERSATION.as_json()))
    assert conversation_from_json(line, CONVERSATION.source) == CONVERSATION


def test_other_corpora_come_cut_to_a_call(corpus: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(corpus, data)
    records = [Record.model_validate(CONVERSATION.as_json())]
    assert [*write_star(records, data / "star"), *write_taskmaster(records, data / "taskmaster4")] == [None, None]
    added = [c for c in training_mix(data, MixSettings(others=6)) if c.source.startswith(("star/", "taskmaster4/"))]
    assert len(added) == 6
    for conversation in added:
        assert len(calls_of(conversation)) == 1
        assert_calls_fit_their_tools(conversation)


def test_some_dialogues_ask_for_what_no_tool_does(corpus: Path) -> None:
    begun = [c for c in training_mix(corpus, MixSettings(epochs=60)) if c.source.startswith("sgd/")]
    refused = [c for c in begun if "do" in (c.messages[-1].content or "") and not any(m.tool_calls for m in c.messages)]
    out_of_reach = [c for c in refused if len([m for m in c.messages if m.role != "system"]) == 2]
    assert 0 < len(out_of_reach) < len(begun) / 4
    for conversation in out_of_reach:
        assert not {tool.name for tool in conversation.tools} & {tool.name for tool in CONVERSATION.tools}
        assert conversation.messages[-1].role == "assistant"


def test_sums_are_worked_out_call_by_call(corpus: Path) -> None:
    """What no calculator worked out is left out."""
    sums = [c for c in training_mix(corpus, MixSettings(calculations=12)) if c.source.startswith("gsm8k/")]
    assert len(sums) == 12
    assert {c.source for c in sums} == {"gsm8k/0", "gsm8k/1"}
    for conversation in sums:
        assert_calls_fit_their_tools(conversation)
    hens = next(c for c in sums if c.source == "gsm8k/0")
    assert [list(arguments.values()) for _, arguments in calls_of(hens)] == [["6*2"], ["12-3"]]
    assert [json.loads(m.content or "") for m in hens.messages if m.role == "tool"] == [{"result": 12}, {"result": 9}]
    assert hens.messages[-1].content == "The answer is 9."


def test_what_nothing_in_reach_does_is_declined(corpus: Path) -> None:
    wishes = [c for c in training_mix(corpus, MixSettings(off_topic=40)) if c.source == "clinc150"]
    assert len(wishes) == 40
    assert {bool(c.tools) for c in wishes} == {True, False}
    for conversation in wishes:
        assert not any(message.tool_calls for message in conversation.messages)
        if any("remind" in (message.content or "") for message in conversation.messages):
            assert not conversation.tools


def test_the_mix_is_the_same_for_the_same_seed(corpus: Path) -> None:
    one, two = (list(training_mix(corpus, MixSettings(seed=3))) for _ in range(2))
    assert one == two
    assert one != list(training_mix(corpus, MixSettings(seed=4)))
    for conversation in one:
        assert_calls_fit_their_tools(conversation)
    assert any(not calls_of(conversation) for conversation in one)


def test_gold_lines_carry_the_accepted_wordings(corpus: Path, tmp_path: Path) -> None:
    assert write_gold(tmp_path / "gold.jsonl", corpus, "test", 3) == 3
    line = json.loads((tmp_path / "gold.jsonl").read_text().splitlines()[0])
    (call,) = [call for message in line["messages"] for call in message.get("tool_calls", ())]
    assert call["variants"] == {"place": ["Bella", "Bella Vista"], "people": ["2"]}
    assert line["seen"] is True


def test_gold_lines_mark_the_turns_that_ask_for_what_is_missing(corpus: Path, tmp_path: Path) -> None:
    write_gold(tmp_path / "gold.jsonl", corpus, "test", 1)
    line = json.loads((tmp_path / "gold.jsonl").read_text())
    assert [message.get("expects") for message in line["messages"]] == [None, "ask", None, None, None, None]


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match="sgd"):
        find_corpus("sgd", tmp_path)


def test_the_public_corpus_converts_whole() -> None:
    try:
        folder = find_corpus("sgd", data_folder()) / "dev"
    except DataMissingError as error:
        pytest.skip(f"PUBLIC DATA ABSENT: {error}")
    services = sgd.read_services(folder)
    conversations = [sgd.convert(dialogue, services) for dialogue in sgd.read_dialogues(folder)]
    assert len(conversations) > 500
    assert sum(len(calls_of(conversation)) for conversation in conversations) > 1000
