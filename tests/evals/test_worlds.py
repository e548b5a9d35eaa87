"""The simulated worlds: their tools do what they say, refuse what they can't do, and forget nothing."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from evals.case import GoldCall, MadeCall
from evals.worlds import WORLDS
from evals.worlds.world import has_same_effect


def made(name: str, **arguments: Any) -> MadeCall:
    return MadeCall(name, json.dumps(arguments), arguments)


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_every_tool_has_a_valid_schema_and_a_name_of_its_own(world: Any) -> None:
    names = [tool.name for tool in world.tools]
    assert len(set(names)) == len(names)
    for tool in world.tools:
        Draft202012Validator.check_schema(tool.as_json()["function"]["parameters"])


@pytest.mark.parametrize(
    ("world", "name", "arguments", "result"),
    [
        ("office", "find_contact", {"name": "ada"}, {"name": "Ada", "email": "ada@example.org", "phone": "555-0101"}),
        ("office", "find_contact", {"name": "Zoe"}, {"error": "no such contact: Zoe"}),
        ("office", "create_event", {"title": "x", "date": "2026-03-02", "time": "09:00"},
         {"error": "2026-03-02 09:00 is taken"}),
        ("office", "send_email", {"to": "ada", "subject": "s"}, {"error": "'ada' is no email address"}),
        ("shop", "place_order", {"product": "wool blanket"}, {"error": "only 0 of wool blanket left"}),
        ("shop", "cancel_order", {"order_id": "A2"}, {"error": "order A2 is shipped and can't be cancelled"}),
        ("shop", "refund_order", {"order_id": "A3", "reason": "damaged"}, {"refunded": "A3", "reason": "damaged"}),
        ("shop", "search_products", {"query": "kettle", "max_price": 40},
         {"products": [{"name": "blue kettle", "price": 30, "stock": 5}]}),
        ("travel", "book_flight", {"flight": "TR10", "passengers": 2}, {"booked": "TR10", "total": 240}),
        ("travel", "book_flight", {"flight": "TR11"}, {"error": "flight TR11 has 0 seats left"}),
        ("travel", "book_hotel", {"hotel": "Grand Oslo", "nights": 1}, {"error": "Grand Oslo is full"}),
        ("home", "set_light", {"room": "hall", "on": True}, {"room": "hall", "brightness": 100}),
        ("home", "lock_door", {"door": "front", "locked": False}, {"door": "front", "locked": False}),
        ("bank", "transfer_money", {"amount": 9999, "recipient": "Tom"}, {"error": "checking holds only 500"}),
        ("bank", "transfer_money", {"amount": 100, "recipient": "savings"}, {"transferred": 100, "left": 400}),
        ("files", "read_file", {"path": "todo.txt"}, {"path": "todo.txt", "content": "call Ada"}),
        ("files", "move_file", {"path": "todo.txt", "new_path": "notes.txt"}, {"error": "notes.txt exists already"}),
        ("files", "delete_file", {"path": "none"}, {"error": "none does not exist"}),
        ("files", "fly", {}, {"error": "there is no tool 'fly'"}),
        ("files", "read_file", {"path": 1}, {"error": "the arguments do not fit the tool's schema"}),
        ("files", "read_file", None, {"error": "the arguments do not fit the tool's schema"}),
    ],
)  # fmt: skip
def test_a_call_has_its_result(world: str, name: str, arguments: Any, result: Any) -> None:
    assert WORLDS[world].enter().call(name, arguments) == result


def test_what_is_refused_changes_nothing_and_what_is_done_is_kept() -> None:
    bank = WORLDS["bank"].enter()
    bank.call("transfer_money", {"amount": 9999, "recipient": "savings"})
    assert bank.state["accounts"] == WORLDS["bank"].beginning["accounts"]
    bank.call("transfer_money", {"amount": 100, "recipient": "savings"})
    assert bank.call("get_balance", {"account": "savings"})["balance"] == 2100
    assert WORLDS["bank"].enter().call("get_balance", {"account": "savings"})["balance"] == 2000


def test_a_state_is_laid_over_the_beginning_table_by_table() -> None:
    office = WORLDS["office"].enter({"contacts": [{"name": "Zoe", "email": "zoe@example.org"}]})
    assert office.call("find_contact", {"name": "Zoe"})["email"] == "zoe@example.org"
    assert len(office.state["events"]) == 1


@pytest.mark.parametrize(
    ("calls", "same"),
    [
        ([made("set_light", room="hall", on=True), made("set_thermostat", celsius=21)], True),
        ([made("set_thermostat", celsius=21.0), made("set_light", room="hall", on=True, brightness=100)], True),
        ([made("set_light", room="hall", on=True)], False),
        ([made("set_light", room="hall", on=True, brightness=50), made("set_thermostat", celsius=21)], False),
        ([], False),
    ],
)
def test_calls_have_the_same_effect_when_tables_and_results_are_alike(calls: list[MadeCall], same: bool) -> None:
    gold = (GoldCall("set_light", {"room": "hall", "on": True}), GoldCall("set_thermostat", {"celsius": 21}))
    assert has_same_effect(WORLDS["home"], {}, gold, calls) is same
