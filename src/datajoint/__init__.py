"""Relational data pipelines for science in Python.

Import it as ``dj``: ``import datajoint as dj``. Everything but the version is loaded when it is
first used, so that importing the package is instant and touches neither files nor databases.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from . import admin as admin
    from . import blob as blob
    from . import diagram as diagram
    from . import errors as errors
    from . import hash as hash
    from . import migrate as migrate
    from . import settings as settings
    from . import utils as utils
    from .admin import kill as kill
    from .admin import kill_quick as kill_quick
    from .admin import set_password as set_password
    from .attribute_adapter import AttributeAdapter as AttributeAdapter
    from .blob import MatCell as MatCell
    from .blob import MatStruct as MatStruct
    from .condition import AndList as AndList
    from .condition import Not as Not
    from .condition import Top as Top
    from .connection import Connection as Connection
    from .connection import conn as conn
    from .diagram import Diagram as Diagram
    from .errors import DataJointError as DataJointError
    from .expression import U as U
    from .fetch import key as key
    from .garbage import gc as gc
    from .hash import key_hash as key_hash
    from .logging import logger as logger
    from .schemas import Schema as Schema
    from .schemas import VirtualModule as VirtualModule
    from .schemas import create_virtual_module as create_virtual_module
    from .schemas import list_schemas as list_schemas
    from .schemas import progress as progress
    from .settings import Config as Config
    from .settings import config as config
    from .table import FreeTable as FreeTable
    from .table import Table as Table
    from .user_tables import Computed as Computed
    from .user_tables import Imported as Imported
    from .user_tables import Lookup as Lookup
    from .user_tables import Manual as Manual
    from .user_tables import Part as Part

    Di = ERD = Diagram
    schema = Schema

#: Public name → the module that has it, and its name there.
_EXPORTS = {
    "AndList": ("condition", "AndList"),
    "AttributeAdapter": ("attribute_adapter", "AttributeAdapter"),
    "Computed": ("user_tables", "Computed"),
    "Config": ("settings", "Config"),
    "Connection": ("connection", "Connection"),
    "DataJointError": ("errors", "DataJointError"),
    "Diagram": ("diagram", "Diagram"),
    "FreeTable": ("table", "FreeTable"),
    "Imported": ("user_tables", "Imported"),
    "Lookup": ("user_tables", "Lookup"),
    "Manual": ("user_tables", "Manual"),
    "MatCell": ("blob", "MatCell"),
    "MatStruct": ("blob", "MatStruct"),
    "Not": ("condition", "Not"),
    "Part": ("user_tables", "Part"),
    "Schema": ("schemas", "Schema"),
    "Table": ("table", "Table"),
    "Top": ("condition", "Top"),
    "VirtualModule": ("schemas", "VirtualModule"),
    "U": ("expression", "U"),
    "config": ("settings", "config"),
    "conn": ("connection", "conn"),
    "create_virtual_module": ("schemas", "create_virtual_module"),
    "gc": ("garbage", "gc"),
    "key": ("fetch", "key"),
    "kill": ("admin", "kill"),
    "kill_quick": ("admin", "kill_quick"),
    "set_password": ("admin", "set_password"),
    "key_hash": ("hash", "key_hash"),
    "list_schemas": ("schemas", "list_schemas"),
    "logger": ("logging", "logger"),
    "progress": ("schemas", "progress"),
    # other names, which existing pipelines use
    "Di": ("diagram", "Diagram"),
    "ERD": ("diagram", "Diagram"),
    "schema": ("schemas", "Schema"),
}
_MODULES = ("admin", "blob", "diagram", "errors", "hash", "migrate", "settings", "utils")

__all__ = ["__version__", *_EXPORTS, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        module, name_there = _EXPORTS[name]
        value = getattr(import_module(f".{module}", __name__), name_there)
    elif name in _MODULES:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module 'datajoint' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
