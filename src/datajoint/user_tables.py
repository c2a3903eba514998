"""The classes that users derive their tables from, one for each tier.

Manual 5.2, 5.5 and 9.3; storage formats 1.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

from .autopopulate import AutoPopulate
from .changes import Changeable
from .connection import Connection
from .declare import TableSpec
from .errors import DataJointError
from .expression import QueryExpression
from .provenance import code_of
from .references import Names, parts_of
from .retrieval import Fetchable
from .table import Table
from .utils import from_camel_case

_Table = TypeVar("_Table", bound="UserTable")
_BASE = r"[a-z][a-z0-9]*(?:_[a-z][a-z0-9]*)*"

#: What users define, and may call as functions of a class.
_OF_USERS = {"definition", "database", "declaration_context", "key_source", "transient_errors"}
_OF_USERS |= {"make", "make_fetch", "make_compute", "make_insert"}
#: What a class answers as its instances do.
_INSTANCE_MEMBERS = (
    frozenset(
        name
        for class_ in (Fetchable, QueryExpression, Changeable, Table, AutoPopulate)
        for name in vars(class_)
        if not name.startswith("_") or name in ("_repr_html_", "_update")
    )
    - _OF_USERS
)


class TableMeta(type):
    """Makes every method of a table callable on its class: there is only one such table."""

    def __getattribute__(cls, name: str) -> Any:
        if name in _INSTANCE_MEMBERS and type.__getattribute__(cls, "_is_bound")():
            return getattr(cls(), name)
        return super().__getattribute__(name)

    def _is_bound(cls) -> bool:
        """Whether the class stands for a table: tiers do not."""
        return cls.__module__ != __name__ and cls.__module__ != "datajoint.table"

    @property
    def key_source(cls) -> Any:
        return cls().key_source

    def __and__(cls: type[_Table], other: Any) -> _Table:  # type: ignore[misc]
        return cls().restrict(other)

    def __xor__(cls, other: Any) -> Any:
        return cls() ^ other

    def __sub__(cls, other: Any) -> Any:
        return cls() - other

    def __neg__(cls) -> Any:
        return -cls()

    __invert__ = __neg__

    def __mul__(cls, other: Any) -> Any:
        return cls() * other

    def __matmul__(cls, other: Any) -> Any:
        return cls() @ other

    def __add__(cls, other: Any) -> Any:
        return cls() + other

    def __iter__(cls) -> Iterator[dict[str, Any]]:
        return iter(cls())

    def __len__(cls) -> int:
        return len(cls())

    def __bool__(cls) -> bool:
        # Code that only tests whether there is a class must not meet the database.
        return True if getattr(cls, "_connection", None) is None else bool(cls())

    def __contains__(cls, item: Any) -> bool:
        return item in cls()


class UserTable(Table, metaclass=TableMeta):
    """A table with a class: the class of its tier, and the definition.

    Attributes
    ----------
    tier : str
        ``manual``, ``lookup``, ``imported`` or ``computed``.
    """

    tier: ClassVar[str] = ""
    _prefix: ClassVar[str] = ""
    #: Matches the names of the tables of the tier.
    tier_regexp: ClassVar[str] = ""

    @property
    def table_name(self) -> str:
        return self._prefix + from_camel_case(type(self).__name__)

    def _with_parts(self) -> list[Table]:
        class_ = type(self)
        bind(class_, self.connection, self.name.schema)  # parts may have been added to the class
        parts = parts_of(class_).values()
        for part in parts:
            if part.declaration_context is None:
                around = {**(class_.declaration_context or {}), **vars(class_)}
                part.declaration_context = Names({**around, "master": class_, "self": part})
        return [self, *(part() for part in parts)]


class Manual(UserTable):
    """Base of tables whose entities are entered from outside the pipeline (manual 5.11)."""

    tier = "manual"
    tier_regexp = rf"(?P<manual>{_BASE})"


class Lookup(UserTable):
    """Base of tables with general facts, often listed in ``contents`` (manual 5.12)."""

    tier = "lookup"
    _prefix = "#"
    tier_regexp = rf"(?P<lookup>#{_BASE})"

    #: The entities that the table is filled with when it is declared.
    contents: Any = None


class Imported(UserTable, AutoPopulate):
    """Base of tables that are filled from data outside the pipeline (manual 9.1)."""

    tier = "imported"
    _prefix = "_"
    tier_regexp = rf"(?P<imported>_{_BASE})"
    _allow_insert = False


class Computed(UserTable, AutoPopulate):
    """Base of tables that are computed from other tables (manual 9.1)."""

    tier = "computed"
    _prefix = "__"
    tier_regexp = rf"(?P<computed>__{_BASE})"
    _allow_insert = False


class _MasterClass:
    """The attribute ``master`` of part tables."""

    def __get__(self, table: Part | None, class_: type[Part]) -> type[UserTable] | None:
        return class_._master


class Part(UserTable):
    """Base of part tables, which are classes inside the class of their master (manual 9.3)."""

    tier = "part"
    tier_regexp = rf"(?P<master>{_BASE}|#{_BASE}|_{_BASE}|__{_BASE})__(?P<part>{_BASE})"

    _master: ClassVar[type[UserTable] | None] = None

    #: The class of the master, asked of the class or of an instance; None before it is decorated.
    master = _MasterClass()

    @property
    def table_name(self) -> str:
        if self._master is None:
            raise DataJointError(
                f"The part table `{type(self).__name__}` has no master: define its class inside "
                "the class of the master, and decorate that with the schema"
            )
        return f"{self._master().table_name}__{from_camel_case(type(self).__name__)}"

    def _check_declaration(self, spec: TableSpec) -> None:
        assert self._master is not None
        master = self._master().table_name
        parents = {fk.parent.table for fk in spec.foreign_keys if fk.parent.schema == self.database}
        if not any(name == master or name.startswith(f"{master}__") for name in parents):
            raise DataJointError(
                f"The part table {self.name} must refer to its master: add the line `-> master` "
                "to its definition"
            )

    def delete(  # type: ignore[override]
        self, force: bool = False, **kwargs: Any
    ) -> int | dict[str, int]:
        """Delete parts without their masters, which needs ``force=True`` (manual 7.3.2).

        Parameters
        ----------
        force : bool
            The same as ``force_parts=True``.
        **kwargs
            As for the delete of any table; ``force_masters=True`` deletes the masters too.

        Raises
        ------
        DataJointError
            Without any of these: parts are deleted with their masters.
        """
        force = bool(force or kwargs.pop("force_parts", False))
        if not (force or kwargs.get("force_masters")):
            raise DataJointError(
                f"Entities of the part table {self.name} are deleted with their masters: delete "
                "from the master, or set force=True to delete parts alone, or force_masters=True "
                "to delete the masters too"
            )
        return super().delete(force_parts=force, **kwargs)

    def drop(self, force: bool = False) -> None:
        """Drop the part table without its master, which needs ``force=True`` (manual 5.13.1).

        Raises
        ------
        DataJointError
            Without ``force``: a part is dropped with its master.
        """
        if not force:
            raise DataJointError(
                f"The part table {self.name} is dropped with its master: drop the master, or set "
                "force=True to drop the part alone"
            )
        self._drop(allow_parts=True)


#: In the order in which the name of a table is tried.
TIERS: tuple[type[UserTable], ...] = (Manual, Lookup, Computed, Imported, Part)


def tier_of(table_name: str) -> type[UserTable] | None:
    """Tell the tier of a table by its name; None when it is no table of a user."""
    return next((tier for tier in TIERS if re.fullmatch(tier.tier_regexp, table_name)), None)


def bind(class_: type[UserTable], connection: Connection, database: str) -> None:
    """Connect a class, and those of its parts, with a schema."""
    class_._connection = connection
    class_.database = database
    if issubclass(class_, AutoPopulate) and class_._keeps_provenance():
        code_of(class_)  # while the file is as it was read
    for part in parts_of(class_).values():
        part._master = class_
        part._connection = connection
        part.database = database
