"""How well, and how fast, tools are found among very many."""
