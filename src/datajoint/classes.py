"""Classes for tables that exist: their names, and classes made from the database.

Manual 6.1; storage formats 1.2.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from types import new_class
from typing import Any

from .autopopulate import AutoPopulate
from .connection import Connection
from .declare import TableName
from .logging import logger
from .references import Names, is_table_class, parts_of
from .user_tables import Part, UserTable, bind, tier_of
from .utils import to_camel_case

# -- names ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClassNames:
    """The classes that the tables of a schema have.

    Attributes
    ----------
    paths : dict
        Table name → name of its class; for a part, those of its master and of itself.
    others : dict
        Table name → why it can have no class.
    """

    paths: Mapping[str, tuple[str, ...]]
    others: Mapping[str, str]


def name_classes(tables: Iterable[str]) -> ClassNames:
    """Name the classes of the tables of a schema.

    Parameters
    ----------
    tables : iterable of str
        The names of all tables. Where two would have the same class, the first one by the
        alphabet gets it.
    """
    paths: dict[str, tuple[str, ...]] = {}
    others: dict[str, str] = {}
    owners: dict[tuple[str, ...], str] = {}
    for table in sorted(tables):  # masters before their parts
        path, reason = _class_path(table, paths)
        if path in owners:
            reason = f"its class would be `{'.'.join(path)}`, as that of `{owners[path]}`"
        if reason:
            others[table] = reason
        else:
            paths[table] = path
            owners[path] = table
    return ClassNames(paths, others)


def _class_path(
    table: str, known: Mapping[str, tuple[str, ...]]
) -> tuple[tuple[str, ...], str | None]:
    """Name the class of a table, and say why it can have none if so."""
    tier = tier_of(table)
    if tier is None:
        return (), "its name is that of no class"
    match = re.fullmatch(tier.tier_regexp, table)
    assert match is not None  # the tier was told by it
    if tier is not Part:
        path: tuple[str, ...] = (to_camel_case(table),)
    elif match["master"] in known:
        path = (*known[match["master"]], to_camel_case(match["part"]))
    else:
        return (), f"its name is that of a part of `{match['master']}`, which has no class"
    if keyword.iskeyword(path[-1]):
        return path, f"`{path[-1]}` means something else in Python"
    return path, None


# -- classes made from the database ---------------------------------------------------------------


class _WrittenDefinition:
    """The attribute ``definition`` of a class whose table exists: read from the database."""

    def __get__(self, table: UserTable | None, class_: type[UserTable]) -> str:
        return class_().describe(class_.declaration_context or {})


class _Spawned:
    """What classes made from the database have in common."""

    definition = _WrittenDefinition()


class _SpawnedWithoutMake(_Spawned, AutoPopulate):
    """What the database does not know of a computed table is how it is computed."""

    def populate(self, *restrictions: Any, **kwargs: Any) -> dict[str, Any]:
        if type(self).make is AutoPopulate.make and not hasattr(self, "_make_tuples"):
            raise NotImplementedError(
                f"The class `{type(self).__name__}` was made from the table {self.name}, which "
                "does not tell how it is computed: populate it with the class that has its `make`"
            )
        return super().populate(*restrictions, **kwargs)


def spawn_classes(
    connection: Connection,
    database: str,
    tables: Iterable[str],
    context: MutableMapping[str, Any],
    around: Mapping[str, Any] | None = None,
) -> None:
    """Make a class for each table that has none in a context, and put it there.

    Parameters
    ----------
    connection : Connection
    database : str
        The schema.
    tables : iterable of str
        The names of its tables.
    context : mapping
        Where the classes are put; parts are put into the classes of their masters.
    around : mapping, optional
        More names, whose classes count as well.
    """
    names = name_classes(tables)
    for table, reason in names.others.items():
        _log_without_class(TableName(database, table), reason)
    known = {**(around or {}), **context}
    classes = _classes_in(known, connection, database)
    for table, path in names.paths.items():
        if table in classes:
            continue
        master = None if len(path) == 1 else classes.get(table[: table.rindex("__")])
        if len(path) > 1 and master is None:
            continue  # as is said of its master
        home = context if master is None else vars(master)
        if path[-1] in home:
            logger.warning(
                "Table %s has no class: `%s` means something else here. Rename that, or give "
                "another context, as in `dj.VirtualModule`",
                TableName(database, table),
                ".".join(path),
            )
            continue
        module = known.get("__name__", "__main__")
        class_ = classes[table] = _make_class(table, path, context, module)
        if master is None:
            context[path[-1]] = class_
            bind(class_, connection, database)
        else:
            setattr(master, path[-1], class_)
            bind(master, connection, database)


def _log_without_class(name: TableName, reason: str) -> None:
    logger.info(
        "Table %s gets no class: %s. It is reached as dj.FreeTable(dj.conn(), '%s')",
        name,
        reason,
        name,
    )


def _classes_in(
    context: Mapping[str, Any], connection: Connection, database: str
) -> dict[str, type[UserTable]]:
    """Find the classes in a context that stand for tables of a schema, by table name."""
    masters = [
        value
        for name, value in context.items()
        if not name.startswith("_") and is_table_class(value) and issubclass(value, UserTable)
    ]
    parts = [part for master in masters for part in parts_of(master).values()]
    return {
        class_().table_name: class_
        for class_ in (*parts, *masters)
        if class_._connection is connection and class_.database == database
    }


def _make_class(
    table: str, path: tuple[str, ...], context: MutableMapping[str, Any], module: str
) -> type[UserTable]:
    tier = tier_of(table)
    assert tier is not None  # it has a path
    mixin = _SpawnedWithoutMake if issubclass(tier, AutoPopulate) else _Spawned
    attributes = {
        "__module__": module,
        "__qualname__": ".".join(path),
        "declaration_context": Names(context),
    }
    class_: type[UserTable] = new_class(
        path[-1], (mixin, tier), None, lambda n: n.update(attributes)
    )
    return class_
