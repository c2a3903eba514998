"""Tables that compute themselves.

Manual 9.1 and 9.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from .condition import AndList
from .declare import TableSpec, with_provenance
from .distributing import distribution
from .errors import DataJointError
from .expression import QueryExpression
from .key_source import default_key_source, identity, restricted_keys, stream_keys
from .logging import logger
from .making import Patience, left_to_users
from .populating import Keys, Options, populate
from .progressing import remaining
from .provenance import code_of, made, stale
from .settings import config
from .table import Table


class AutoPopulate(Table):
    """What computed and imported tables can do besides being tables.

    Attributes
    ----------
    provenance : bool or None
        Whether it is kept beside each row how it was made; None: setting ``populate.provenance``.
    """

    provenance: ClassVar[bool | None] = None

    @classmethod
    def _keeps_provenance(cls) -> bool:
        return bool(config["populate.provenance"] if cls.provenance is None else cls.provenance)

    def _with_hidden(self, spec: TableSpec) -> TableSpec:
        return with_provenance(spec) if self._keeps_provenance() else spec

    # -- what the user defines ------------------------------------------------------------------

    #: Errors after which `populate(retries=…)` tries a key again; those that caused them count.
    transient_errors: ClassVar[tuple[type[BaseException], ...]] = ()

    @left_to_users
    def make(self, key: dict[str, Any]) -> Any:
        """Compute the entities for one key and insert them; defined by the user.

        It is called inside a transaction. As a generator it makes the key in three parts: it
        yields what it fetched, then what it computed, both outside of the transaction; given the
        latter as the result of the first ``yield``, it inserts it, inside.

        Parameters
        ----------
        key : dict
            An entity of the key source.

        Notes
        -----
        Manual 9.1.1.
        """
        raise _undefined(self, "make(self, key)")

    @left_to_users
    def make_fetch(self, key: dict[str, Any]) -> Any:
        """Fetch what is needed to make a key; defined by the user, instead of :meth:`make`.

        It is called before the transaction, and again inside: if it gives anything else then,
        nothing is inserted.

        Parameters
        ----------
        key : dict

        Returns
        -------
        sequence
            The arguments of :meth:`make_compute` after the key.
        """
        raise _undefined(self, "make_fetch(self, key)")

    @left_to_users
    def make_compute(self, key: dict[str, Any], *fetched: Any) -> Any:
        """Compute from what was fetched, outside of the transaction; defined by the user.

        Parameters
        ----------
        key : dict
        *fetched
            What :meth:`make_fetch` returned.

        Returns
        -------
        sequence
            The arguments of :meth:`make_insert` after the key.
        """
        raise _undefined(self, "make_compute(self, key, …)")

    @left_to_users
    def make_insert(self, key: dict[str, Any], *computed: Any) -> None:
        """Insert what was computed, inside the transaction; defined by the user.

        Parameters
        ----------
        key : dict
        *computed
            What :meth:`make_compute` returned.
        """
        raise _undefined(self, "make_insert(self, key, …)")

    @property
    def key_source(self) -> QueryExpression:
        """The keys that ``make`` is called with: the join of the primary parents (manual 9.2).

        A class can define another query instead.
        """
        return default_key_source(self.connection, self.name)

    @property
    def target(self) -> Table:
        """The table that is populated."""
        return self

    # -- populate -------------------------------------------------------------------------------

    def _jobs_to_do(self, restrictions: Iterable[Any]) -> QueryExpression:
        """Select the keys of the key source that meet the restrictions, by primary key."""
        return restricted_keys(self, restrictions)

    @left_to_users
    def _job_key(self, key: dict[str, Any]) -> dict[str, Any]:
        """Give the key that a key is reserved by; a class may let several share one."""
        return key

    def populate(
        self,
        *restrictions: Any,
        keys: Iterable[Mapping[str, Any]] | None = None,
        suppress_errors: bool = False,
        return_exception_objects: bool = False,
        reserve_jobs: bool = False,
        order: str = "original",
        limit: int | None = None,
        max_calls: int | None = None,
        display_progress: bool = False,
        make_kwargs: Mapping[str, Any] | None = None,
        retries: int = 0,
        backoff: float = 1.0,
        processes: int | None = 1,
        executor: Any = None,
        refresh: str | None = None,
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
            More arguments for ``make``, or for ``make_fetch``.
        retries : int
            How often a key is tried again after one of the errors that the class lists in its
            attribute ``transient_errors``.
        backoff : float
            Seconds before the first of these; each pause is twice as long as the one before,
            more or less by chance.
        processes : int or None
            So many processes of this machine make the keys; None: one for each of its cores.
        executor : Executor, optional
            Whose processes make the keys: anything with the methods of
            ``concurrent.futures.Executor``, or the client of a Dask cluster.
        refresh : {None, "stale"}
            ``"stale"``: make the keys of the key source that :meth:`stale` lists again, before
            those that are missing. Each is deleted, with what depends on it, and made in one
            transaction.

        Returns
        -------
        dict
            ``success_count``, and ``error_list`` with pairs of key and error.

        Raises
        ------
        DataJointError
            When the table is restricted, or inside a transaction; when other processes cannot be
            sent the class, or cannot open the database.
        NotImplementedError
            When the class does not say how keys are made.

        Notes
        -----
        Manual 9.1.2 and 9.1.3. A key is made again by itself, and that is logged, when others
        changed the same data meanwhile, and when the connection was lost: see the setting
        ``populate.patience``.
        """
        if self.connection.has_own_transaction:
            raise DataJointError(f"{self.name} cannot be populated inside a transaction")
        self.connection.check_changeable(f"populate {self.name}")
        options = Options(
            suppress_errors=suppress_errors,
            return_exception_objects=return_exception_objects,
            reserve_jobs=reserve_jobs,
            order=order,
            limit=limit,
            max_calls=max_calls,
            display_progress=display_progress,
            make_kwargs=make_kwargs,
            retries=retries,
            backoff=backoff,
            refresh=refresh,
            are_given=keys is not None,
        )
        if restrictions and keys is not None:
            logger.warning(
                "The restrictions of `%s.populate` have no effect on `keys=`, which are all made",
                type(self).__name__,
            )
        workers = distribution(self, options, processes, executor)
        found = Patience(self.connection).run(lambda: Keys(self, restrictions, keys, options))
        return populate(self, found, options, workers)

    # -- provenance -----------------------------------------------------------------------------

    def made(self, *restrictions: Any) -> QueryExpression:
        """Show how the entities were made, as a query.

        Parameters
        ----------
        *restrictions
            Conditions that the entities must meet.

        Returns
        -------
        QueryExpression
            The primary key with ``made_at``, ``made_seconds``, ``made_host``, ``made_user``,
            ``made_version``, ``made_commit`` and ``made_code``, which are null for entities whose
            provenance was not kept.

        Raises
        ------
        DataJointError
            When the table has no provenance; says how to switch it on.
        """
        return made(self.target & AndList(restrictions))

    def stale(self, *restrictions: Any) -> list[tuple[dict[str, Any], str]]:
        """List the keys that would be made otherwise now, because code or data have changed.

        What ``make`` has read from the database is read again, each query once; entities whose
        provenance was not kept are not listed.

        Parameters
        ----------
        *restrictions
            Conditions that the entities must meet.

        Returns
        -------
        list of (dict, str)
            The key and the reason, such as ``make`` or the tables that have changed. What has left
            the key source is told too; it is not made again.

        Raises
        ------
        DataJointError
            When the table has no provenance; says how to switch it on.
        """
        source = type(self)()._jobs_to_do(())
        entities = self.target & AndList(restrictions)
        found = stale(entities, source.primary_key, code_of(type(self)))
        if not found:
            return []
        known = set(map(identity, stream_keys(source & [key for key, _ in found])))
        gone = "; the key source does not have it any more"
        return [(key, why if identity(key) in known else why + gone) for key, why in found]

    # -- progress -------------------------------------------------------------------------------

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
        left, total = remaining(self, restrictions)
        if display:
            share = 100 * (total - left) / total if total else 100.0
            print(f"{type(self).__name__:<20} completed {total - left} of {total} ({share:.1f}%)")
        return left, total


def _undefined(table: Table, method: str) -> NotImplementedError:
    return NotImplementedError(
        f"The class `{type(table).__name__}` must have a method `{method}` that does its part in "
        "computing the entities for a key and inserting them"
    )
