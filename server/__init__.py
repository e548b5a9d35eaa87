"""Trammel's server: tokens at the bottom (engine), conversations above (chat), HTTP on top (api)."""

import os
from importlib.metadata import version

# Before numpy is imported: its few small products gain nothing by threads, which wait for each other beside llama.cpp's
# (the search of tools took 12.5 ms at p99 with two, 4.6 ms with one).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = version("trammel")
