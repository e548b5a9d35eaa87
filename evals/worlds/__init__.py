"""Simulated worlds to call tools in: a few tables, and functions that read and change them. No clock, no chance."""

from evals.worlds.bank import BANK
from evals.worlds.files import FILES
from evals.worlds.home import HOME
from evals.worlds.office import OFFICE
from evals.worlds.shop import SHOP
from evals.worlds.travel import TRAVEL
from evals.worlds.world import Simulation, World

WORLDS: dict[str, World] = {world.name: world for world in (OFFICE, SHOP, TRAVEL, HOME, BANK, FILES)}

__all__ = ["WORLDS", "Simulation", "World"]
