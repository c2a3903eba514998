"""How far tables are populated.

Manual 9.1.4.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .condition import AndList
from .connection import Connection
from .declare import TableName
from .errors import DataJointError, LostConnectionError
from .expression import QueryExpression
from .jobs import JOBS, JobTable
from .key_source import Populated, default_key_source, not_made, restricted_keys
from .logging import logger
from .table import FreeTable, Table
from .utils import to_camel_case

if TYPE_CHECKING:
    import pandas as pd

#: Status in the jobs → the keys that have it.
_Entries = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Counts:
    """How many keys of a table are in each state.

    Attributes
    ----------
    done : int
        Those that the table has.
    reserved, error, ignored : int
        Those that have an entry in the jobs, and are not done.
    left : int
        Those that are yet to be made.
    """

    done: int
    reserved: int
    error: int
    ignored: int
    left: int


@dataclass(frozen=True)
class Unclassed:
    """A computed or imported table whose class is not known here."""

    connection: Connection
    name: TableName

    @property
    def restriction(self) -> AndList:
        return AndList()

    @property
    def key_source(self) -> QueryExpression:
        return default_key_source(self.connection, self.name)

    @property
    def target(self) -> Table:
        return FreeTable(self.connection, self.name.full)

    def _jobs_to_do(self, restrictions: Iterable[Any]) -> QueryExpression:
        return restricted_keys(self, restrictions)

    @property
    def class_name(self) -> str:
        return to_camel_case(self.name.table)

    @property
    def has_parents(self) -> bool:
        """Whether it is known where its keys come from."""
        graph = self.connection.dependencies.load(force=False)
        return bool(graph.edges_in(self.name.full, primary=True))


def remaining(table: Populated, restrictions: Iterable[Any] = ()) -> tuple[int, int]:
    """Count the keys that are not made, and all keys."""
    keys = table._jobs_to_do(restrictions)
    return len(not_made(keys, table.target)), len(keys)


def _counts(table: Populated, entries: _Entries) -> Counts:
    """Count the keys of a table in each state."""
    keys = table._jobs_to_do(())
    pending = not_made(keys, table.target)
    total, missing = len(keys), len(pending)
    reserved, error, ignored = (
        _count(pending, entries.get(status, ())) for status in ("reserved", "error", "ignore")
    )
    left = max(0, missing - reserved - error - ignored)
    return Counts(total - missing, reserved, error, ignored, left)


def _count(pending: QueryExpression, keys: Sequence[Any]) -> int:
    """Count the entries whose keys are pending; those of which that cannot be told count too."""
    known = [dict(key) for key in keys if isinstance(key, Mapping)]
    if not known or pending.heading.has_adapters:
        return len(keys)
    return len(pending & known) + len(keys) - len(known)


def _entries(connection: Connection, schema: str) -> dict[str, _Entries]:
    """Read the entries in the jobs of a schema, by table."""
    found: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    if connection.is_declared(TableName(schema, JOBS)):
        jobs = JobTable(connection, schema).fetch_batches("table_name", "status", "key")
        for job in (job for batch in jobs for job in batch):
            found[job["table_name"]][job["status"]].append(job["key"])
    return dict(found)


def count_keys(tables: Sequence[Any]) -> list[Counts | None]:
    """Count the keys of tables; None where it is not known which there are."""
    schemas = {(id(t.connection), t.name.schema): t.connection for t in tables}
    entries = {place: _entries(schemas[place], place[1]) for place in schemas}
    rows: list[Counts | None] = []
    for table in tables:
        if isinstance(table, Unclassed) and not table.has_parents:
            rows.append(None)
            continue
        place = (id(table.connection), table.name.schema)
        try:
            rows.append(_counts(table, entries[place].get(table.name.table, {})))
        except LostConnectionError:
            raise
        except DataJointError as error:  # of the key source, which is the user's
            logger.warning("It is not known which keys %s has: %s", table.name, error)
            rows.append(None)
    return rows


def progress_frame(tables: Iterable[Any]) -> pd.DataFrame:
    """Show how far computed and imported tables are populated, parents first.

    Parameters
    ----------
    tables : iterable of AutoPopulate or Unclassed

    Returns
    -------
    pandas.DataFrame
        Indexed by the names of the classes, with those of their schemas if there are several; its
        columns are those of :class:`Counts`, without values where the keys are not known.
    """
    import pandas as pd

    ordered = parents_first(tables)
    rows = count_keys(ordered)
    data = {
        name: pd.Series([None if row is None else asdict(row)[name] for row in rows], dtype="Int64")
        for name in Counts.__annotations__
    }
    frame = pd.DataFrame(data)
    frame.index = pd.Index(_labels(ordered), name="table", dtype=object)
    return frame


def parents_first(tables: Iterable[Any]) -> list[Any]:
    """Sort tables, parents first, those of each connection for themselves."""
    by_connection: dict[int, dict[str, Any]] = defaultdict(dict)
    for table in tables:
        by_connection[id(table.connection)][table.name.full] = table
    ordered = []
    for named in by_connection.values():
        connection = next(iter(named.values())).connection
        for table in named.values():
            connection.tables(table.name.schema)
        graph = connection.dependencies.load(force=False)
        ordered += [named[name] for name in graph.sorted(named)]
    return ordered


def _labels(tables: Sequence[Any]) -> list[str]:
    if len({table.name.schema for table in tables}) <= 1:
        return [table.class_name for table in tables]
    return [f"{table.name.schema}.{table.class_name}" for table in tables]
