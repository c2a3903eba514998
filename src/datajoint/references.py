"""Finding the tables that the names in definitions mean.

Names are looked up, never evaluated: dotted paths through modules, classes and their attributes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from .attribute_adapter import adapt, adapter_in
from .connection import Connection
from .declare import TableName, TableSpec
from .errors import DataJointError, MissingTableError
from .expression import QueryExpression
from .grammar import Reference
from .types import Adapted
from .utils import did_you_mean

#: Name → what it means in the code around a table class.
Context = Mapping[str, Any]


class Names(Mapping[str, Any]):
    """What names mean in the code around a class, and stay meaning as that goes on.

    Other processes, to which the class may be sent, get none of it.

    Parameters
    ----------
    known : mapping
    """

    def __init__(self, known: Context = MappingProxyType({})) -> None:
        self._known = known

    def __getitem__(self, name: str) -> Any:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __reduce__(self) -> Any:
        return Names, ()


def find_table(
    reference: Reference, context: Context, connection: Connection, declaring: TableName
) -> TableSpec | None:
    """Find the table that a foreign key refers to.

    Parameters
    ----------
    reference : Reference
    context : mapping
    connection : Connection
    declaring : TableName
        The table whose definition refers to it.

    Returns
    -------
    TableSpec or None
        None when it is the table that is being declared.

    Raises
    ------
    DataJointError
        When a name means nothing, or no table.
    """
    if reference.literal:
        literal = TableName(*reference.path)
        if literal == declaring:
            return None
        return adapted_spec(connection, connection.table(literal))
    found: Any = context
    for i, name in enumerate(reference.path):
        try:
            found = found[name] if i == 0 else _attribute(found, name)
        except (AttributeError, KeyError):
            before = ".".join(reference.path[:i])
            known = context if i == 0 else dir(found)
            raise DataJointError(
                f"`{name}` is not defined{f' in `{before}`' if before else ' here'}"
                f"{did_you_mean(name, known)}"
            ) from None
    if inspect.isclass(found) and getattr(found, "_connection", found) is None:
        raise DataJointError(
            f"The class `{found.__name__}` has no table yet: declare it, with a schema as its "
            "decorator, before the tables that refer to it (tables cannot refer to each other in a "
            "circle)"
        )
    table: Any = found() if inspect.isclass(found) else found
    if isinstance(table, Mapping) or not hasattr(table, "full_table_name"):
        query = isinstance(table, QueryExpression)
        hint = "; attributes are renamed in the definition, as in `-> Table.proj(new='old')`"
        raise DataJointError(f"`{reference}` is {'a query and ' * query}no table{hint * query}")
    if table.restriction:
        raise DataJointError(f"`{reference}` is restricted: a foreign key refers to all of a table")
    if table.connection is not connection:
        raise DataJointError(f"`{reference}` is a table of another connection")
    if table.name == declaring:
        return None
    if not table.is_declared:
        raise MissingTableError(
            f"Table {table.name} is not declared: declare it before the tables that refer to it "
            "(tables cannot refer to each other in a circle)"
        )
    spec: TableSpec = table.spec
    return spec


def _attribute(owner: Any, name: str) -> Any:
    """Get an attribute of a module, class or object; of a class, also what its properties give."""
    value = getattr(owner, name)
    return getattr(owner(), name) if isinstance(value, property) else value


def adapted_spec(
    connection: Connection, spec: TableSpec, context: Context = MappingProxyType({})
) -> TableSpec:
    """Give the adapted types of a table their adapters, so far as they are known.

    Parameters
    ----------
    connection : Connection
    spec : TableSpec
    context : mapping
        The code around the class of the table, if it has one.
    """
    if not spec.heading.has_adapters:
        return spec
    attributes = tuple(
        replace(a, attribute_type=_adapted(connection, spec, a.name, a.attribute_type, context))
        if isinstance(a.attribute_type, Adapted)
        else a
        for a in spec.heading.all_attributes
    )
    return replace(spec, heading=replace(spec.heading, all_attributes=attributes))


def _adapted(
    connection: Connection, spec: TableSpec, name: str, type_: Adapted, context: Context
) -> Adapted:
    """Find the adapter of an attribute: that of a parent where it comes from one."""
    for foreign_key in spec.foreign_keys:
        source = dict(foreign_key.attributes).get(name)
        if source is not None and (foreign_key.parent, source) != (spec.name, name):
            parent = connection.table(foreign_key.parent)
            inherited = parent.heading.attributes[source].attribute_type
            if isinstance(inherited, Adapted):
                found = _adapted(connection, parent, source, inherited, {})
                if found.adapter is not None:
                    return found
    place = (spec.name.schema, spec.name.table, name)
    if type_.name not in context and place in connection.adapted:
        return connection.adapted[place]
    adapted = adapt(type_, partial(adapter_in, context))
    if type_.name in context:
        connection.adapted[place] = adapted
    return adapted


def class_names(context: Context) -> dict[str, str]:
    """Name the tables for which a context has classes: full table name → name of the class.

    Of several names, the shortest way counts, and then the nearest, which comes last.
    """
    names: dict[str, str] = {}
    for name, full_name in _tables_in(context):
        if name.count(".") <= names.get(full_name, name).count("."):
            names[full_name] = name
    return names


def _tables_in(context: Context, prefix: str = "") -> Iterator[tuple[str, str]]:
    value: Any
    for name, value in list(context.items()):
        if name.startswith("_"):
            continue
        if inspect.ismodule(value) and not prefix and getattr(value, "schema", None) is not None:
            yield from _tables_in(vars(value), f"{name}.")
        elif is_table_class(value):
            yield f"{prefix}{name}", value().full_table_name
            for member, part in parts_of(value).items():
                if is_table_class(part):
                    yield f"{prefix}{name}.{member}", part().full_table_name


def parts_of(class_: type) -> dict[str, Any]:
    """Find the part classes inside the class of a master, by name, in the order of definition.

    Other tables can be members too, and parts of other masters, for foreign keys to refer to.
    """
    parts: dict[str, Any] = {}
    for name, value in vars(class_).items():
        if inspect.isclass(value) and getattr(value, "tier", None) == "part":
            master = vars(value).get("_master", class_)
            # A class that is defined again, as in a notebook, takes over the parts it had.
            if (
                master is not None
                and _where(master) == _where(class_)
                and value not in parts.values()
            ):
                parts[name] = value
    return parts


def _where(class_: type) -> tuple[str, str]:
    return class_.__module__, class_.__qualname__


def is_table_class(value: Any) -> bool:
    """Tell whether a value is a class that stands for a table of the database."""
    return (
        inspect.isclass(value)
        and getattr(value, "_connection", None) is not None
        and getattr(value, "database", None) is not None
    )
