"""Headings: the attributes of tables and of query expressions.

Headings are immutable; every operator makes a new one. Manual 5.3, 5.9.2 and 8.1.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import UnknownAttributeError
from .types import Adapted, Adapter, AttributeType, External
from .utils import did_you_mean


@dataclass(frozen=True)
class Attribute:
    """An attribute of a heading.

    Attributes
    ----------
    name : str
    attribute_type : AttributeType or None
        None for a computed attribute whose type is not known.
    in_key : bool
        Whether it belongs to the primary key.
    nullable : bool
    default : str or None
        As in a definition: ``null``, a number, a quoted string or ``CURRENT_TIMESTAMP``; None
        when a value must be given.
    comment : str
    autoincrement : bool
    expression : str or None
        What computes it, as the user wrote it; None for a stored attribute.
    """

    name: str
    attribute_type: AttributeType | None
    in_key: bool = False
    nullable: bool = False
    default: str | None = None
    comment: str = ""
    autoincrement: bool = False
    expression: str | None = None

    @property
    def type(self) -> str:
        """The type as written in the definition; ``<computed>`` for a computed attribute."""
        if self.expression is not None or self.attribute_type is None:
            return "<computed>"
        return self.attribute_type.text

    @property
    def is_blob(self) -> bool:
        return self.attribute_type is not None and self.attribute_type.is_blob

    @property
    def is_attachment(self) -> bool:
        return self._stored("attachment") or self._external("attach")

    @property
    def is_filepath(self) -> bool:
        return self._external("filepath")

    @property
    def is_external(self) -> bool:
        return self._stored("external")

    @property
    def store(self) -> str | None:
        """The store that has the values; None when the table has them."""
        return self.stored_type.store if isinstance(self.stored_type, External) else None

    @property
    def json(self) -> bool:
        return self._stored("json")

    @property
    def adapter(self) -> Adapter | None:
        """What makes the values that users see of those that are stored; None for most types."""
        return self.attribute_type.adapter if isinstance(self.attribute_type, Adapted) else None

    @property
    def stored_type(self) -> AttributeType | None:
        """The type of what the database has."""
        return None if self.attribute_type is None else self.attribute_type.stored

    def _stored(self, category: str) -> bool:
        return self.attribute_type is not None and self.attribute_type.stored.category == category

    def _external(self, kind: str) -> bool:
        return isinstance(self.stored_type, External) and self.stored_type.kind == kind

    @property
    def numeric(self) -> bool:
        return self.attribute_type is not None and self.attribute_type.numeric

    @property
    def string(self) -> bool:
        return self.attribute_type is not None and (
            self.attribute_type.is_string or self.attribute_type.temporal
        )

    @property
    def uuid(self) -> bool:
        return self._stored("uuid")

    @property
    def dtype(self) -> str:
        """The NumPy dtype of fetched values.

        Integers that may be NULL are objects, as computed values are, whose type may be another.
        """
        if self.attribute_type is None or self.expression is not None:
            return "O"
        dtype = self.attribute_type.numpy_dtype
        return "O" if self.nullable and dtype == "int64" else dtype

    @property
    def is_hidden(self) -> bool:
        return self.name.startswith("_")

    def as_reference(self, name: str, in_key: bool, nullable: bool) -> Attribute:
        """Make the attribute of a child that refers to this one."""
        default = self.default if self.is_hidden else "null" if nullable else None
        return replace(
            self,
            name=name,
            in_key=in_key,
            nullable=nullable,
            default=default,
            autoincrement=False,
        )

    def as_definition(self) -> str:
        """Write the line of a definition that declares the attribute."""
        default = "" if self.default is None else f"={self.default}"
        type_ = self.type + (" auto_increment" if self.autoincrement else "")
        comment = f" # {self.comment}" if self.comment else ""
        return f"{self.name + default:<20} : {type_:<28}{comment}".rstrip()


@dataclass(frozen=True)
class Index:
    """A secondary index of a table.

    Attributes
    ----------
    attributes : tuple of str
        Names, and paths into json attributes as definitions have them.
    unique : bool
    """

    attributes: tuple[str, ...]
    unique: bool = False


@dataclass(frozen=True)
class Heading:
    """The attributes of a table or query expression, in order, the primary key among them.

    Attributes
    ----------
    all_attributes : tuple of Attribute
        Hidden ones included.
    comment : str
        The comment of the table.
    secondary_indexes : tuple of Index
    of_table : bool
        Whether attributes can be hidden; an operator hides none of those that it makes.
    """

    all_attributes: tuple[Attribute, ...] = ()
    comment: str = ""
    secondary_indexes: tuple[Index, ...] = field(default=(), compare=False)
    of_table: bool = True

    @cached_property
    def attributes(self) -> Mapping[str, Attribute]:
        """The visible attributes by name."""
        return {a.name: a for a in self.all_attributes if not (a.is_hidden and self.of_table)}

    @cached_property
    def names(self) -> list[str]:
        return list(self.attributes)

    @cached_property
    def primary_key(self) -> list[str]:
        return [name for name, attribute in self.attributes.items() if attribute.in_key]

    @cached_property
    def stored_key(self) -> list[str]:
        """The primary key as the database has it: hidden attributes follow, if there are any."""
        hidden = [a.name for a in self.all_attributes if a.in_key and a.is_hidden]
        return [*self.primary_key, *hidden]

    @cached_property
    def secondary_attributes(self) -> list[str]:
        return [name for name, attribute in self.attributes.items() if not attribute.in_key]

    @cached_property
    def stored_rest(self) -> list[str]:
        """The attributes outside of the primary key, with hidden ones."""
        return [a.name for a in self.all_attributes if not a.in_key]

    @cached_property
    def has_adapters(self) -> bool:
        """Whether any attribute has a type of the user's own."""
        return any(isinstance(a.attribute_type, Adapted) for a in self.all_attributes)

    @property
    def blobs(self) -> list[str]:
        return [name for name, attribute in self.attributes.items() if attribute.is_blob]

    @property
    def non_blobs(self) -> list[str]:
        return [name for name, attribute in self.attributes.items() if not attribute.is_blob]

    @cached_property
    def types(self) -> dict[str, AttributeType | None]:
        """The types of what the database has, by attribute."""
        return {name: attribute.stored_type for name, attribute in self.attributes.items()}

    def types_of(self, names: Iterable[str]) -> tuple[AttributeType | None, ...]:
        """Return the types of attributes, as far as they are visible, in this order."""
        return tuple(self.types.get(name) for name in names)

    @property
    def table_status(self) -> dict[str, Any]:
        return {"comment": self.comment}

    table_info = table_status

    @property
    def indexes(self) -> dict[tuple[str, ...], dict[str, Any]]:
        """The secondary indexes: their attributes → ``unique`` and ``nullable``."""
        return {
            index.attributes: {
                "unique": index.unique,
                "nullable": any(
                    self.attributes[name].nullable
                    for name in index.attributes
                    if name in self.attributes
                ),
            }
            for index in self.secondary_indexes
        }

    def as_sql(self, fields: Iterable[str], include_aliases: bool = True) -> str:
        """List attributes between backquotes, as they stand after SELECT in MySQL and SQLite.

        Parameters
        ----------
        fields : iterable of str
        include_aliases : bool
            Kept for existing code: ``from_clause`` of a query has computed attributes by name.
        """
        return ",".join(f"`{self[name].name}`" for name in fields)

    @property
    def as_dtype(self) -> npt.DTypeLike:
        """The NumPy dtype of a structured array of the entities."""
        return np.dtype([(name, a.dtype) for name, a in self.attributes.items()])

    def __len__(self) -> int:
        return len(self.attributes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.attributes)

    def __contains__(self, name: object) -> bool:
        return name in self.attributes

    def __getitem__(self, name: str) -> Attribute:
        try:
            return self.attributes[name]
        except KeyError:
            raise self.unknown(name) from None

    def unknown(self, name: str, where: str = "") -> UnknownAttributeError:
        """Make the error for a name that is no attribute."""
        known = ", ".join(self.names) or "none"
        return UnknownAttributeError(
            f"`{name}` is not an attribute{where}{did_you_mean(name, self.names)}"
            f" (the attributes are: {known})"
        )

    def __repr__(self) -> str:
        """Print as in manual 5.9.2: a definition without foreign keys."""
        lines = [f"# {self.comment}"] if self.comment else []
        lines += [a.as_definition() for a in self.attributes.values() if a.in_key]
        lines.append("---")
        lines += [a.as_definition() for a in self.attributes.values() if not a.in_key]
        return "\n".join(lines)

    # -- what operators make of headings ----------------------------------------------------------

    def derived(self, attributes: Iterable[Attribute]) -> Heading:
        """Make the heading of an expression: no table comment, no indexes."""
        return Heading(tuple(attributes), of_table=False)

    def joined(self, other: Heading, *, outer: bool = False) -> Heading:
        """Make the heading of a join: the keys first, then the secondary attributes.

        Parameters
        ----------
        other : Heading
        outer : bool
            Whether the attributes of ``other`` may be missing.
        """
        own, others = self.attributes, other.attributes
        key = self.primary_key + [
            name for name in other.primary_key if name not in self.primary_key
        ]
        rest = [name for name in self.names if name not in key]
        rest += [name for name in other.names if name not in key and name not in rest]
        joined = []
        for name in key + rest:
            attribute = own.get(name) or others[name]
            if outer and name not in own:
                attribute = replace(attribute, nullable=True)
            joined.append(replace(attribute, in_key=name in key))
        return self.derived(joined)
