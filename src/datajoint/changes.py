"""What users do to the entities of a table: insert, update and delete.

Manual 7.1 to 7.4.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from .cascade import delete_rows, own_condition
from .condition import Top, as_expression
from .declare import TableName, TableSpec
from .deleting import delete
from .errors import DataJointError
from .expression import QueryExpression
from .inserting import CHUNK, insert, insert_query
from .settings import config
from .updating import update_one
from .validation import Validation, validate


class Changeable(QueryExpression):
    """Base of tables: their entities can be changed, those of other expressions cannot."""

    #: Whether the table may be inserted into outside of ``make``.
    _allow_insert = True

    @property
    def name(self) -> TableName:
        raise NotImplementedError

    @property
    def spec(self) -> TableSpec:
        raise NotImplementedError

    # -- insert ---------------------------------------------------------------------------------

    def insert1(self, row: Any, **kwargs: Any) -> None:
        """Insert one entity.

        Parameters
        ----------
        row : mapping, record or sequence
            A sequence has a value for each attribute, in the order of the heading.
        **kwargs
            As for :meth:`insert`.
        """
        self.insert((row,), **kwargs)

    def insert(
        self,
        rows: Any,
        replace: bool = False,
        skip_duplicates: bool = False,
        ignore_extra_fields: bool = False,
        allow_direct_insert: bool | None = None,
        *,
        chunk_size: int = CHUNK,
        progress: bool = False,
    ) -> None:
        """Insert entities, all of them or none.

        Parameters
        ----------
        rows
            An iterable of mappings, records or sequences; a structured array; a data frame of
            pandas or polars, or a table of Arrow; the ``pathlib.Path`` of a CSV file with a
            header; or a query, whose result is inserted without leaving the database, or is
            fetched where it is of another one.
        replace : bool
            Replace entities whose primary keys exist; what refers to them stays.
        skip_duplicates : bool
            Pass over entities whose primary keys exist.
        ignore_extra_fields : bool
            Pass over fields that are no attributes instead of refusing them.
        allow_direct_insert : bool, optional
            Allow inserts into an auto-populated table outside of its ``make``.
        chunk_size : int
            How many rows are taken from ``rows`` and sent at once; no more are held. Without
            effect on an insert inside the database.
        progress : bool
            Whether to show a progress bar; without effect on an insert inside the database.

        Raises
        ------
        DataJointError
            Names the row, the attribute and the value that are refused; nothing is inserted.

        Notes
        -----
        Manual 7.2.
        """
        self.connection.check_changeable(f"insert into {self.name}")
        is_made = self.connection.is_making(self.name)
        if not (self._allow_insert or is_made or allow_direct_insert):
            raise DataJointError(
                f"Entities are inserted into the auto-populated table {self.name} by its `make` "
                "when it is populated. To insert them directly, set allow_direct_insert=True"
            )
        mode = _mode(replace, skip_duplicates, chunk_size)
        rows = as_expression(rows)
        if isinstance(rows, QueryExpression) and self.connection.has_database_of(rows.connection):
            insert_query(self.connection, self.spec, rows, mode, ignore_extra_fields)
            return
        insert(self.connection, self.spec, rows, mode, ignore_extra_fields, chunk_size, progress)

    def validate(
        self,
        rows: Any,
        ignore_extra_fields: bool = False,
        *,
        replace: bool = False,
        skip_duplicates: bool = False,
        chunk_size: int = CHUNK,
    ) -> Validation:
        """Find all that :meth:`insert` would refuse of some rows, without inserting any.

        Every attribute of every row is checked; then, for rows whose values are right, whether
        keys are given twice or exist, and whether the parents exist. Whether a path into a
        document is unique, only the insert itself finds out.

        Parameters
        ----------
        rows, ignore_extra_fields, replace, skip_duplicates, chunk_size
            As for :meth:`insert`; a query is fetched.

        Returns
        -------
        Validation
            True when the insert can be expected to succeed. ``errors`` tells the row, the
            attributes, the value and the reason of each error; as a text, it is a summary.

        Notes
        -----
        Manual 7.2.
        """
        mode = _mode(replace, skip_duplicates, chunk_size)
        rows = as_expression(rows)
        return validate(self.connection, self.spec, rows, mode, ignore_extra_fields, chunk_size)

    # -- update ---------------------------------------------------------------------------------

    def update1(self, row: Mapping[str, Any]) -> None:
        """Update one entity that exists.

        Parameters
        ----------
        row : mapping
            The primary key, and new values of secondary attributes; None resets to the default. The
            primary key alone resets all secondary attributes.

        Raises
        ------
        DataJointError
            When the primary key is incomplete, no such entity exists, or an attribute that is
            reset has no default; nothing is changed.

        Notes
        -----
        Manual 7.4: to correct mistakes, not as a part of regular work.
        """
        if not isinstance(row, Mapping):
            raise DataJointError("`update1` takes a mapping of attributes to values")
        if self._restriction:
            raise DataJointError("`update1` cannot be applied to a restricted table")
        self.connection.check_changeable(f"update {self.name}")
        update_one(self.connection, self.spec, row)

    def _update(self, attribute: str, value: Any = None) -> None:
        """Update an attribute of the only entity; deprecated, kept for existing code.

        Parameters
        ----------
        attribute : str
            A secondary attribute.
        value : optional
            None resets to the default.

        Raises
        ------
        DataJointError
            When the restricted table has another number of entities than one.
        """
        warnings.warn(
            "`_update` is deprecated: use `update1`, with the primary key and the new value",
            DeprecationWarning,
            stacklevel=2,
        )
        self.connection.check_changeable(f"update {self.name}")
        heading = self.heading
        if attribute not in heading:
            raise heading.unknown(attribute, f" of {self.name}")
        if heading[attribute].in_key:
            raise DataJointError(
                f"Attribute `{attribute}` of {self.name} is in the primary key, which cannot be "
                "updated: insert another entity, and delete this one"
            )
        keys = (self & Top(2)).fetch("KEY")
        if len(keys) != 1:
            raise DataJointError(
                f"`_update` needs a restricted table with exactly one entity; {self.name} has "
                f"{len(self)} here"
            )
        update_one(self.connection, self.spec, {**keys[0], attribute: value})

    # -- delete ---------------------------------------------------------------------------------

    def delete(
        self,
        transaction: bool = True,
        safemode: bool | None = None,
        force_parts: bool = False,
        force_masters: bool = False,
        *,
        dry_run: bool = False,
    ) -> int | dict[str, int]:
        """Delete the entities and all that depend on them, after showing what that is.

        Parameters
        ----------
        transaction : bool
            Whether to delete in a transaction of its own; False inside one of the user's.
        safemode : bool, optional
            Whether to ask first: setting ``safemode``.
        force_parts : bool
            Allow to delete parts without their masters.
        force_masters : bool
            Delete the masters of deleted parts too.
        dry_run : bool
            Tell only what would be deleted: nothing is asked or changed.

        Returns
        -------
        int or dict
            How many entities of this table were deleted; 0 when the user declined. In a dry run,
            the number of entities of each table, by full table name, parents first.

        Raises
        ------
        DataJointError
            When parts would be deleted without their masters; nothing is deleted.

        Notes
        -----
        Manual 7.3.
        """
        if not dry_run:
            self.connection.check_changeable(f"delete from {self.name}")
        if safemode is None:
            safemode = config["safemode"]
        return delete(
            self.connection,
            self.spec,
            self.relation,
            ask=safemode,
            transaction=transaction,
            force_parts=force_parts,
            force_masters=force_masters,
            dry_run=dry_run,
        )

    def delete_quick(self, get_count: bool = False) -> int | None:
        """Delete the entities without asking and without what depends on them.

        Parameters
        ----------
        get_count : bool
            Whether to return how many entities were deleted.

        Raises
        ------
        IntegrityError
            When other tables refer to them; nothing is deleted.
        """
        self.connection.check_changeable(f"delete from {self.name}")
        count = delete_rows(
            self.connection, self.spec, own_condition(self.connection, self.spec, self.relation)
        )
        return count if get_count else None


def _mode(replace: bool, skip_duplicates: bool, chunk_size: Any) -> str:
    """Check the options of an insert, and say what happens when the primary key exists."""
    if replace and skip_duplicates:
        raise DataJointError("`replace` and `skip_duplicates` exclude each other")
    if not isinstance(chunk_size, (int, np.integer)) or chunk_size < 1:
        raise DataJointError(f"`chunk_size` is a number of rows, from 1, not {chunk_size!r}")
    return "replace" if replace else "skip" if skip_duplicates else "insert"
