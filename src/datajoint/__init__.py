"""Relational data pipelines for science in Python."""

from .version import __version__

__all__ = ["__version__"]
