"""Relational data pipelines for science in Python.

Import it as ``dj``: ``import datajoint as dj``. Everything but the version is loaded when it is
first used, so that importing the package is instant and touches neither files nor databases.
"""

from importlib import import_module
from typing import Any

from .version import __version__

#: Public name → the module that has it.
_EXPORTS = {
    "AndList": "condition",
    "Computed": "user_tables",
    "Config": "settings",
    "Connection": "connection",
    "DataJointError": "errors",
    "Di": "diagram",
    "Diagram": "diagram",
    "ERD": "diagram",
    "FreeTable": "table",
    "Imported": "user_tables",
    "Lookup": "user_tables",
    "Manual": "user_tables",
    "MatCell": "blob",
    "MatStruct": "blob",
    "Not": "condition",
    "Part": "user_tables",
    "Schema": "schemas",
    "Table": "table",
    "Top": "condition",
    "U": "expression",
    "config": "settings",
    "conn": "connection",
    "key": "fetch",
    "key_hash": "hash",
    "list_schemas": "schemas",
    "logger": "logging",
    "schema": "schemas",
}
_MODULES = ("blob", "diagram", "errors", "hash", "settings", "utils")

__all__ = ["__version__", *_EXPORTS, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        module = import_module(f".{_EXPORTS[name]}", __name__)
        value = getattr(
            module, {"schema": "Schema", "Di": "Diagram", "ERD": "Diagram"}.get(name, name)
        )
    elif name in _MODULES:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module 'datajoint' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
