"""Brings llama.cpp's log into Python's `logging`, and lets a caller read what was said while something failed.

llama.cpp has one log callback for the whole process, so this is the one place that sets it.
"""

import ctypes
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import llama_cpp.llama_cpp as llama

logger = logging.getLogger("trammel.llama")

_LEVELS = {1: logging.DEBUG, 2: logging.DEBUG, 3: logging.INFO, 4: logging.WARNING}
"""ggml's levels (debug, info, warn, error), each a step quieter: what is an error to a user we say ourselves."""

_captures: list[list[str]] = []


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _receive(level: int, text: bytes, _: ctypes.c_void_p) -> None:
    line = text.decode("utf-8", errors="replace").rstrip()
    if not line:
        return
    if level >= 3:
        for capture in _captures:
            capture.append(line)
    logger.log(_LEVELS.get(level, logging.DEBUG), "%s", line)


def install() -> None:
    """Route llama.cpp's log to the logger `trammel.llama`."""
    llama.llama_log_set(_receive, ctypes.c_void_p(0))


@contextmanager
def captured() -> Iterator[list[str]]:
    """Collect warnings and errors that llama.cpp logs inside the block."""
    lines: list[str] = []
    _captures.append(lines)
    try:
        yield lines
    finally:
        _captures.remove(lines)
