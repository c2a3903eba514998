"""The relational algebra of manual chapter 8 in plain Python: what the package is compared with.

It shares no code with the package, and it is written to be evident, not to be fast: a relation is a
list of entities, and each operator looks at every pair of them. Texts compare without regard to
case, so that the values of texts are lower case here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

Row = dict[str, Any]
Truth = bool | None
Test = Callable[[Row], bool]


class Refused(Exception):
    """The operator is an error."""


@dataclass(frozen=True)
class Relation:
    """A set of entities.

    Attributes
    ----------
    names : tuple of str
        The attributes in order.
    key : tuple of str
        Those of the primary key, in order.
    rows : tuple of dict
        The entities; in their order, where they have one.
    kinds : mapping
        Attribute → ``int``, ``real``, ``mean`` (a real number that is rounded), ``text``, ``date``.
    """

    names: tuple[str, ...]
    key: tuple[str, ...]
    rows: tuple[Row, ...]
    kinds: Mapping[str, str]

    @property
    def secondary(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name not in self.key)

    def require(self, names: Iterable[str]) -> None:
        """Refuse names that are no attributes."""
        if not set(names) <= set(self.names):
            raise Refused(f"{names} in {self.names}")


# -- the logic of three values --------------------------------------------------------------------

_COMPARISONS = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compare(sign: str, left: Any, right: Any) -> Truth:
    return None if left is None or right is None else bool(_COMPARISONS[sign](left, right))


def negation(truth: Truth) -> Truth:
    return None if truth is None else not truth


def both(left: Truth, right: Truth) -> Truth:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def either(left: Truth, right: Truth) -> Truth:
    return negation(both(negation(left), negation(right)))


def between(value: Any, low: Any, high: Any) -> Truth:
    return both(compare(">=", value, low), compare("<=", value, high))


def member(value: Any, values: Iterable[Any]) -> Truth:
    truth: Truth = False
    for other in values:
        truth = either(truth, compare("=", value, other))
    return truth


# -- what is computed -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Scalar:
    """A value computed for an entity and, in ``aggr``, the entities that match it.

    Attributes
    ----------
    kind : str
    bare : frozenset of str
        The attributes used outside of aggregating functions.
    used : frozenset of str
        All attributes used.
    value : callable
        Of the entity and of those aggregated.
    """

    kind: str
    bare: frozenset[str]
    used: frozenset[str]
    value: Callable[[Row, Sequence[Row]], Any]


def aggregate(function: str, values: Iterable[Any]) -> Any:
    """Aggregate values: those that are missing do not count."""
    present = [value for value in values if value is not None]
    if function == "count":
        return len(present)
    if function == "count distinct":
        return len(set(present))
    if not present:
        return None
    if function in ("min", "max"):
        return min(present) if function == "min" else max(present)
    total = sum(map(Fraction, present))
    return total if function == "sum" else total / len(present)


# -- matching -------------------------------------------------------------------------------------


def match(left: Row, right: Row) -> bool:
    """Tell whether entities match (8.5.2); a missing value matches nothing."""
    return all(left[n] is not None and left[n] == right[n] for n in left.keys() & right.keys())


def check_compatible(left: Relation, right: Relation) -> None:
    """Refuse an attribute that is secondary in both (8.5.3)."""
    if set(left.secondary) & set(right.secondary):
        raise Refused("an attribute is secondary in both")


# -- operators ------------------------------------------------------------------------------------


def restrict(relation: Relation, test: Test) -> Relation:
    """Keep the entities that pass a test (8.6)."""
    rows = tuple(row for row in relation.rows if test(row))
    return Relation(relation.names, relation.key, rows, relation.kinds)


def join(left: Relation, right: Relation, *, outer: bool = False, checked: bool = True) -> Relation:
    """Combine the entities that match (8.7); ``outer`` keeps those of the left without a match."""
    if checked:
        check_compatible(left, right)
    key = left.key + tuple(name for name in right.key if name not in left.key)
    rest = tuple(dict.fromkeys(n for n in left.names + right.names if n not in key))
    missing = dict.fromkeys(right.names)
    rows = []
    for row in left.rows:
        matches = [other for other in right.rows if match(row, other)]
        rows += [{**other, **row} for other in matches or ([missing] if outer else [])]
    return Relation(key + rest, key, tuple(rows), {**right.kinds, **left.kinds})


def proj(
    relation: Relation, attributes: Sequence[Any], named: Mapping[str, str | Scalar]
) -> Relation:
    """Select, rename and compute attributes (8.8)."""
    return _computed(relation, attributes, named, relation.names, [(r, ()) for r in relation.rows])


def aggr(
    left: Relation,
    group: Relation,
    attributes: Sequence[Any],
    named: Mapping[str, str | Scalar],
    *,
    keep: bool = False,
) -> Relation:
    """Compute attributes from the matching entities of another relation (8.9)."""
    check_compatible(left, group)
    missing = dict.fromkeys(group.names)
    groups = []
    for row in left.rows:
        members = [{**other, **row} for other in group.rows if match(row, other)]
        if members or keep:
            groups.append((row, members or [{**missing, **row}]))
    return _computed(left, attributes, named, left.names + group.names, groups)


def _computed(
    relation: Relation,
    attributes: Sequence[Any],
    named: Mapping[str, str | Scalar],
    known: tuple[str, ...],
    groups: Iterable[tuple[Row, Sequence[Row]]],
) -> Relation:
    """Make what ``proj`` and ``aggr`` have in common: each entity with those that match it."""
    dropped = {a[1:] for a in attributes if a is not ... and a.startswith("-")}
    given = {a for a in attributes if a is not ... and not a.startswith("-")} - dropped
    relation.require(dropped | given)
    if dropped & set(relation.key):
        raise Refused("the primary key cannot be left out")
    implied = set(relation.names if ... in attributes else relation.key) - dropped
    new_names: dict[str, list[str]] = {}
    for new, old in named.items():
        if isinstance(old, str):
            relation.require([old])
            new_names.setdefault(old, []).append(new)
    columns: list[tuple[str, str]] = []
    for name in relation.names:
        renamed = new_names.get(name, [])
        if name in given or (name in implied and not renamed):
            columns.append((name, name))
        columns += [(new, name) for new in renamed]
    scalars = {new: what for new, what in named.items() if isinstance(what, Scalar)}
    for scalar in scalars.values():
        if not scalar.used <= set(known) or not scalar.bare <= set(relation.names):
            raise Refused("an attribute that is unknown, or has many values")
    names = tuple(new for new, _ in columns) + tuple(scalars)
    if len(set(names)) < len(names):
        raise Refused("two attributes of one name")
    rows = tuple(
        {new: row[old] for new, old in columns}
        | {new: scalar.value(row, members) for new, scalar in scalars.items()}
        for row, members in groups
    )
    kinds = {new: relation.kinds[old] for new, old in columns}
    kinds |= {new: scalar.kind for new, scalar in scalars.items()}
    return Relation(names, tuple(n for n, old in columns if old in relation.key), rows, kinds)


def unite(left: Relation, right: Relation) -> Relation:
    """Take the entities of both, matched by primary key (8.10)."""
    if set(left.key) != set(right.key):
        raise Refused("different primary keys")
    if set(left.secondary) & set(right.secondary):
        raise Refused("shared secondary attributes")
    names = left.key + left.secondary + right.secondary
    rows: dict[tuple[Any, ...], Row] = {}
    for row in left.rows + right.rows:
        identity = tuple(row[name] for name in left.key)
        rows.setdefault(identity, dict.fromkeys(names)).update(row)
    return Relation(names, left.key, tuple(rows.values()), {**left.kinds, **right.kinds})


def top(
    relation: Relation, limit: int | None, order: Sequence[tuple[str, bool]], offset: int
) -> Relation:
    """Take the first entities in an order of attributes, each descending or not; NULL is least."""
    relation.require(name for name, _ in order)
    rows = list(relation.rows)
    for name, descending in reversed(order):
        rows.sort(key=lambda r: () if r[name] is None else (r[name],), reverse=descending)
    rows = rows[offset:] if limit is None else rows[offset : offset + limit]
    return Relation(relation.names, relation.key, tuple(rows), relation.kinds)


# -- universal sets (8.11) ------------------------------------------------------------------------


def distinct(names: Sequence[str], relation: Relation) -> Relation:
    """Restrict the universal set of some attributes by a relation."""
    relation.require(names)
    found = dict.fromkeys(tuple(row[name] for name in names) for row in relation.rows)
    rows = tuple(dict(zip(names, values, strict=True)) for values in found)
    kinds = {name: relation.kinds[name] for name in names}
    return Relation(tuple(names), tuple(names), rows, kinds)


def make_primary(names: Sequence[str], relation: Relation) -> Relation:
    """Join a universal set with a relation."""
    relation.require(names)
    key = tuple(dict.fromkeys((*relation.key, *names)))
    rest = tuple(name for name in relation.names if name not in key)
    return Relation(key + rest, key, relation.rows, relation.kinds)


def aggr_universal(
    names: Sequence[str], relation: Relation, named: Mapping[str, str | Scalar]
) -> Relation:
    """Aggregate a relation for each combination of values; all of it, if there are no names."""
    own = distinct(names, relation)
    rows = own.rows if names else ({},)
    groups = [
        (row, [r for r in relation.rows if all(r[name] == row[name] for name in names)])
        for row in rows
    ]
    return _computed(own, (), named, relation.names, groups)
