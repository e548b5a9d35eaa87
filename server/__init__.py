"""Trammel's server: tokens at the bottom (engine), conversations above (chat), HTTP on top (api)."""

from importlib.metadata import version

__version__ = version("trammel")
