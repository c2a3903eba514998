"""The contract of a database backend, in the verbs of the domain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from ..alter import Alteration
from ..declare import TableName, TableSpec
from ..errors import DataJointError, QueryError
from ..grammar import parse_type
from ..heading import Attribute, Heading
from ..sql.dialect import Dialect
from ..sql.statements import Insert


class Cursor(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows the statement changed."""

    @property
    def description(self) -> Sequence[Sequence[Any]] | None:
        """A sequence for each column of the result, which begins with its name."""

    def fetchone(self) -> tuple[Any, ...] | None: ...

    def fetchall(self) -> list[tuple[Any, ...]]: ...

    def __iter__(self) -> Iterator[tuple[Any, ...]]: ...


class Source(Protocol):
    """The result of a query, of which the session holds only what was just read."""

    def fetchmany(self, size: int, /) -> Sequence[tuple[Any, ...]]:
        """Read so many of the next rows; fewer when there are no more."""

    def close(self) -> None:
        """Read no more of it; the rest is not sent, for which the session may be closed."""


class Seen(NamedTuple):
    """A session that was there at some moment.

    Attributes
    ----------
    id : int
    user : str
        ``user@host`` as the database knew it.
    host : str
        The computer of the program.
    moment : float
        Seconds since 1970 by the server's clock, or up to a second less.
    """

    id: int
    user: str
    host: str
    moment: float


class Backend(ABC):
    """One session with a database.

    Parameters
    ----------
    settings : mapping
        The configuration, such as ``dj.config``, with the parts of the URL in their places;
        nothing is opened yet.
    """

    #: What the configuration calls it.
    name: ClassVar[str]
    dialect: ClassVar[Dialect]
    #: Whether it has accounts: a user connects by name and password.
    has_accounts: ClassVar[bool] = True
    #: Schemas that are no user's, in lower case.
    reserved_schemas: ClassVar[frozenset[str]] = frozenset()
    #: Whether it undoes the drop of a table with the transaction; otherwise a drop ends that.
    undoes_drops: ClassVar[bool] = True

    @abstractmethod
    def __init__(self, settings: Mapping[str, Any]) -> None: ...

    # -- the session --------------------------------------------------------------------------

    @property
    @abstractmethod
    def description(self) -> str:
        """What the session is connected to, for people."""

    @property
    @abstractmethod
    def user(self) -> str:
        """``user@host`` as the database knows the session."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Tells the database apart from all others of its kind, whatever the account."""

    @property
    def identity(self) -> tuple[str, ...]:
        """Tells the database and the account apart from all others, in later sessions too."""
        return (self.name, self.description, self.user)

    @property
    @abstractmethod
    def session_id(self) -> int:
        """Identifies the session among those of the database."""

    @property
    @abstractmethod
    def is_connected(self) -> bool:
        """Whether the session is open and answers."""

    @property
    def exists(self) -> bool:
        """Whether there is a database to connect to, as far as that can be told before."""
        return True

    def elsewhere(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Give the settings that open the same database from another process.

        Raises
        ------
        DataJointError
            When no other process can open it.
        """
        return {**settings, "database.backend": self.name, "database.url": None}

    @property
    def has_ended(self) -> bool:
        """Whether the database has ended the session while it was idle."""
        return False

    @abstractmethod
    def connect(self) -> None:
        """Open the session."""

    @abstractmethod
    def close(self) -> None:
        """Close the session; harmless when it is closed."""

    @abstractmethod
    def abandon(self) -> None:
        """Forget a session that belongs to the parent process, without closing it."""

    # -- statements ---------------------------------------------------------------------------

    @abstractmethod
    def execute(self, text: str, values: Sequence[Any] = ()) -> Cursor:
        """Run one statement; errors are those of the driver."""

    def execute_written(self, text: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Cursor:
        """Run a statement that the user wrote: ``%s`` stands for a value, and ``%%`` for ``%``."""
        try:
            return self.execute(self.own_text(text), values)  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError) as error:  # of putting values into their places
            raise QueryError(
                f"The statement and its values do not fit together ({error}): write %s for each "
                "value, and %% for a per cent sign"
            ) from error

    def own_text(self, text: str) -> str:
        """Write a statement of the user as :meth:`execute` takes it."""
        return text

    @abstractmethod
    def stream(self, text: str, values: Sequence[Any] = ()) -> Source:
        """Run one query whose rows are read as they are wanted.

        Its result is of one moment, whatever other sessions change. Nothing else can be done in the
        session until all rows were read, or the source was closed.
        """

    @property
    def reads_beside(self) -> bool:
        """Whether another session can read while this one writes."""
        return True

    @property
    def has_one_writer(self) -> bool:
        """Whether a transaction that writes keeps all others from writing anything."""
        return False

    @property
    def survives_interrupts(self) -> bool:
        """Whether the session is in order after an exception, as of Ctrl-C, amid a statement."""
        return False

    @abstractmethod
    def insert(self, statement: Insert, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows of values, in as few round trips as the database allows."""

    @abstractmethod
    def map_error(self, error: Exception) -> DataJointError | None:
        """Return the package's error for one of the driver, by its code; None for others."""

    # -- transactions -------------------------------------------------------------------------

    @abstractmethod
    def begin(self, *, snapshot: bool = True, optimistic: bool = False) -> None:
        """Start a transaction.

        Parameters
        ----------
        snapshot : bool
            Whether it reads one consistent state of the database; without, each statement reads
            what is there when it begins, and nothing that others commit is a conflict.
        optimistic : bool
            Whether others may write until :meth:`promote` is called, where there is one writer;
            it is called before anything is changed.
        """

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction that was begun may be in progress, so far as the session knows."""
        return self.is_connected

    def promote(self) -> bool:
        """Let an optimistic transaction change something from now on, and nobody else.

        Returns
        -------
        bool
            Whether others have committed anything since it began, which it sees from now on.
        """
        return False

    @abstractmethod
    def commit(self) -> None: ...

    @abstractmethod
    def rollback(self) -> None: ...

    # -- schemas and tables -------------------------------------------------------------------

    @abstractmethod
    def schemas(self) -> list[str]:
        """Name the schemas that the user can see."""

    def is_reserved(self, schema: str) -> bool:
        """Tell whether a schema belongs to the database, or to what DataJoint adds to it."""
        return schema.lower() in self.reserved_schemas

    @abstractmethod
    def create_schema(self, schema: str) -> None: ...

    @abstractmethod
    def drop_schema(self, schema: str) -> None:
        """Drop a schema whose tables are dropped."""

    @abstractmethod
    def load_schema(self, schema: str, table: str | None = None) -> dict[str, TableSpec]:
        """Read all tables of a schema, or one, by name, in a fixed number of statements."""

    @abstractmethod
    def referring_schemas(self, schemas: Iterable[str]) -> set[str]:
        """Name the schemas with foreign keys to any of these schemas."""

    @abstractmethod
    def create_table(self, spec: TableSpec) -> None:
        """Create a table, unless another session has just created it."""

    @abstractmethod
    def drop_table(self, name: TableName) -> None: ...

    def catalogued(self, spec: TableSpec) -> TableSpec:
        """Specify a table that is declared so as :meth:`load_schema` would."""
        return spec

    @abstractmethod
    def alter_statements(self, alteration: Alteration) -> list[str]:
        """Write the statements that alter a table; nothing is changed yet."""

    @abstractmethod
    def alter_table(self, name: TableName, statements: Sequence[str]) -> None:
        """Run what :meth:`alter_statements` wrote, all of it or nothing."""

    @abstractmethod
    def size_on_disk(self, name: TableName) -> int:
        """Bytes that a table takes, with its indexes."""

    # -- administration -----------------------------------------------------------------------

    def sessions(self) -> str:
        """Write the query that lists the other sessions that the user may see.

        Its attributes are those of :data:`SESSION`.
        """
        raise DataJointError(f"{self.description} has no sessions of other users")

    @abstractmethod
    def ended(self, sessions: Collection[Seen]) -> tuple[set[Seen], float]:
        """Find which of some sessions have certainly ended; what is not known counts as alive.

        Returns
        -------
        ended : set of Seen
        started : float
            When the server began, in seconds since 1970 by its clock, and with that all sessions
            there are; 0 if there is no server.
        """

    def kill(self, session: int) -> None:
        """End another session."""
        raise DataJointError(f"{self.description} has no sessions of other users")

    def end_lost(self, session: int, age: float) -> None:  # noqa: B027 - most have none
        """End a session of this program that was lost, if it is still there.

        Parameters
        ----------
        session : int
            Its id, which may be that of another session since.
        age : float
            For how many seconds it was, or would be, open.
        """

    def set_password(self, password: str) -> None:
        """Change the password of the user."""
        raise DataJointError(f"{self.description} has no accounts, and no passwords")


#: The attributes of a session, as MySQL's list of processes has them.
SESSION = Heading(
    (
        Attribute("id", parse_type("bigint"), in_key=True, comment="identifies the session"),
        Attribute("user", parse_type("varchar(128)")),
        Attribute("host", parse_type("varchar(261)"), nullable=True, comment="where from"),
        Attribute("db", parse_type("varchar(64)"), nullable=True, comment="current database"),
        Attribute("command", parse_type("varchar(16)"), comment="what kind of work"),
        Attribute("time", parse_type("int"), nullable=True, comment="seconds in this state"),
        Attribute("state", parse_type("varchar(64)"), nullable=True),
        Attribute("info", parse_type("varchar(65535)"), nullable=True, comment="the statement"),
    )
)
