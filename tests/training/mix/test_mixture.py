"""Mixtures have the shares wanted, no conversation twice, and no opening in both splits."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.training.data.lines import call, calls, line, result, says, user, write_lines
from tests.training.sample import write_corpus
from training.cli import app
from training.data.category import category_of
from training.data.record import Json, Record
from training.data.validation import InvalidDataError, validate_file
from training.mix.contamination import find_contamination
from training.mix.files import mix_files
from training.mix.mixture import MixSettings
from training.mix.words import conversation_key


def chat(number: int) -> Json:
    return {"messages": [user(f"Tell me about number {number} please."), says(f"Number {number} is nice.")]}


def tool(number: int, category: str = "single_call") -> Json:
    city = json.dumps({"city": f"City {number}"})
    return line(user(f"Weather in City {number}?"), calls(call(arguments=city)), result(), says(), category=category)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    tools = [tool(n, ("single_call", "chain", "parallel")[n % 3]) for n in range(60)]
    return write_lines(tmp_path / "tools.jsonl", *tools), write_lines(tmp_path / "chat.jsonl", *map(chat, range(100)))


def run(files: tuple[Path, Path], output: Path, kept: Path | None = None, **settings: Any) -> Any:
    return mix_files([files[0]], [str(files[1])], MixSettings(**settings), output, kept)


def records(path: Path) -> list[Record]:
    return [Record.model_validate_json(text) for text in path.read_text().splitlines()]


@pytest.mark.parametrize(("share", "chats", "tools"), [(0.5, 60, 60), (0.0, 0, 60), (0.25, 20, 60), (0.75, 100, 60)])
def test_chat_has_its_share(share: float, chats: int, tools: int, files: tuple[Path, Path], tmp_path: Path) -> None:
    report = run(files, tmp_path / "out.jsonl", chat_share=share)
    kinds = Counter(category_of(record) == "chat" for record in records(tmp_path / "out.jsonl"))
    assert (kinds[True], kinds[False]) == (chats, tools)
    assert report.unused["chat"] == 100 - chats
    assert not validate_file(tmp_path / "out.jsonl").errors


def test_the_limit_keeps_the_share(files: tuple[Path, Path], tmp_path: Path) -> None:
    report = run(files, tmp_path / "out.jsonl", limit=40)
    assert report.train.total() == 40
    assert report.chat_share == 0.5


def test_categories_have_their_shares(files: tuple[Path, Path], tmp_path: Path) -> None:
    report = run(files, tmp_path / "out.jsonl", category_shares={"single_call": 2, "chain": 1})
    assert report.train == {"single_call": 20, "chain": 10, "chat": 30}
    assert report.unused["parallel"] == 20
    with pytest.raises(ValueError, match="answer"):
        run(files, tmp_path / "out.jsonl", category_shares={"answer": 1})


def test_splits_share_no_opening_and_nothing_is_lost(files: tuple[Path, Path], tmp_path: Path) -> None:
    report = run(files, tmp_path / "a.jsonl", tmp_path / "b.jsonl", held_out=0.3)
    openings = [{record.messages[0].text for record in records(tmp_path / name)} for name in ("a.jsonl", "b.jsonl")]
    assert not openings[0] & openings[1]
    assert report.train.total() + report.held_out.total() + report.unused.total() == 160
    assert 20 < report.held_out.total() < 80
    assert report.held_out["chat"] * 2 == report.held_out.total()


def test_what_says_and_calls_the_same_comes_in_once(tmp_path: Path) -> None:
    same = [line(), line({"role": "system", "content": "Hi"}, *line()["messages"]), line(tools=[*line()["tools"]])]
    renumbered = json.loads(json.dumps(line()).replace("c1", "call_9"))
    louder = line(user("what is the weather in OSLO"), *line()["messages"][1:])
    path = write_lines(tmp_path / "tools.jsonl", *same, renumbered, louder, tool(1))
    report = mix_files([path], [], MixSettings(chat_share=0), tmp_path / "out.jsonl")
    assert report.train.total() == 2
    assert report.repeated["tools.jsonl"] == 4


def test_evaluations_are_kept_out(files: tuple[Path, Path], tmp_path: Path) -> None:
    evaluation = write_lines(tmp_path / "eval.jsonl", tool(3), tool(4), tool(999))
    settings = MixSettings(chat_share=0)
    report = mix_files([files[0]], [], settings, tmp_path / "out.jsonl", excluded=[evaluation])
    assert report.excluded == 2
    keys = {conversation_key(record) for record in records(evaluation)}
    assert not keys & {conversation_key(record) for record in records(tmp_path / "out.jsonl")}


def test_the_same_seed_gives_the_same_file(files: tuple[Path, Path], tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(files, tmp_path / name, seed=seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()


def test_invalid_data_and_chat_with_tools_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="no general chat"):
        mix_files([files[0]], [str(files[0])], MixSettings(), tmp_path / "out.jsonl")
    bad = write_lines(tmp_path / "bad.jsonl", line(user(), calls(call(name="nothing"))))
    with pytest.raises(InvalidDataError, match="unknown-tool"):
        mix_files([bad], [], MixSettings(), tmp_path / "out.jsonl")


def trammel(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def test_the_public_chat_is_mixed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAMMEL_DATA", str(write_corpus(tmp_path / "data", 2)))
    tools = write_lines(tmp_path / "tools.jsonl", tool(1), tool(2))
    made = trammel("mix", tools, "--chat", "public", "--output", tmp_path / "o.jsonl", "--report", tmp_path / "r.json")
    assert made.exit_code == 0, made.output
    assert json.loads((tmp_path / "r.json").read_text())["train"] == {"single_call": 2, "chat": 2}
    assert trammel("mix", tools, "--output", tools).exit_code == 2
    assert "give --chat FILE" in trammel("mix", tools, "--output", tmp_path / "o.jsonl").stdout


def test_contamination_finds_words_names_schemas_and_calls(tmp_path: Path) -> None:
    long = "Could you please look up what the weather in Reykjavik will be like next week"
    train = write_lines(tmp_path / "train.jsonl", chat(1), line(user(f"Hello! {long}?"), calls(call())))
    other = json.dumps(line(user("Something else entirely, no?"), says("I can not help.")))
    foreign = other.replace("get_weather", "f")
    known = line(user(long), calls(call(arguments='{ "city":"Oslo"}')))
    evaluation = write_lines(tmp_path / "eval.jsonl", known, foreign)
    found = find_contamination(train, evaluation)
    assert (found.records, found.contaminated, found.names) == (2, {1}, ["get_weather"])
    assert found.schemas == ["f", "get_weather"]
    assert (found.same_calls, found.calls) == (1, 1)
    assert (found.overlaps[0].other, found.overlaps[0].share) == (2, 1.0)
    assert trammel("contamination", train, "--against", evaluation).exit_code == 0
    assert trammel("contamination", train, "--against", evaluation, "--most", "0.4").exit_code == 1
    assert json.loads(trammel("contamination", train, "--against", evaluation, "--json").stdout)["share"] == 0.5


def test_files_with_nothing_in_common_are_clean(tmp_path: Path) -> None:
    train, evaluation = write_lines(tmp_path / "a.jsonl", chat(1)), write_lines(tmp_path / "b.jsonl", line())
    found = find_contamination(train, evaluation)
    assert (found.share, found.names, found.schemas, found.same_calls) == (0, [], [], 0)


def test_a_parameter_may_be_called_like_a_keyword(tmp_path: Path) -> None:
    def of(**properties: Json) -> Json:
        parameters = {"type": "object", "properties": properties}
        tool = {"type": "function", "function": {"name": "get_weather", "parameters": parameters}}
        return {**line(user(), says()), "tools": [tool]}

    city = {"city": {"type": "string"}}
    seen = write_lines(tmp_path / "seen.jsonl", of(**city))
    described = write_lines(tmp_path / "a.jsonl", of(city={"type": "string", "description": "Where", "title": "City"}))
    titled = write_lines(tmp_path / "b.jsonl", of(**city, title={"type": "string"}))
    assert find_contamination(seen, described, 8).schemas == ["get_weather"]
    assert find_contamination(seen, titled, 8).schemas == []


def test_blanks_in_arguments_make_no_other_conversation() -> None:
    one, two = (
        Record.model_validate(line(user(), calls(call(arguments=arguments)), result(), says()))
        for arguments in ('{"city":"Oslo","days":1}', '{"days": 1, "city": "Oslo"}')
    )
    assert conversation_key(one) == conversation_key(two)


def test_without_chat_it_is_said_how_to_get_some(tmp_path: Path) -> None:
    tools = write_lines(tmp_path / "tools.jsonl", line(user(), calls(call()), result(), says()))
    told = CliRunner().invoke(app, ["data", "mix", str(tools), "--output", str(tmp_path / "out.jsonl")])
    assert "give --chat FILE" in told.output
