"""The relational algebra as immutable values: expressions and conditions without any SQL.

A query expression of the user is a tree of these nodes, each of which refers to attributes by
name. :mod:`datajoint.sql.select` writes such a tree as one statement of a dialect.

Manual 8.5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..types import AttributeType
from .fragment import Fragment

Types = Mapping[str, "AttributeType | None"]

# -- conditions -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Constant:
    """True or false for every entity."""

    value: bool


@dataclass(frozen=True)
class Written:
    """A condition written by the user as SQL."""

    fragment: Fragment
    types: Types


@dataclass(frozen=True)
class Equal:
    """An attribute has a value; None stands for NULL."""

    attribute: str
    type: AttributeType | None
    value: Any


@dataclass(frozen=True)
class HasValue:
    """A place in the documents of a json attribute has a value; None stands for NULL.

    A document, where the type is json, is given as its text.
    """

    place: JsonValue
    value: Any


@dataclass(frozen=True)
class OneOf:
    """Several attributes jointly have one of several combinations of values, none of them NULL.

    Attributes
    ----------
    attributes : tuple of str
    rows : tuple of tuple
        Encoded values.
    types : tuple of (AttributeType or None)
        The types of the attributes; None where one is not known.
    """

    attributes: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    types: tuple[AttributeType | None, ...]


@dataclass(frozen=True)
class Matching:
    """A matching entity exists in another relation; in some attributes, NULL matches NULL."""

    relation: Relation
    attributes: tuple[str, ...]
    nullable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class AllOf:
    """All of the conditions hold."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one of the conditions holds."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Negation:
    """The condition does not hold: it is false, or NULL."""

    condition: Condition


Condition = Constant | Written | Equal | HasValue | OneOf | Matching | AllOf | AnyOf | Negation


def attributes_of(condition: Condition) -> frozenset[str]:
    """Collect the attributes that a condition refers to."""
    if isinstance(condition, Written):
        return frozenset(condition.fragment.names)
    if isinstance(condition, Equal):
        return frozenset([condition.attribute])
    if isinstance(condition, HasValue):
        return frozenset([condition.place.attribute])
    if isinstance(condition, (OneOf, Matching)):
        return frozenset(condition.attributes)
    if isinstance(condition, (AllOf, AnyOf)):
        return frozenset[str]().union(*map(attributes_of, condition.conditions))
    if isinstance(condition, Negation):
        return attributes_of(condition.condition)
    return frozenset()


def _simple(condition: Condition) -> Iterator[Condition]:
    """List the conditions that a condition is composed of."""
    if isinstance(condition, (AllOf, AnyOf)):
        for part in condition.conditions:
            yield from _simple(part)
    elif isinstance(condition, Negation):
        yield from _simple(condition.condition)
    else:
        yield condition


def refers_to_relations(condition: Condition) -> bool:
    """Tell whether a condition depends on the contents of any relation."""
    return any(isinstance(part, Matching) for part in _simple(condition))


def is_lasting(condition: Condition) -> bool:
    """Tell whether a condition depends on the entity only: on no relation, time or chance."""
    return not refers_to_relations(condition) and all(
        part.fragment.lasting for part in _simple(condition) if isinstance(part, Written)
    )


# -- relations ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """A table of the database.

    Attributes
    ----------
    schema, name : str
    attributes : tuple of str
    indexed : frozenset of str
        The attributes with which an index begins.
    """

    schema: str
    name: str
    attributes: tuple[str, ...]
    indexed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Listing:
    """What a query in the database's own SQL lists, such as its sessions."""

    query: str
    attributes: tuple[str, ...]


@dataclass(frozen=True)
class Restriction:
    """The entities that meet a condition."""

    source: Relation
    condition: Condition


@dataclass(frozen=True)
class Computed:
    """An attribute computed by an expression that the user wrote."""

    fragment: Fragment
    types: Types


@dataclass(frozen=True)
class JsonValue:
    """The value at a place in the documents of a json attribute.

    Attributes
    ----------
    attribute : str
    steps : tuple of (str or int)
        Keys of objects and positions in arrays; none for the document itself.
    type : AttributeType
        What the value is converted to; where it cannot be, there is no value.
    """

    attribute: str
    steps: tuple[str | int, ...]
    type: AttributeType


#: An attribute of a projection: the name of one of the source, or a computation.
Column = str | Computed | JsonValue


@dataclass(frozen=True)
class Projection:
    """Attributes selected, renamed and computed. The entities stay the same.

    Attributes
    ----------
    source : Relation
    columns
        The attributes of the result.
    universal : frozenset of str
        Those of a universal set, which match any of the same name.
    """

    source: Relation
    columns: tuple[tuple[str, Column], ...]
    universal: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Distinct:
    """The distinct combinations of some attributes: a universal set restricted by a relation."""

    source: Relation
    attributes: tuple[str, ...]


@dataclass(frozen=True)
class Join:
    """The matching pairs of entities.

    Attributes
    ----------
    left, right : Relation
    on : tuple of str
        The attributes that match.
    outer : bool
        Whether the entities of the left without a match are kept.
    nullable : frozenset of str
        Those in which NULL matches NULL.
    """

    left: Relation
    right: Relation
    on: tuple[str, ...]
    outer: bool = False
    nullable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Aggregation:
    """Attributes computed for each group of a relation.

    Attributes
    ----------
    source : Relation
        What is grouped: for ``A.aggr(B, …)``, the join of A and B.
    by : tuple of str
        The attributes that identify a group.
    given : frozenset of str
        The attributes that have one value in each group: those of A.
    columns
        The attributes of the result.
    universal : bool
        Whether no entities form a group too, where nothing identifies a group: for ``dj.U()``.
    """

    source: Relation
    by: tuple[str, ...]
    given: frozenset[str]
    columns: tuple[tuple[str, Column], ...]
    universal: bool = False


@dataclass(frozen=True)
class Union_:
    """All entities of both operands, matched by key; missing attributes are NULL.

    Attributes
    ----------
    left, right : Relation
    key : tuple of str
    left_attributes, right_attributes : tuple of str
        The secondary ones.
    types : mapping
    nullable : frozenset of str
        What of the key may be NULL in both operands; there, NULL is a value as any other.
    """

    left: Relation
    right: Relation
    key: tuple[str, ...]
    left_attributes: tuple[str, ...]
    right_attributes: tuple[str, ...]
    types: Types
    nullable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Ordering:
    """One term of an order.

    Attributes
    ----------
    by : Column
    descending : bool
    nullable : bool
        Whether there can be NULL among the values.
    """

    by: Column
    descending: bool = False
    nullable: bool = True


@dataclass(frozen=True)
class Slice:
    """The first entities in an order; ``limit`` None means all of them."""

    source: Relation
    order: tuple[Ordering, ...]
    limit: int | None = None
    offset: int = 0


Relation = (
    Stored | Listing | Restriction | Projection | Distinct | Join | Aggregation | Union_ | Slice
)


def unrestricted(relation: Relation) -> tuple[Relation, tuple[Condition, ...]]:
    """Divide a relation into what it restricts and the conditions, in the order they were given."""
    conditions: list[Condition] = []
    while isinstance(relation, Restriction):
        conditions.append(relation.condition)
        relation = relation.source
    return relation, tuple(reversed(conditions))
