"""What the commands of the command line share."""

from __future__ import annotations

from typing import Protocol

from .connection import Connection, conn
from .errors import DataJointError
from .schemas import VirtualModule
from .utils import did_you_mean


class Connect(Protocol):
    """Opens the connection that the options of the command line ask for."""

    def __call__(self, *, create: bool = False) -> Connection:
        """Connect; with `create`, also to a database file that does not exist yet."""


def open_module(schema: str, name: str) -> VirtualModule:
    """Open a schema that exists."""
    try:
        return VirtualModule(name, schema)
    except DataJointError:
        known = conn().list_schemas()
        if schema in known:
            raise
        hint = did_you_mean(schema, known) or "; they are listed by: dj schemas"
        raise DataJointError(f"There is no schema `{schema}`{hint}") from None
