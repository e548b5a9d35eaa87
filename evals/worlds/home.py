"""A house: lights, a thermostat, doors."""

from evals.case import Json
from evals.worlds.world import Tool, World, WorldError, integer, number, text

_ROOMS = ["kitchen", "bedroom", "hall", "office"]


def _light(state: Json, room: str, on: bool, brightness: int = 100) -> Json:
    state["lights"][room] = brightness if on else 0
    return {"room": room, "brightness": state["lights"][room]}


def _heat(state: Json, celsius: float) -> Json:
    state["thermostat"] = {"celsius": celsius}
    return {"celsius": celsius}


def _door(state: Json, door: str, locked: bool) -> Json:
    if door not in state["doors"]:
        raise WorldError(f"there is no {door} door")
    state["doors"][door] = locked
    return {"door": door, "locked": locked}


def _status(state: Json) -> Json:
    return {"lights": state["lights"], "doors": state["doors"], **state["thermostat"]}


HOME = World(
    "home",
    (
        Tool(
            "set_light",
            "Switch the light of a room.",
            {
                "room": text("Room", enum=_ROOMS),
                "on": {"type": "boolean", "description": "On or off"},
                "brightness": integer("Percent", minimum=1, maximum=100, default=100),
            },
            _light,
            ("room", "on"),
        ),
        Tool("set_thermostat", "Set the temperature.", {"celsius": number("Degrees", minimum=5, maximum=30)}, _heat),
        Tool(
            "lock_door",
            "Lock or unlock a door.",
            {"door": text("Door", enum=["front", "garage", "garden"]), "locked": {"type": "boolean"}},
            _door,
        ),
        Tool("home_status", "Lights, doors and temperature of the whole house.", {}, _status),
    ),
    {
        "lights": {"kitchen": 100, "bedroom": 0, "hall": 0, "office": 40},
        "doors": {"front": True, "garage": False, "garden": True},
        "thermostat": {"celsius": 19},
    },
)
