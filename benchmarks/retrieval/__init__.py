"""How well, and how fast, tools are found among very many."""

import server  # noqa: F401 - it says how many threads numpy may use, before numpy is imported
