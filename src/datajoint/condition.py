"""What users restrict tables by, and how it becomes a condition of the algebra.

Manual 8.6; ``Top`` as in DataJoint 0.14.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .errors import DataJointError
from .grammar import parse_json_path
from .heading import Attribute, Heading
from .logging import logger
from .settings import config
from .sql import algebra
from .sql.algebra import Condition, Relation
from .sql.dialect import Dialect
from .sql.fragment import Fragment, parse_fragment
from .sql.json_path import DOCUMENT, NUMERIC, TEXT, value_type
from .types import AttributeType, Decimal, NotAdmitted, is_nan


class AndList(list[Any]):
    """Conditions that must all hold: ``A & dj.AndList([c1, c2])`` is ``A & c1 & c2``."""

    def append(self, item: Any) -> None:
        """Append a condition; the conditions of another ``AndList`` one by one."""
        if isinstance(item, AndList):
            self.extend(item)
        else:
            super().append(item)


class Not:
    """A condition that must not hold: ``A & dj.Not(cond)`` is ``A - cond``."""

    def __init__(self, restriction: Any) -> None:
        self.restriction = restriction

    def __repr__(self) -> str:
        return f"Not({self.restriction!r})"


@dataclass(frozen=True)
class Top:
    """The first entities in an order.

    Attributes
    ----------
    limit : int or None
        How many entities; None for all, ordered.
    order_by : str or sequence of str
        Attributes, each with ``ASC`` or ``DESC`` where wanted; ``"KEY"`` stands for the primary
        key.
    offset : int
        How many entities to pass over first.
    """

    limit: int | None = 1
    order_by: str | Iterable[str] | None = "KEY"
    offset: int = 0

    def __post_init__(self) -> None:
        if self.offset is None:  # as existing code has it
            object.__setattr__(self, "offset", 0)
        for name in ("limit", "offset"):
            value = getattr(self, name)
            if not (value is None and name == "limit") and not isinstance(value, (int, np.integer)):
                raise TypeError(f"Top: {name} must be an integer, not {value!r}")
            if value is not None and value < 0:
                raise DataJointError(f"Top: {name} cannot be negative ({value})")
            object.__setattr__(self, name, value if value is None else min(int(value), _ALL))
        terms: Any = self.order_by
        if isinstance(terms, str) or terms is None:
            return
        listed = tuple(terms) if isinstance(terms, Iterable) else (terms,)
        wrong = [term for term in listed if not isinstance(term, str)]
        if wrong:
            raise TypeError(f"Top: order_by takes names of attributes, not {wrong[0]!r}")
        object.__setattr__(self, "order_by", listed)


#: More entities than there are; the databases take no larger number.
_ALL = 2**63 - 1


class Queryable:
    """Base of query expressions: what the layers below know of them."""

    @property
    def heading(self) -> Heading:
        raise NotImplementedError

    @property
    def relation(self) -> Relation:
        raise NotImplementedError


class Universal:
    """Base of ``dj.U``, which as a restriction holds for every entity."""


def is_mapping_record(value: Any) -> bool:
    """Tell whether a value is a record of a structured array."""
    return isinstance(value, np.void) and value.dtype.names is not None


def as_expression(value: Any) -> Any:
    """Instantiate a table class; return anything else as it is."""
    return value() if isinstance(value, type) and issubclass(value, Queryable) else value


def as_restriction(value: Any) -> Any:
    """Instantiate a table class, and list what can be iterated over only once."""
    return list(value) if isinstance(value, Iterator) else as_expression(value)


def make_condition(
    heading: Heading,
    condition: Any,
    dialect: Dialect,
    check: Callable[[Any], None] = lambda query: None,
) -> Condition:
    """Turn what a user restricts by into a condition.

    Parameters
    ----------
    heading : Heading
        Of the expression that is restricted.
    condition
        Anything listed in manual 8.6.1.
    dialect : Dialect
        Encodes the values.
    check : callable, optional
        Raises an error for each query in the condition that cannot be matched.

    Returns
    -------
    Condition

    Raises
    ------
    UnknownAttributeError
        When a text refers to an attribute that is not in the heading.
    DataJointError
        When the condition is of another kind, or a value cannot be one of its attribute.
    """
    condition = as_restriction(condition)
    if isinstance(condition, str):
        return _written(heading, condition)
    if isinstance(condition, Not):
        return negate(make_condition(heading, condition.restriction, dialect, check))
    if isinstance(condition, AndList):
        return _all_of(make_condition(heading, part, dialect, check) for part in condition)
    if isinstance(condition, (bool, np.bool_)):
        return algebra.Constant(bool(condition))
    if isinstance(condition, Universal):
        return algebra.Constant(True)
    if isinstance(condition, Mapping):
        return _from_mapping(heading, condition, dialect)
    if is_mapping_record(condition):
        record = {name: condition[name] for name in condition.dtype.names}
        return _from_mapping(heading, record, dialect)
    if isinstance(condition, Queryable):
        check(condition)
        return _matching(heading, condition)
    if isinstance(condition, Top):
        raise DataJointError(
            "dj.Top selects by position and is no condition of single entities; "
            "use it directly, as in `query & dj.Top(5)`"
        )
    if type(condition).__name__ == "DataFrame":
        named_index = any(name is not None for name in condition.index.names)
        condition = condition.to_records(index=named_index) if len(condition) else []
    if isinstance(condition, np.ndarray) and not condition.ndim:  # what it holds, by itself
        return make_condition(heading, condition[()], dialect)
    if isinstance(condition, (Collection, np.ndarray)) and not isinstance(condition, bytes):
        return _any(_alternatives(heading, condition, dialect, check))
    if condition is None or condition is ...:
        raise DataJointError(
            f"A table cannot be restricted by {condition}. True restricts nothing; entities "
            "without a value are selected by {'attribute': None}"
        )
    raise DataJointError(
        f"A table cannot be restricted by {condition!r} of type `{type(condition).__name__}`; use "
        "a string, a mapping, a list of conditions, a table, a query, a boolean, dj.AndList or "
        "dj.Not"
    )


def negate(condition: Condition) -> Condition:
    """Return the complement of a condition: what is false or NULL."""
    if isinstance(condition, algebra.Constant):
        return algebra.Constant(not condition.value)
    if isinstance(condition, algebra.Negation):
        return condition.condition
    return algebra.Negation(condition)


def fragment_of(heading: Heading, text: str, what: str) -> Fragment:
    """Parse a text of the user and check the attributes that it uses.

    Parameters
    ----------
    heading : Heading
    text : str
    what : str
        What the text is for, for the error.

    Raises
    ------
    UnknownAttributeError
        When it uses an attribute that is not in the heading.
    """
    fragment = parse_fragment(text)
    for name in fragment.names:
        if name not in heading:
            raise heading.unknown(name, f" in the {what} {text!r}")
    return fragment


def _written(heading: Heading, text: str) -> Condition:
    if not text.strip():
        raise DataJointError("An empty string is no condition")
    fragment = fragment_of(heading, text, "condition")
    if fragment.aggregates:
        raise DataJointError(
            f"The condition {text!r} aggregates; compute the value with `aggr` and restrict by it"
        )
    return algebra.Written(fragment, heading.types)


def _from_mapping(heading: Heading, mapping: Mapping[str, Any], dialect: Dialect) -> Condition:
    places = _places(heading, mapping)
    conditions = []
    for name, value in mapping.items():
        if name in places:
            conditions.append(_has_value(str(name), places[name], value, dialect))
        elif name in heading:
            conditions.append(_equal(heading, name, value, dialect))
    return _all_of(conditions)


def _places(heading: Heading, names: Iterable[Any]) -> dict[Any, algebra.JsonValue]:
    """Read the keys of a mapping that are paths into documents; report those that are nothing."""
    places = {name: json_place(heading, str(name)) for name in names if name not in heading}
    unknown = [str(name) for name, place in places.items() if place is None]
    if unknown:
        _report_unknown(heading, unknown)
    return {name: place for name, place in places.items() if place is not None}


def _report_unknown(heading: Heading, unknown: list[str]) -> None:
    """Apply the setting ``strict_restrictions`` to the keys of a mapping that are ignored."""
    strictness = config.get("strict_restrictions")
    if strictness:
        error = heading.unknown(unknown[0], " of the table that the mapping restricts")
        if strictness == "error":
            raise error
        logger.warning(str(error))


def _equal(heading: Heading, name: str, value: Any, dialect: Dialect) -> Condition:
    attribute = heading[name]
    if attribute.json and attribute.adapter is None:
        document = algebra.JsonValue(name, (), DOCUMENT)
        return _has_value(name, document, value, dialect)
    value = as_expression(value)
    if isinstance(value, (Queryable, Universal)):
        raise DataJointError(f"Attribute `{name}` cannot be restricted by a query; restrict by it")
    if isinstance(value, _COLLECTIONS) and attribute.adapter is None:
        return _any(_equal(heading, name, member, dialect) for member in value)
    try:
        encoded = _comparand(attribute, value, dialect)
    except NotAdmitted:
        return algebra.Constant(False)
    if attribute.json and encoded is not None:
        return algebra.HasValue(algebra.JsonValue(name, (), DOCUMENT), encoded)
    return _is(attribute, encoded)


def _compared_type(attribute: Attribute) -> AttributeType | None:
    """Return the type of what an attribute is compared with; one that is inferred may be wrong."""
    return attribute.stored_type if attribute.expression is None else None


#: Of these as a value, any member may be the value.
_COLLECTIONS = (list, tuple, set, frozenset)


def _comparand(attribute: Attribute, value: Any, dialect: Dialect) -> Any:
    """Encode what the values of an attribute are compared with; None stands for NULL.

    Raises
    ------
    NotAdmitted
        When the attribute can have no such value.
    DataJointError
        When the two cannot be compared.
    """
    name, type_ = attribute.name, attribute.attribute_type
    if type_ is not None and type_.is_opaque:
        raise DataJointError(
            f"Nothing can be restricted by attribute `{name}` of type `{type_}`: the database "
            "cannot compare its values"
        )
    if value is None or value is np.ma.masked or is_nan(value):
        return None
    if type_ is None:
        return _plain_value(value)
    if type_.category == "integer" and isinstance(value, (float, np.floating)) and value % 1:
        raise NotAdmitted("rounded on insert, but equal to no integer")
    if attribute.expression is not None and type_.category == "decimal":
        return _plain_value(float(value))
    try:
        if attribute.expression is None and not type_.holds(value):
            raise NotAdmitted("changed on insert, and equal to nothing that is stored")
        return dialect.encode(value, type_)
    except NotAdmitted:
        raise
    except DataJointError as error:  # of an adapter
        raise DataJointError(f"Attribute `{name}`: {error}") from error.__cause__
    except ValueError as error:
        if attribute.expression is not None:  # of an inferred type only
            return _plain_value(value)
        raise DataJointError(
            f"Attribute `{name}` of type `{type_}` cannot be compared with {value!r}, which {error}"
        ) from None


# -- documents ------------------------------------------------------------------------------------


def json_place(heading: Heading, text: str) -> algebra.JsonValue | None:
    """Read a path into the documents of a json attribute; None when a text is no such path.

    Parameters
    ----------
    heading : Heading
    text : str
        As ``attribute.key[0].key:type``.

    Raises
    ------
    DataJointError
        When the attribute before the path is not of type json, or the path or the type after it
        is not valid.
    """
    name = _PATH.match(text)
    if name is None or name[1] not in heading:
        return None
    path = parse_json_path(text)
    if not heading[name[1]].json:
        if path is None or any(step in heading for step in path.steps):  # table.attribute
            return None
        documents = [a.name for a in heading.attributes.values() if a.json]
        raise DataJointError(
            f"`{text}` is a path into a document, but `{name[1]}` has type "
            f"`{heading[name[1]].type}`, not json"
            + (f" (of type json: {', '.join(documents)})" if documents else "")
        )
    if path is None:
        raise DataJointError(
            f"`{text}` is no path into the documents of `{name[1]}`: write keys after dots, "
            f"positions in brackets and a type after a colon, as in `{name[1]}.key[0]:unsigned`"
        )
    try:
        return algebra.JsonValue(name[1], path.steps, value_type(path.type))
    except DataJointError as error:
        raise DataJointError(f"`{text}`: {error}") from None


#: An attribute and the beginning of a path into it.
_PATH = re.compile(r"([a-z][a-z0-9_]*)\s*[.:\[]")
#: Up to here, all integers are numbers of double precision as well.
_LARGEST_EXACT = 2**53


def _has_value(text: str, place: algebra.JsonValue, value: Any, dialect: Dialect) -> Condition:
    """Compare the value at a path; without a type, as what it is compared with."""
    if isinstance(as_expression(value), (Queryable, Universal)):
        raise DataJointError(f"`{text}` cannot be restricted by a query")
    if isinstance(value, np.generic):
        value = value.item()
    if place.type is TEXT:
        place = replace(place, type=_type_for(value))
    type_ = place.type
    is_document = type_.category == "json"
    if isinstance(value, (set, frozenset) if is_document else (list, tuple, set, frozenset)):
        return _any(_has_value(text, place, member, dialect) for member in value)
    if value is None or value is np.ma.masked or is_nan(value):
        return algebra.HasValue(place, None)
    if type_.category == "integer" and isinstance(value, float) and value % 1:
        return algebra.Constant(False)
    try:
        if isinstance(type_, Decimal):
            return algebra.HasValue(place, float(type_.encode(value)))
        encoded = type_.encode(value) if is_document else dialect.encode(value, type_)
        return algebra.HasValue(place, encoded)
    except NotAdmitted:
        return algebra.Constant(False)
    except ValueError as error:
        raise DataJointError(f"`{text}` cannot be compared with {value!r}, which {error}") from None


def _type_for(value: Any) -> AttributeType:
    """Choose what the value at a path is converted to, to be compared with another."""
    if value is None or isinstance(value, (bool, dict, list, tuple)) or is_nan(value):
        return DOCUMENT
    if isinstance(value, numbers.Number):
        exact = not isinstance(value, int) or abs(value) <= _LARGEST_EXACT
        return NUMERIC if exact else DOCUMENT
    return TEXT


def _plain_value(value: Any) -> Any:
    """Bring a value for a computed attribute of unknown type into one that a driver takes."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, (str, int, float, bytes)) else str(value)


def _matching(heading: Heading, query: Queryable) -> Condition:
    common = tuple(name for name in heading.names if name in query.heading)
    return algebra.Matching(query.relation, common)


def _all_of(conditions: Iterable[Condition]) -> Condition:
    parts: list[Condition] = []
    for condition in list(conditions):  # all are made, and so checked, whatever the first ones are
        if isinstance(condition, algebra.Constant):
            if not condition.value:
                return condition
        elif isinstance(condition, algebra.AllOf):
            parts += condition.conditions
        else:
            parts.append(condition)
    if len(parts) == 1:
        return parts[0]
    return algebra.AllOf(tuple(parts)) if parts else algebra.Constant(True)


def _any(conditions: Iterable[Condition]) -> Condition:
    parts: list[Condition] = []
    for condition in list(conditions):
        if isinstance(condition, algebra.Constant):
            if condition.value:
                return condition
        else:
            parts.append(condition)
    parts = _gather_equalities(parts)
    if len(parts) == 1:
        return parts[0]
    return algebra.AnyOf(tuple(parts)) if parts else algebra.Constant(False)


def _alternatives(
    heading: Heading, members: Iterable[Any], dialect: Dialect, check: Callable[[Any], None]
) -> Iterator[Condition]:
    """Turn the members of a list into conditions, mappings with the same keys together."""
    alike: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for member in members:
        if is_mapping_record(member):
            names = member.dtype.names
            alike.setdefault(names, []).append(dict(zip(names, member, strict=True)))
        elif isinstance(member, Mapping):
            alike.setdefault(tuple(member), []).append(member)
        else:
            yield make_condition(heading, member, dialect, check)
    for names, mappings in alike.items():
        yield from _from_mappings(heading, names, mappings, dialect)


def _from_mappings(
    heading: Heading, names: tuple[Any, ...], mappings: list[Mapping[str, Any]], dialect: Dialect
) -> Iterator[Condition]:
    """Gather mappings with the same keys into one set of keys, as far as they have plain values.

    A long list of keys then travels as few parameters instead of as thousands of terms.
    """
    known = [heading[name] for name in names if name in heading]
    if len(mappings) == 1 or _places(heading, names) or any(a.json or a.adapter for a in known):
        for mapping in mappings:
            yield _from_mapping(heading, mapping, dialect)
        return
    if not known:
        yield algebra.Constant(True)
        return
    keys: dict[tuple[Any, ...], None] = {}
    for mapping in mappings:
        values = [mapping[attribute.name] for attribute in known]
        if any(isinstance(value, _NOT_PLAIN) for value in values):
            yield _from_mapping(heading, mapping, dialect)
            continue
        try:
            key = tuple(_comparand(a, v, dialect) for a, v in zip(known, values, strict=True))
        except NotAdmitted:
            continue
        if None in key:
            yield _all_of(_is(a, value) for a, value in zip(known, key, strict=True))
        else:
            keys[key] = None
    if len(keys) == 1:
        yield _all_of(map(_is, known, *keys))
    elif keys:
        types = tuple(map(_compared_type, known))
        yield algebra.OneOf(tuple(a.name for a in known), tuple(keys), types)


#: Values of mappings which are no single values.
_NOT_PLAIN = (*_COLLECTIONS, type, Queryable, Universal)


def _is(attribute: Attribute, encoded: Any) -> Condition:
    return algebra.Equal(attribute.name, _compared_type(attribute), encoded)


def _gather_equalities(conditions: list[Condition]) -> list[Condition]:
    """Gather what one attribute may be equal to into one set of values."""
    groups: dict[str, list[algebra.Equal]] = {}
    others = []
    for condition in conditions:
        if isinstance(condition, algebra.Equal) and condition.value is not None:
            groups.setdefault(condition.attribute, []).append(condition)
        else:
            others.append(condition)
    sets: list[Condition] = []
    for name, members in groups.items():
        values = dict.fromkeys((member.value,) for member in members)
        one = members[0]
        sets.append(one if len(values) == 1 else algebra.OneOf((name,), (*values,), (one.type,)))
    return sets + others


_TERM = re.compile(r"(?P<by>.+?)(?:\s+(?P<direction>asc|desc))?", re.IGNORECASE | re.DOTALL)


def make_order(
    heading: Heading, order_by: str | Iterable[str] | None
) -> tuple[algebra.Ordering, ...]:
    """Turn what a user orders by into the terms of an order.

    Parameters
    ----------
    heading : Heading
    order_by : str or iterable of str, optional
        Terms, also several in one string between commas: an attribute, ``KEY`` or an expression,
        each with ``ASC`` or ``DESC`` where wanted.

    Raises
    ------
    UnknownAttributeError
        When a term uses an attribute that is not in the heading.
    """
    if order_by is None:
        return ()
    texts = [order_by] if isinstance(order_by, str) else list(order_by)
    terms: list[algebra.Ordering] = []
    for text in (part.strip() for whole in texts for part in _split_at_commas(whole)):
        match = _TERM.fullmatch(text)
        if match is None:
            raise DataJointError(f"order_by: {text!r} names nothing to order by")
        by, descending = match["by"].strip("`"), (match["direction"] or "").lower() == "desc"
        if by == "KEY" and by not in heading:
            terms += [_by_attribute(heading, name, descending) for name in heading.primary_key]
        elif by in heading:
            terms.append(_by_attribute(heading, by, descending))
        elif place := json_place(heading, by):
            terms.append(algebra.Ordering(place, descending))
        else:
            fragment = fragment_of(heading, match["by"], "order")
            if fragment.aggregates:
                raise DataJointError(
                    f"The order {text!r} aggregates; compute the value with `aggr` and order by it"
                )
            terms.append(algebra.Ordering(algebra.Computed(fragment, heading.types), descending))
    return tuple(terms)


def _by_attribute(heading: Heading, name: str, descending: bool) -> algebra.Ordering:
    return algebra.Ordering(name, descending, heading[name].nullable)


def _split_at_commas(text: str) -> list[str]:
    """Split at the commas outside parentheses and quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for i, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"`":
            quote = character
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "," and not depth:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]
