"""Projections: which attributes are selected, renamed and computed.

Manual 8.8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import EllipsisType

from .condition import fragment_of, json_place
from .errors import DataJointError
from .heading import Attribute, Heading
from .sql import algebra
from .types import AttributeType

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def project(
    heading: Heading,
    namespace: Heading,
    attributes: Iterable[str | EllipsisType],
    named: Mapping[str, str],
) -> tuple[tuple[tuple[str, algebra.Column], ...], Heading]:
    """Work out the columns and the heading of a projection.

    Parameters
    ----------
    heading : Heading
        Whose attributes are selected and renamed.
    namespace : Heading
        The attributes that computations may use.
    attributes, named
        As given to ``proj``.

    Returns
    -------
    columns : tuple
        Attribute of the result → attribute of the source, or computation.
    heading : Heading
        Of the result: attributes keep their places, and computed ones come last.
    """
    selected = _selected(heading, attributes)
    renamed: dict[str, list[str]] = {}
    computed: dict[str, str] = {}
    for new, text in named.items():
        if not isinstance(text, str):
            raise DataJointError(
                f"`{new}` must be given an attribute or an expression as a string, not {text!r}"
            )
        if not _NAME.fullmatch(new):
            raise DataJointError(f"`{new}` is no valid name for an attribute")
        old = text.strip().strip("`")
        if old in heading:
            renamed.setdefault(old, []).append(new)
        else:
            computed[new] = text
    columns: list[tuple[str, algebra.Column]] = []
    result: list[Attribute] = []
    for name, attribute in heading.attributes.items():
        new_names = renamed.get(name, [])
        if name in selected.given or (name in selected.implied and not new_names):
            new_names = [name, *(new for new in new_names if new != name)]
        for new in new_names:
            columns.append((new, name))
            result.append(replace(attribute, name=new))
    for new, text in computed.items():
        column, type_ = _computed(namespace, new, text)
        columns.append((new, column))
        result.append(
            Attribute(new, type_, nullable=True, comment="calculated attribute", expression=text)
        )
    names = [name for name, _ in columns]
    for name in names:
        if names.count(name) > 1:
            raise DataJointError(
                f"Two attributes of the projection would be named `{name}`; choose another name"
            )
    return tuple(columns), heading.derived(result)


def _computed(
    namespace: Heading, new: str, text: str
) -> tuple[algebra.Column, AttributeType | None]:
    """Make the column of a computation, which may be a path into a document, and its type."""
    place = json_place(namespace, text.strip())
    if place is not None:
        return place, place.type
    fragment = fragment_of(namespace, text, f"computation of `{new}` by")
    return algebra.Computed(fragment, namespace.types), fragment.result_type(namespace.types)


class _Selected:
    """The attributes that a projection selects by name, and those that come along."""

    def __init__(self, given: set[str], implied: set[str]) -> None:
        self.given, self.implied = given, implied


def _selected(heading: Heading, attributes: Iterable[str | EllipsisType]) -> _Selected:
    given: set[str] = set()
    implied = set(heading.primary_key)
    excluded: set[str] = set()
    for attribute in attributes:
        if attribute is ...:
            implied |= set(heading.names)
        elif not isinstance(attribute, str):
            raise DataJointError(f"`proj` takes names of attributes, not {attribute!r}")
        elif attribute.startswith("-"):
            excluded.add(heading[attribute[1:].strip()].name)
        else:
            given.add(heading[attribute.strip("`")].name)
    for name in excluded & set(heading.primary_key):
        raise DataJointError(f"`{name}` cannot be left out: it is in the primary key")
    return _Selected(given - excluded, implied - excluded)
