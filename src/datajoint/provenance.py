"""How entities came to be: kept beside them when they are made, and compared again later.

Hidden attributes of a table tell when, how long, where, by whom, by what code and from what its
entities were made. An entity is stale when the code is another now, or when what was read from the
database is.
"""

from __future__ import annotations

import datetime as dt
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from .blob import pack
from .cascade import changed_meanwhile, execute_delete, own_condition, plan_delete
from .codebase import commit_of, compiled_hash, differs, source_hash, versions_of
from .connection import Connection
from .declare import PROVENANCE, TableName, TableSpec
from .errors import DataJointError, IntegrityError
from .expression import QueryExpression
from .insertion import RowEncoder
from .key_source import Key, identity
from .logging import logger
from .reads import Read, Reads
from .service import client
from .sql import algebra
from .sql.algebra import Condition
from .sql.statements import update
from .table import Table
from .utils import get_master, split_full_table_name

#: The methods by which entities are made.
_METHODS = ("make", "_make_tuples", "make_fetch", "make_compute", "make_insert")
#: Where a class has the hash of its methods.
_NOTED = "_hash_of_methods"
_FORMAT = 1  # of what is kept of reads
#: Bytes above which it is not kept, since servers refuse larger statements.
_LARGEST = 2**22
#: Tables that have been warned of.
_WARNED: set[tuple[str, TableName]] = set()

# -- the code -------------------------------------------------------------------------------------


def code_of(class_: type) -> str | None:
    """Hash the methods by which the entities of a class are made; None if that is not possible.

    The hash of their source stays with the class, as long as that has the same methods: the files
    may change while a program runs, or be out of reach in another process.
    """
    found = (inspect.getattr_static(class_, name, None) for name in _METHODS)
    functions = [
        inspect.unwrap(getattr(function, "__func__", function))
        for function in found
        if function is not None and not getattr(function, "is_left_to_users", False)
    ]
    compiled = compiled_hash(functions)
    known = vars(class_).get(_NOTED)
    if known is None or known[0] != compiled:
        known = compiled, source_hash(functions) or compiled
        setattr(class_, _NOTED, known)
    code: str | None = known[1]
    return code


# -- keeping --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Keeper:
    """Keeps beside the entities of a table how they are made.

    Attributes
    ----------
    table : Table
    constants : mapping
        The hidden attributes that are the same for all entities that are made here.
    """

    table: Table
    constants: Mapping[str, Any]
    #: The tables that statements name.
    _tables: dict[str, list[str]] = field(default_factory=dict)

    def recording(self) -> AbstractContextManager[Reads]:
        """Note what is read from the database inside."""
        return self.table.connection.recording()

    def keep(self, key: Mapping[str, Any], reads: Reads, seconds: float) -> None:
        """Tell how the entities of a key were made, which are there now, before the commit.

        Parameters
        ----------
        key : mapping
            That ``make`` was called with.
        reads : Reads
            What it has read.
        seconds : float
            How long it has taken.
        """
        connection, spec = self.table.connection, self.table.spec
        values = {
            **self.constants,
            "_made_at": dt.datetime.now(dt.timezone.utc).replace(microsecond=0),
            "_made_seconds": seconds,
            "_made_inputs": self._inputs(reads),
        }
        types = {a.name: a.attribute_type for a in spec.heading.all_attributes}
        encode = connection.dialect.encode
        encoded = {n: None if v is None else encode(v, types[n]) for n, v in values.items()}
        quoted = connection.dialect.table(spec.name.schema, spec.name.table)
        condition = _equal(connection, spec, key)
        connection.execute(update(connection.dialect, quoted, encoded, condition))

    def _inputs(self, reads: Reads) -> bytes | None:
        """Write down what was read, so far as it tells whether entities are stale.

        Left out are the table itself with its parts, what the ``make`` has changed, tables of
        DataJoint's own, and statements that depend on time or chance.
        """
        made_here = {name for text in reads.changes for name in self._named(text)[:1]}
        kept: dict[bytes, list[Any]] = {}
        for read in reads:
            tables = self._named(read.text)
            left_out = (name in made_here or _is_none(self.table.name, name) for name in tables)
            if any(left_out) or _is_fleeting(read.text) or not _only_reads(read.text):
                continue
            statement = [read.text, _kept(read.values)]
            try:
                kept.setdefault(pack(statement), [*statement, read.digest, tables])
            except DataJointError as error:  # a value that the user's own statement was given
                logger.debug("It is not kept that %s was read: %s", read.text, error)
        inputs = pack([_FORMAT, *kept.values()])
        if len(inputs) <= _LARGEST:
            return inputs
        logger.warning(
            "What `make` of %s has read is not kept: its %d queries take more than %d bytes",
            *(self.table.name, len(kept), _LARGEST),
        )
        return None

    def _named(self, text: str) -> list[str]:
        """Name the tables that a statement names; it comes again with each key."""
        if text not in self._tables:
            self._tables[text] = self.table.connection.tables_in(text)
        return self._tables[text]


def keeper(table: Table, class_: type) -> Keeper | None:
    """Make what keeps the provenance of a table; None where the table has no place for it.

    Parameters
    ----------
    table : Table
        Where the entities are.
    class_ : type
        The class that makes them.
    """
    connection, spec = table.connection, table.spec
    if not is_kept(spec):
        place = (connection.backend.place, spec.name)
        if place not in _WARNED:
            _WARNED.add(place)
            logger.warning(
                "Provenance of %s is not kept: the table was declared without it. Call its "
                "`alter()` to add it",
                spec.name,
            )
        return None
    constants = {
        "_made_host": client()[:255],
        "_made_user": connection.get_user()[:255],
        "_made_version": versions_of(class_.__module__)[:255],
        "_made_commit": commit_of(class_.__module__),
        "_made_code": code_of(class_),
    }
    return Keeper(table, constants)


def is_kept(spec: TableSpec) -> bool:
    """Tell whether a table has the attributes in which provenance is kept."""
    return {a.name for a in spec.heading.all_attributes}.issuperset(PROVENANCE)


def _equal(connection: Connection, spec: TableSpec, key: Mapping[str, Any]) -> Condition:
    """Select the entities of a key by its attributes that the table has."""
    row = RowEncoder(spec, connection.dialect, False)
    return algebra.AllOf(
        tuple(
            algebra.Equal(name, spec.heading.types[name], row.encode_value(name, value))
            for name, value in key.items()
            if name in spec.heading
        )
    )


# -- what was read --------------------------------------------------------------------------------

#: Quoted texts and names.
_QUOTED = re.compile(r"`[^`]*`|\"[^\"]*\"|'(?:[^']|'')*'")
#: What gives something else at another time, or in another session, on any of the databases.
_FLEETING = re.compile(
    r"\b(current_(timestamp|date|time|user)|localtime|localtimestamp)\b"
    r"|\b(now|sysdate|curdate|curtime|utc_(date|time|timestamp)|unix_timestamp"
    r"|(statement|clock|transaction)_timestamp|timeofday|rand|random|uuid|gen_random_uuid"
    r"|pg_backend_pid|connection_id|last_insert_id|nextval|currval)\s*\(",
    re.IGNORECASE,
)


def _is_fleeting(text: str) -> bool:
    """Tell whether the result of a statement depends on the time, on chance or on the session."""
    return "'now'" in text or bool(_FLEETING.search(_QUOTED.sub("", text)))


def _is_none(target: TableName, full_name: str) -> bool:
    """Tell whether a table is no input: the target, a part of it, or a table of DataJoint's own."""
    schema, table = split_full_table_name(full_name)
    own = table == target.table or table.startswith(f"{target.table}__")
    return table.startswith("~") or (schema == target.schema and own)


#: How a statement begins that only reads, and what it has nowhere, not even in a text: what is kept
#: beside entities may be anybody's, and is run with the rights of whoever asks.
_READS = re.compile(r"[\s(]*(select|with)\b", re.IGNORECASE)
_MAY_CHANGE = re.compile(r";|\b(insert|update|delete|merge|into)\b", re.IGNORECASE)


def _only_reads(text: str) -> bool:
    """Tell whether a statement is one, and certainly changes nothing."""
    return bool(_READS.match(text)) and not _MAY_CHANGE.search(text)


#: Stands before the microseconds of a duration, which blobs cannot hold.
_DURATION = "datetime.timedelta"


def _kept(value: Any) -> Any:
    """Bring values of a statement into a form that blobs can hold."""
    if isinstance(value, dt.timedelta):
        return {_DURATION: value // dt.timedelta(microseconds=1)}
    return list(map(_kept, value)) if isinstance(value, (list, tuple)) else value


def _given(value: Any) -> Any:
    """Bring values back into the form in which they were given."""
    if isinstance(value, dict) and value.keys() == {_DURATION}:
        return dt.timedelta(microseconds=value[_DURATION])
    return list(map(_given, value)) if isinstance(value, list) else value


class _Again:
    """Reads again what was read, each statement once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[bytes, bool] = {}

    def changed(self, inputs: Sequence[Any] | None) -> Iterator[str]:
        """Tell for each statement that gives another result now, what has changed."""
        if not inputs or inputs[0] != _FORMAT:  # of a later version
            return
        for text, values, digest, tables in inputs[1:]:
            if not _only_reads(text):
                yield f"{text!r} is not run again, since it may change something"
            elif self._differs(Read(text, _given(values), digest)):
                yield f"{' or '.join(tables) or f'the result of {text!r}'} has changed"

    def _differs(self, read: Read) -> bool:
        packed = pack([read.text, _kept(read.values), read.digest])
        known = blake2b(packed, digest_size=16).digest()  # there may be millions
        if known not in self._known:
            self._known[known] = bool(list(self._connection.changed([read])))
        return self._known[known]


# -- looking at it --------------------------------------------------------------------------------


def stale(table: Table, names: Sequence[str], code: str | None) -> list[tuple[Key, str]]:
    """List keys of entities that would be made otherwise now, each with the reason.

    Parameters
    ----------
    table : Table
        Restricted to what is looked at.
    names : sequence of str
        The attributes of the keys that ``make`` is called with, each of which is listed once.
    code : str or None
        The hash of the methods of the table, as they are now.
    """
    again = _Again(table.connection)
    found: dict[tuple[Any, ...], tuple[Key, str]] = {}
    query = _visible(table, [*names, "_made_code", "_made_inputs"])
    for batch in query.fetch_batches():
        for row in batch:
            key = {name: row[name] for name in names}
            reasons = ["`make` has changed"] if differs(row["_made_code"], code) else []
            reasons += dict.fromkeys(again.changed(row["_made_inputs"]))
            if reasons:
                found[identity(key)] = key, "; ".join(reasons)
    return list(found.values())


def made(table: Table) -> QueryExpression:
    """Show how the entities of a table were made, as a query."""
    key = table.primary_key
    query = _visible(table, [*key, *(name for name in PROVENANCE if name != "_made_inputs")])
    shown = {name.lstrip("_") if name in PROVENANCE else name: name for name in query.heading.names}
    attributes = (replace(query.heading[old], name=new) for new, old in shown.items())
    return QueryExpression._make(
        table.connection,
        query.heading.derived(attributes),
        algebra.Projection(query.relation, tuple(shown.items())),
    )


def _visible(table: Table, names: Sequence[str]) -> QueryExpression:
    """Make a query of attributes of a table, hidden ones among them.

    Raises
    ------
    DataJointError
        When the table has no provenance.
    """
    spec = table.spec
    if not is_kept(spec):
        raise DataJointError(
            f"No provenance of {spec.name} is kept. Set `provenance = True` in its class, or "
            "dj.config['populate.provenance'] = True, and call its `alter()`; what is made from "
            "then on has it"
        )
    attributes = {a.name: a for a in spec.heading.all_attributes}
    heading = table.heading.derived(attributes[name] for name in names)
    relation = algebra.Projection(table.relation, tuple((name, name) for name in names))
    return QueryExpression._make(table.connection, heading, relation)


# -- making again ---------------------------------------------------------------------------------


def remove_stale(table: Table, key: Key, code: str | None) -> bool:
    """Delete the stale entities of a key, with all that depends on them, to make them again.

    Returns
    -------
    bool
        Whether the key is to be made now: False when there are entities that are not stale.

    Raises
    ------
    DataJointError
        When what depends on them is not computed: nothing would bring it back.
    ConflictError
        When others change it at the same time.
    """
    entities = table & key
    if not entities:
        return True
    if not stale(entities, (), code):
        return False
    connection, name = table.connection, table.name
    condition = own_condition(connection, table.spec, entities.relation)
    plan = plan_delete(connection, name.full, condition, force_masters=True, reload=False)
    for deletion in plan:
        if not _is_computed(deletion.table):
            raise DataJointError(
                f"Cannot make {key} of {name} again: what depends on it, in {deletion.table} "
                f"({deletion.count} of its rows), is not computed, and would be lost. Delete it "
                "first, and populate again"
            )
    try:
        done = execute_delete(connection, plan)
    except IntegrityError as error:  # by tables that were declared meanwhile
        raise changed_meanwhile() from error
    if done != plan:
        raise changed_meanwhile()
    return True


def _is_computed(full_name: str) -> bool:
    """Tell whether a table, or the master whose part it is, is computed or imported."""
    return split_full_table_name(get_master(full_name) or full_name)[1].startswith("_")
