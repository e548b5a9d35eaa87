"""Public corpora as conversations: where they lie, how each is read, how they are varied."""
