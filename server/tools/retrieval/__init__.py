"""Finding the few tools, of very many, that a user's words ask for."""

from server.tools.retrieval.finder import SEARCH_TOOLS, ToolFinder, names_of
from server.tools.retrieval.index import Embed, Hit, ToolIndex
from server.tools.retrieval.vectors import NumpyVectors, Vectors

__all__ = ["SEARCH_TOOLS", "Embed", "Hit", "NumpyVectors", "ToolFinder", "ToolIndex", "Vectors", "names_of"]
