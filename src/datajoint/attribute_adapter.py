"""Attribute types of the user's own: adapters, and where they are found by name.

``<graph>`` in a definition is the type that the adapter ``graph`` makes of another type. It is
looked for in the code around the class of the table, among the adapters that registered a name, and
among those that installed packages provide as entry points of the group ``datajoint.adapters``.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from .errors import DataJointError
from .grammar import parse_type
from .types import Adapted, Adapter, AttributeType

ENTRY_POINTS = "datajoint.adapters"

_registered: dict[str, Adapter] = {}


class AttributeAdapter(ABC):
    """Base of the adapters of attribute types.

    An instance, under the name that stands between the angle brackets, is defined where the class
    of the table is. A class that gives its name serves everywhere once it is imported::

        class GraphAdapter(dj.AttributeAdapter, name="graph"):
            attribute_type = "longblob"

            def put(self, obj):
                return list(obj.edges)

            def get(self, value):
                return networkx.Graph(value)

    Attributes
    ----------
    attribute_type : str
        The type of what is stored, as in a definition; it may be an adapted type too.
    """

    def __init_subclass__(cls, name: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name is not None:
            _registered[name] = _checked(cls, name)

    @property
    @abstractmethod
    def attribute_type(self) -> str:
        """The type of what is stored."""

    @abstractmethod
    def put(self, obj: Any) -> Any:
        """Make what is stored of the user's object."""

    @abstractmethod
    def get(self, value: Any) -> Any:
        """Make the user's object of what is stored."""


#: Finds the adapter of a name; None where it has none.
Find = Callable[[str], "Adapter | None"]


def adapt(type_: Adapted, find: Find) -> Adapted:
    """Give an adapted type its adapter, and so on down to the type that is stored.

    Parameters
    ----------
    type_ : Adapted
    find : callable
        Where to look first.

    Returns
    -------
    Adapted
        The same as was given when there is no such adapter.

    Raises
    ------
    DataJointError
        When the type of an adapter is wrong, or adapters go round in a circle.
    """
    return _adapt(type_, find, ())


def require(type_: AttributeType) -> None:
    """Check that an adapted type has its adapter, and so on down to the type that is stored.

    Raises
    ------
    DataJointError
        Names the adapter that is not known.
    """
    while isinstance(type_, Adapted):
        if type_.adapter is None or type_.inner is None:
            raise type_.unknown
        type_ = type_.inner


def _adapt(type_: Adapted, find: Find, seen: tuple[str, ...]) -> Adapted:
    if type_.name in seen:
        circle = " → ".join(f"<{name}>" for name in (*seen, type_.name))
        raise DataJointError(f"The adapter `{type_.text}` adapts itself: {circle}")
    adapter = find(type_.name) or _registered.get(type_.name) or _provided(type_.name)
    if adapter is None:
        return type_
    try:
        text = adapter.attribute_type
    except Exception as error:
        raise DataJointError(
            f"The adapter `{type_.text}` does not tell its attribute_type "
            f"({type(error).__name__}: {error})"
        ) from error
    if not isinstance(text, str):
        raise DataJointError(
            f"The attribute_type of the adapter `{type_.text}` must be the text of a type, not "
            f"{text!r}"
        )
    try:
        inner: AttributeType = parse_type(text)
    except DataJointError as error:
        raise DataJointError(
            f"The adapter `{type_.text}` has a wrong attribute_type. {error}"
        ) from None
    if isinstance(inner, Adapted):
        inner = _adapt(inner, find, (*seen, type_.name))
    return replace(type_, inner=inner, adapter=adapter)


def adapter_in(context: Mapping[str, Any], name: str) -> Adapter | None:
    """Find the adapter of a name in the code around a class; None where there is none.

    Raises
    ------
    DataJointError
        When the name means something else.
    """
    return _checked(context[name], name) if name in context else None


def _checked(value: Any, name: str) -> Adapter:
    if inspect.isclass(value) and issubclass(value, AttributeAdapter):
        try:
            value = value()
        except TypeError as error:  # it lacks a method, or takes arguments
            raise DataJointError(f"The adapter `{name}` cannot be made: {error}") from error
    missing = [member for member in ("attribute_type", "put", "get") if not hasattr(value, member)]
    if missing:
        raise DataJointError(
            f"`{name}` is {value!r}, which is no adapter of an attribute type: it lacks "
            f"{', '.join(missing)}. Derive its class from dj.AttributeAdapter"
        )
    adapter: Adapter = value
    return adapter


@cache
def _provided(name: str) -> Adapter | None:
    """Find the adapter of a name among those of installed packages."""
    for entry_point in entry_points(group=ENTRY_POINTS, name=name):
        try:
            provided = entry_point.load()
        except (AttributeError, ImportError) as error:
            raise DataJointError(
                f"The adapter `{name}`, which an installed package provides as "
                f"`{entry_point.value}`, cannot be loaded: {error}"
            ) from error
        return _checked(provided, name)
    return None
