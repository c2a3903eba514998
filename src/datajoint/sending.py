"""How a class of tables reaches another process, with the settings and the connection it needs.

A class of a module that can be imported goes by its name; any other — of a script, a notebook, a
function — with its code. What is sent can be read by whoever can read what goes between the
processes, and has the password of the database.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any
from uuid import uuid4

from .connection import Connection
from .errors import DataJointError
from .logging import ensure_handler, logger
from .settings import config
from .table import Table

#: This process, for those that may be this one; one that was forked from it has the same name.
_PROCESS = uuid4().hex
_packing = threading.Lock()


class _ThisProcessError(DataJointError):
    """What was sent to another process is opened in the same one."""


@dataclass(frozen=True)
class _Parcel:
    """What is sent; its contents are opened when the process is ready for them."""

    sender: tuple[str, int]
    path: tuple[str, ...]
    settings: bytes
    connection: bytes
    contents: bytes
    table: tuple[str, str]
    homes: tuple[str, ...]
    schemas: tuple[tuple[str, str, str], ...]


# -- here -----------------------------------------------------------------------------------------


def pack(table: Table, **extra: Any) -> bytes:
    """Make bytes by which another process has the class of a table.

    Parameters
    ----------
    table : Table
        An instance of the class, on the connection that other processes are to open as well.
    **extra
        Other values that go with it.

    Returns
    -------
    bytes
        With the password of the database, if it has one.

    Raises
    ------
    DataJointError
        When the class, its connection or a value cannot be sent; says why.
    """
    class_, connection = type(table), table.connection
    connection.elsewhere()  # raises what says why it cannot be opened
    name = f"the class `{class_.__qualname__}`"
    parcel = _Parcel(
        sender=(_PROCESS, os.getpid()),
        path=tuple(map(os.path.abspath, sys.path)),
        settings=_dump(dict(config), "the settings, dj.config,"),
        connection=_dump(connection, f"the connection of {name}"),
        contents=_dump((class_, extra), name),
        table=(table.name.schema, table.name.table),
        homes=tuple(_homes(class_, connection)),
        schemas=tuple(_activations(connection)),
    )
    return pickle.dumps(parcel)


def _dump(value: Any, name: str) -> bytes:
    file = io.BytesIO()
    try:
        with _packing, _sender(file) as pickler:
            pickler.dump(value)
    except DataJointError:
        raise
    except Exception as error:  # objects raise whatever they like
        raise DataJointError(
            f"Cannot send {name} to another process: {type(error).__name__}: {error}. What a "
            "class of a script or a notebook uses is sent with it; move the class, and what it "
            "uses, into a module, which other processes import"
        ) from error
    return file.getvalue()


@contextmanager
def _sender(file: io.BytesIO) -> Iterator[Any]:
    """Give a pickler that sends by name only what others can import."""
    import cloudpickle

    by_value: list[ModuleType] = []

    class Sender(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, (type, FunctionType)):
                module = sys.modules.get(value.__module__ or "")
                if (
                    module is not None
                    and module.__name__ == value.__module__
                    and module.__name__ not in cloudpickle.list_registry_pickle_by_value()
                    and not is_importable(module)
                ):
                    cloudpickle.register_pickle_by_value(module)
                    by_value.append(module)
            return super().reducer_override(value)

    try:
        yield Sender(file)
    finally:
        for module in by_value:
            cloudpickle.unregister_pickle_by_value(module)


def is_importable(module: ModuleType) -> bool:
    """Tell whether a new process that looks for a module by its name finds the same one."""
    if module.__name__ == "__main__":
        return False
    if module.__spec__ is not None and module.__spec__.origin in ("built-in", "frozen"):
        return True
    return _found_at(module.__name__, getattr(module, "__file__", None), tuple(sys.path))


@cache
def _found_at(name: str, file: str | None, path: tuple[str, ...]) -> bool:
    folders: list[str] | None = None
    spec: ModuleSpec | None = None
    parts = name.split(".")
    for i in range(len(parts)):
        spec = _find(".".join(parts[: i + 1]), folders)
        if spec is None:
            return False
        folders = list(spec.submodule_search_locations or ())
    origin = None if spec is None else spec.origin
    if origin is None or file is None:
        return origin == file
    return os.path.realpath(origin) == os.path.realpath(file)


def _find(name: str, folders: list[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = None if find is None else find(name, folders)
        if spec is not None:
            return spec
    return None


def _homes(class_: type, connection: Connection) -> Iterator[str]:
    """Name the modules that use the one of a class, which may be what connects it with a schema."""
    module = sys.modules.get(class_.__module__)
    if module is None or not is_importable(module):
        return
    schemas = [value for value in vars(module).values() if _is_schema(value, connection)]
    for name, other in list(sys.modules.items()):
        if other is module or name.startswith(f"{__package__}."):
            continue
        known = {id(value) for value in list(getattr(other, "__dict__", {}).values())}
        if known.isdisjoint(map(id, [module, *schemas])):
            continue
        if name == other.__name__ and is_importable(other):
            yield name


def _activations(connection: Connection) -> Iterator[tuple[str, str, str]]:
    """Tell which variable of which module is the schema of which name."""
    for name, module in list(sys.modules.items()):
        for variable, value in list(getattr(module, "__dict__", {}).items()):
            if name != "__main__" and _is_schema(value, connection):
                yield name, variable, value.database


def _is_schema(value: Any, connection: Connection) -> bool:
    return any(value is schema for schema in connection.schemas.values())


# -- there ----------------------------------------------------------------------------------------


def unpack(data: bytes) -> tuple[Table, dict[str, Any]]:
    """Open in another process what :func:`pack` made, and connect with the database.

    Returns
    -------
    table : Table
    extra : dict

    Raises
    ------
    DataJointError
        When a module is missing, or the class has another table here; in the process that sent it.
    """
    parcel: _Parcel = pickle.loads(data)
    if parcel.sender == (_PROCESS, os.getpid()):
        raise _ThisProcessError(
            "The executor runs its tasks in this very process, in threads: they would share the "
            "connection and its transactions. Use an executor of processes, such as loky, "
            "ProcessPoolExecutor, or a Dask cluster with processes=True"
        )
    sys.path.extend(folder for folder in parcel.path if folder not in sys.path)
    _apply(pickle.loads(parcel.settings))
    with _quietly():
        connection: Connection = pickle.loads(parcel.connection)
        class_, extra = _open(parcel.contents)
        schema, name = parcel.table
        for home in parcel.homes:
            if class_.database is None:
                _import(home)
        for module, variable, database in parcel.schemas:
            here = getattr(sys.modules.get(module), variable, None)
            if here is not None and not here.is_activated():
                here.activate(database, connection=connection)
    table: Table = class_()
    if (table.name.schema, table.name.table) != (schema, name) or not (
        table.connection is connection or table.connection.has_database_of(connection)
    ):
        raise DataJointError(
            f"The class `{class_.__qualname__}` of module `{class_.__module__}` is that of table "
            f"{table.name} here ({table.connection!r}), and of `{schema}`.`{name}` in the process "
            f"that populates it ({connection!r}). Does the module connect it, always to the same?"
        )
    return table, extra


def _apply(settings: Mapping[str, Any]) -> None:
    """Take over the settings of the sender, all of them."""
    for name, value in settings.items():
        if name not in config or config[name] != value:
            config[name] = value


@contextmanager
def _quietly() -> Iterator[None]:
    """Do not tell of each process what it is connected to."""
    ensure_handler(config["loglevel"])
    level = logger.level
    logger.setLevel(max(level, 30))
    try:
        yield
    finally:
        logger.setLevel(level)


def _open(contents: bytes) -> Any:
    try:
        return pickle.loads(contents)
    except (ImportError, AttributeError) as error:
        raise _missing(error) from error


def _import(name: str) -> None:
    try:
        import_module(name)
    except ImportError as error:
        raise _missing(error) from error


def _missing(error: Exception) -> DataJointError:
    return DataJointError(
        f"This process cannot find what it was sent by name: {type(error).__name__}: {error}. "
        "Install the module for the workers, in the same version, or put it where they look for "
        "modules (PYTHONPATH)"
    )
