"""Where attributes come from: the tables that declare them, through foreign keys and operators.

Two attributes of the same name are homologous when they come from the same attribute of the same
table. Manual 8.5.3, 8.11 and 8.13.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce

from .declare import TableName, TableSpec
from .sql import algebra
from .sql.algebra import Relation


@dataclass(frozen=True)
class Origin:
    """The attribute, and its table, in which the values of an attribute are entered."""

    table: TableName
    attribute: str


#: All the origins of an attribute: several foreign keys can share it. A computed one has none. None
#: stands for an attribute of a universal set, which matches any.
Origins = frozenset[Origin] | None
#: Gives the specification of a table; None when it cannot be read.
Lookup = Callable[[TableName], TableSpec | None]
_NOWHERE: frozenset[Origin] = frozenset()


def lineage(relation: Relation, names: Iterable[str], lookup: Lookup) -> dict[str, Origins]:
    """Find where attributes of a relation come from.

    Parameters
    ----------
    relation : Relation
    names : iterable of str
        Attributes of the relation.
    lookup : callable
        Gives the specification of a table, whatever its schema.

    Returns
    -------
    dict
        The origins of each attribute.
    """
    return {name: _origins(relation, name, lookup) for name in names}


def are_homologous(left: Origins, right: Origins) -> bool:
    """Tell whether two attributes have an origin in common, or one of them matches any."""
    return left is None or right is None or not left.isdisjoint(right)


def holders(relation: Relation, name: str) -> Iterator[Origin]:
    """List the tables from which the values of an attribute are read, each with its attribute.

    There are several where a union has it from both operands, and none where it is computed.
    """
    if isinstance(relation, algebra.Stored):
        yield Origin(TableName(relation.schema, relation.name), name)
    elif isinstance(relation, (algebra.Join, algebra.Union_)):
        on = relation.on if isinstance(relation, algebra.Join) else ()
        for operand in (relation.left, relation.right):
            if name in _attributes(operand):
                yield from holders(operand, name)
                if name in on:
                    break
    elif isinstance(relation, (algebra.Projection, algebra.Aggregation)):
        column = dict(relation.columns)[name]
        if isinstance(column, str):
            yield from holders(relation.source, column)
    elif not isinstance(relation, algebra.Listing):
        yield from holders(relation.source, name)


def _origins(relation: Relation, name: str, lookup: Lookup) -> Origins:
    if isinstance(relation, algebra.Stored):
        return _stored(TableName(relation.schema, relation.name), name, lookup)
    if isinstance(relation, (algebra.Restriction, algebra.Slice)):
        return _origins(relation.source, name, lookup)
    if isinstance(relation, algebra.Projection) and name in relation.universal:
        return None
    if isinstance(relation, algebra.Aggregation) and relation.universal and name in relation.by:
        return None
    if isinstance(relation, (algebra.Projection, algebra.Aggregation)):
        column = dict(relation.columns)[name]
        return _origins(relation.source, column, lookup) if isinstance(column, str) else _NOWHERE
    if isinstance(relation, algebra.Distinct):
        return None
    if isinstance(relation, algebra.Join):
        return _joined(relation, name, lookup)
    if isinstance(relation, algebra.Union_):
        return _united(relation, name, lookup)
    return _NOWHERE


def _joined(relation: algebra.Join, name: str, lookup: Lookup) -> Origins:
    """Find the origins in a join: a value that both operands have comes from those of both."""
    if name not in _attributes(relation.left):
        return _origins(relation.right, name, lookup)
    left = _origins(relation.left, name, lookup)
    if name not in relation.on or relation.outer:
        return left
    right = _origins(relation.right, name, lookup)
    if left is None or right is None:
        return right if left is None else left
    return left | right


def _united(relation: algebra.Union_, name: str, lookup: Lookup) -> Origins:
    """Find the origins in a union, where a value comes from one operand or the other."""
    if name in relation.left_attributes:
        return _origins(relation.left, name, lookup)
    if name in relation.right_attributes:
        return _origins(relation.right, name, lookup)
    left = _origins(relation.left, name, lookup)
    right = _origins(relation.right, name, lookup)
    if left is None or right is None:
        return right if left is None else left
    return left & right


def _attributes(relation: Relation) -> frozenset[str]:
    """Name the attributes of a relation."""
    if isinstance(relation, (algebra.Stored, algebra.Listing, algebra.Distinct)):
        return frozenset(relation.attributes)
    if isinstance(relation, (algebra.Projection, algebra.Aggregation)):
        return frozenset(name for name, _ in relation.columns)
    if isinstance(relation, algebra.Join):
        return _attributes(relation.left) | _attributes(relation.right)
    if isinstance(relation, algebra.Union_):
        return frozenset((*relation.key, *relation.left_attributes, *relation.right_attributes))
    return _attributes(relation.source)


def _stored(
    table: TableName, name: str, lookup: Lookup, passed: frozenset[Origin] = frozenset()
) -> frozenset[Origin]:
    """Follow the foreign keys of a table to where an attribute is declared first."""
    own = Origin(table, name)
    spec = lookup(table)
    parents = [
        Origin(foreign_key.parent, parent)
        for foreign_key in (spec.foreign_keys if spec else ())
        for child, parent in foreign_key.attributes
        if child == name
    ]
    passed |= {own}  # tables can refer to themselves, and to each other
    found = [_stored(p.table, p.attribute, lookup, passed) for p in parents if p not in passed]
    return reduce(frozenset.union, found) if found else frozenset((own,))
