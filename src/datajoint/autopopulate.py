"""Tables that compute themselves.

Manual 9.1 and 9.2.
"""

from __future__ import annotations

import random
import sys
import traceback
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, ClassVar

from .condition import AndList, Not, Top
from .declare import TableSpec, with_provenance
from .errors import DataJointError
from .expression import QueryExpression
from .fetch import fetch_rows
from .hash import key_hash
from .jobs import JobTable
from .logging import logger
from .settings import config
from .table import FreeTable, Table

_ORDERS = ("original", "reverse", "random")


class AutoPopulate(Table):
    """What computed and imported tables can do besides being tables.

    Attributes
    ----------
    provenance : bool or None
        Whether it is kept beside each row how it was made; None: setting ``populate.provenance``.
    """

    provenance: ClassVar[bool | None] = None

    def _keeps_provenance(self) -> bool:
        on = type(self).provenance
        return bool(config["populate.provenance"] if on is None else on)

    def _with_hidden(self, spec: TableSpec) -> TableSpec:
        return with_provenance(spec) if self._keeps_provenance() else spec

    # -- what the user defines ------------------------------------------------------------------

    def make(self, key: dict[str, Any]) -> Any:
        """Compute the entities for one key and insert them; defined by the user.

        Parameters
        ----------
        key : dict
            An entity of the key source.
        """
        raise NotImplementedError(
            f"The class `{type(self).__name__}` must have a method `make(self, key)` that "
            "computes the entities for a key and inserts them"
        )

    @property
    def key_source(self) -> QueryExpression:
        """The keys that ``make`` is called with: the join of the primary parents (manual 9.2).

        A class can define another query instead.
        """
        graph = self.connection.dependencies.load(force=False)
        edges = graph.edges_in(self.full_table_name, primary=True)
        if not edges:
            raise DataJointError(
                f"{self.name} has no foreign key in its primary key, from which its keys would "
                "come; define a `key_source`"
            )
        sources = [FreeTable(self.connection, edge.parent).proj(**edge.attr_map) for edge in edges]
        joined = sources[0]
        for source in sources[1:]:
            joined = joined @ source  # whatever the origins: the table refers to all of them
        return joined

    @property
    def target(self) -> Table:
        """The table that is populated."""
        return self

    # -- populate -------------------------------------------------------------------------------

    def _jobs_to_do(self, restrictions: Iterable[Any]) -> QueryExpression:
        """Select the keys of the key source that meet the restrictions, by primary key."""
        if self._restriction:
            raise DataJointError(
                f"A restricted table cannot be populated; restrict the keys instead, as in "
                f"`{type(self).__name__}.populate(restriction)`"
            )
        todo = self.key_source
        if isinstance(todo, type):
            todo = todo()
        if not isinstance(todo, QueryExpression):
            raise DataJointError(f"The `key_source` of {self.name} must be a query, not {todo!r}")
        missing = [name for name in todo.primary_key if name not in self.target.heading]
        if missing:
            raise DataJointError(
                f"The `key_source` of {self.name} has the primary attribute `{missing[0]}`, which "
                "the table does not have"
            )
        return (todo & AndList(restrictions)).proj()

    def populate(
        self,
        *restrictions: Any,
        keys: Iterable[dict[str, Any]] | None = None,
        suppress_errors: bool = False,
        return_exception_objects: bool = False,
        reserve_jobs: bool = False,
        order: str = "original",
        limit: int | None = None,
        max_calls: int | None = None,
        display_progress: bool = False,
        make_kwargs: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Call ``make`` for every key of the key source for which the table has no entities.

        Each call is one transaction: all that it inserts appears together, or nothing does.

        Parameters
        ----------
        *restrictions
            Conditions that the keys must meet.
        keys : iterable of dict, optional
            The keys to make, instead of those of the key source.
        suppress_errors : bool
            Go on after an error, and return the errors.
        return_exception_objects : bool
            Return the errors as exceptions instead of as texts.
        reserve_jobs : bool
            Reserve each key in the jobs of the schema, so that several processes share the work;
            keys that are reserved, in error or ignored are passed over.
        order : {"original", "reverse", "random"}
            The order of the keys.
        limit : int, optional
            Look at this many keys at the most.
        max_calls : int, optional
            Call ``make`` this many times at the most.
        display_progress : bool
            Show a progress bar.
        make_kwargs : dict, optional
            More arguments for ``make``.

        Returns
        -------
        dict
            ``success_count``, and ``error_list`` with pairs of key and error.

        Raises
        ------
        DataJointError
            When the table is restricted, or inside a transaction.

        Notes
        -----
        Manual 9.1.2 and 9.1.3.
        """
        if self.connection.in_transaction:
            raise DataJointError(f"{self.name} cannot be populated inside a transaction")
        self.connection.check_changeable(f"populate {self.name}")
        if order not in _ORDERS:
            raise DataJointError(f"`order` is one of {', '.join(_ORDERS)}, not {order!r}")
        jobs = JobTable(self.connection, self.target.name.schema) if reserve_jobs else None
        if jobs is not None:
            jobs.declare()
        if keys is not None:
            pending = list(keys)
        elif jobs is None:
            pending = self._pending(restrictions, limit)
        else:
            taken = jobs.taken(self.target.table_name)
            name = self.target.table_name
            free = (
                key
                for key in self._pending(restrictions)
                if key_hash(jobs.stored_key(name, key)) not in taken
            )
            pending = list(islice(free, limit))
        if order == "reverse":
            pending.reverse()
        elif order == "random":
            random.shuffle(pending)
        if max_calls is not None:
            pending = pending[:max_calls]
        logger.debug("Populating %s: %d keys", self.name, len(pending))
        successes = 0
        errors: list[tuple[dict[str, Any], Any]] = []
        for key in self._with_progress(pending, display_progress):
            if jobs is not None and not jobs.reserve(self.target.table_name, key):
                continue  # another process has it
            outcome = self._make_one(key, suppress_errors, make_kwargs or {}, jobs)
            if isinstance(outcome, bool):
                successes += outcome
            elif return_exception_objects:
                errors.append((key, outcome))
            else:
                errors.append((key, _error_text(outcome)))
        return {"success_count": successes, "error_list": errors}

    def _pending(
        self, restrictions: Iterable[Any], limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Fetch the keys that are not made yet: one antijoin in the database."""
        todo = self._jobs_to_do(restrictions)
        pending = self._not_made(todo)
        if limit is not None:
            pending = pending & Top(limit, "KEY")
        names = pending.primary_key
        return [dict(zip(names, row, strict=True)) for row in fetch_rows(pending, names)]

    def _not_made(self, todo: QueryExpression) -> QueryExpression:
        """Leave out the keys that the table has, wherever their attributes come from."""
        return todo.restrict(Not(self.target.proj()), semantic_check=False)

    def _with_progress(self, keys: list[dict[str, Any]], display: bool) -> Iterable[dict[str, Any]]:
        if not display or not keys:
            return keys
        from tqdm.auto import tqdm

        return _progress_bar(tqdm(keys, desc=type(self).__name__, unit="key", file=sys.stderr))

    def _make_one(
        self,
        key: dict[str, Any],
        suppress_errors: bool,
        make_kwargs: dict[str, Any],
        jobs: JobTable | None,
    ) -> bool | Exception:
        """Make one key, note in the jobs what came of it, and tell whether it was made here."""
        table_name = self.target.table_name
        try:
            made = self._make_in_transaction(key, make_kwargs)
        except BaseException as error:
            if jobs is not None:
                stack = "".join(traceback.format_exception(error))
                jobs.error(table_name, key, _error_text(error), stack)
            if not suppress_errors or not isinstance(error, Exception):
                raise
            logger.error("Making %s of %s: %s", key, self.name, _error_text(error))
            return error
        if jobs is not None:
            jobs.complete(table_name, key)
        return made

    def _make_in_transaction(self, key: dict[str, Any], make_kwargs: dict[str, Any]) -> bool:
        make = getattr(self, "_make_tuples", None) or self.make
        self.connection.start_transaction()
        self._allow_insert = True
        try:
            if self._is_made(key):  # by another process meanwhile
                self.connection.cancel_transaction()
                return False
            make(dict(key), **make_kwargs)
            if not self.connection.in_transaction:
                raise DataJointError(
                    f"`make` of {self.name} ended the transaction that it is called in; what it "
                    "inserts is committed when it returns"
                )
            self.connection.commit_transaction()
            return True
        except BaseException:
            if self.connection.in_transaction:
                self.connection.cancel_transaction()
            raise
        finally:
            self._allow_insert = type(self)._allow_insert

    def _is_made(self, key: dict[str, Any]) -> bool:
        return bool(self.target & key)

    def progress(self, *restrictions: Any, display: bool = True) -> tuple[int, int]:
        """Count the keys that remain to be made.

        Parameters
        ----------
        *restrictions
            Conditions that the keys must meet.
        display : bool
            Whether to print it too.

        Returns
        -------
        remaining, total : int

        Notes
        -----
        Manual 9.1.4.
        """
        todo = self._jobs_to_do(restrictions)
        total = len(todo)
        remaining = len(self._not_made(todo))
        if display:
            share = 100 * (total - remaining) / total if total else 100.0
            print(
                f"{type(self).__name__:<20} completed {total - remaining} of {total} ({share:.1f}%)"
            )
        return remaining, total


def _progress_bar(bar: Any) -> Iterator[dict[str, Any]]:
    """Iterate with the key in hand shown beside the bar."""
    for number, key in enumerate(bar, start=1):
        bar.set_postfix_str(", ".join(f"{name}={value}" for name, value in key.items())[:40])
        yield key
        if number == bar.total:
            bar.set_postfix_str("")


def _error_text(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
