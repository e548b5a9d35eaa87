"""Tokens in, tokens out: the continuous batch over llama.cpp, and all that touches llama.cpp."""
