"""Altering tables: what it does to the data is found out, checked and told beforehand.

Storage formats 2.10.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .alter import Alteration, brought, former_name, survives, widens
from .connection import Connection
from .declare import ForeignKey, TableName, TableSpec
from .errors import (
    AccessError,
    ConflictError,
    DataJointError,
    DuplicateError,
    IntegrityError,
    LostConnectionError,
)
from .expression import QueryExpression, U
from .heading import Attribute, Heading, Index
from .service import log_event
from .sql import algebra
from .sql.select import Writer
from .types import Blob
from .utils import user_choice


@dataclass(frozen=True)
class Plan:
    """How one table is altered.

    Attributes
    ----------
    alteration : Alteration
    lines : tuple of str
        What changes, for people.
    statements : tuple of str
        The SQL that does it.
    """

    alteration: Alteration
    lines: tuple[str, ...]
    statements: tuple[str, ...]

    @property
    def table(self) -> str:
        return self.alteration.old.name.full

    def __str__(self) -> str:
        listed = "\n".join(f"    {line}" for line in self.lines)
        sql = "\n".join(f"{statement};" for statement in self.statements)
        return f"{self.table}:\n{listed}\n\n{sql}\n"


def plan_alter(connection: Connection, spec: TableSpec) -> Plan | None:
    """Plan how a table becomes what is specified; None when nothing changes.

    Raises
    ------
    DataJointError
        When it cannot, because of its key, its data or its place among others; says why.
    """
    alteration, statements = connection.plan_alter(spec)
    if not alteration:
        return None
    data = _Data(connection, alteration)
    _check_cycles(connection, alteration)
    data.check_new_attributes()
    lines = (
        *_comment_lines("the table", alteration.old.heading.comment, spec.heading.comment),
        *(data.removal(attribute) for attribute in alteration.removed),
        *(line for old, new in alteration.changed for line in data.changes(old, new)),
        *(f"add attribute `{_shown(attribute)}`" for attribute in alteration.added),
        *_moves(alteration),
        *(f"drop {_foreign_key(fk)}" for fk in alteration.dropped_foreign_keys),
        *(f"add {data.checked_foreign_key(fk)}" for fk in alteration.added_foreign_keys),
        *(f"drop {_index(index)}" for index in alteration.dropped_indexes),
        *(f"add {data.checked_index(index)}" for index in alteration.added_indexes),
    )
    return Plan(alteration, lines, tuple(statements))


def confirm_alter(plans: Iterable[Plan], missing: Iterable[TableName]) -> bool:
    """Show how tables are altered and which are declared, and ask whether to go on."""
    print("About to alter:\n")
    for shown in (*plans, *(f"{name}:\n    declare it\n" for name in missing)):
        print(shown)
    if user_choice("Proceed?", default="no") == "yes":
        return True
    print("Nothing was altered.")
    return False


def execute_alter(connection: Connection, plans: Sequence[Plan]) -> None:
    """Alter tables as planned, each as a whole or not at all."""
    for position, plan in enumerate(plans):
        try:
            _execute(connection, plan)
        except DataJointError as error:
            if position == 0:
                raise
            done = ", ".join(plan.table for plan in plans[:position])
            raise error.suggest(f"Altered before it: {done}") from error


def _execute(connection: Connection, plan: Plan) -> None:
    name = plan.alteration.old.name
    try:
        connection.alter_table(plan.alteration, plan.statements)
    except LostConnectionError as error:
        raise error.suggest(
            f"Look whether {name} is altered, as a whole or not at all, before repeating it"
        ) from error.__cause__
    except (AccessError, ConflictError):
        raise
    except DataJointError as error:
        raise type(error)(f"Cannot alter {name}; it is as it was", *error.args) from error
    log_event(connection, name.schema, f"Altered {name}")


def _check_cycles(connection: Connection, alteration: Alteration) -> None:
    """Refuse foreign keys to tables that depend on this one."""
    own = alteration.old.name
    graph = connection.dependencies.load(force=False)
    for foreign_key in alteration.added_foreign_keys:
        parent = foreign_key.parent.full
        if parent in graph.tables and parent != own.full and own.full in graph.ancestors(parent):
            raise DataJointError(
                f"Cannot alter {own}: it cannot refer to {parent}, which depends on it already; "
                "the tables would form a cycle"
            )


# -- what the data say ----------------------------------------------------------------------------


class _Data:
    """The rows of a table that is to be altered."""

    def __init__(self, connection: Connection, alteration: Alteration) -> None:
        self._connection = connection
        self._alteration = alteration
        self._old = alteration.old
        self._writer = Writer(connection.dialect)
        self._rows = self._count()

    def _count(self, *conditions: algebra.Condition) -> int:
        ((count,),) = self._connection.rows(self._writer.count(self._having(*conditions)))
        return int(count)

    def _having(self, *conditions: algebra.Condition) -> algebra.Relation:
        return algebra.Restriction(self._old.relation, algebra.AllOf(conditions))

    def _query(self, *conditions: algebra.Condition) -> QueryExpression:
        relation = self._having(*conditions)
        stored = (
            replace(a, attribute_type=a.stored_type) for a in self._old.heading.all_attributes
        )
        return QueryExpression._make(self._connection, Heading(tuple(stored)), relation)

    def _is_null(self, name: str) -> algebra.Condition:
        return algebra.Equal(name, self._old.heading.types.get(name), None)

    def _error(
        self, reason: str, advice: str, kind: type[DataJointError] = DataJointError
    ) -> DataJointError:
        return kind(f"Cannot alter {self._old.name}: {reason}", advice)

    def check_new_attributes(self) -> None:
        """Refuse an attribute that the rows would have no value for."""
        inherited = {n for fk in self._alteration.new.foreign_keys for n in fk.child_attributes}
        for attribute in self._alteration.added:
            if self._rows and not attribute.nullable and attribute.default is None:
                raise self._error(
                    f"the attribute `{attribute.name}` is new and has no default, but there are "
                    f"{_rows(self._rows)}, which would have no value of it",
                    "Make the foreign key nullable, or give the attribute a line of its own with a "
                    "default"
                    if attribute.name in inherited
                    else f"Give it a default, as in `{attribute.name} = null : {attribute.type}`"
                    + self._unused_name(attribute),
                )

    def _unused_name(self, attribute: Attribute) -> str:
        """Say why a former name in a comment is none, if there is one."""
        former = former_name(attribute)
        if former not in self._old.heading.secondary_attributes:
            return ""
        return (
            f". It is not `{former}` under a new name, as `{{{former}}}` would say, because the "
            f"definition still has `{former}`: rename that first, and alter again"
        )

    def removal(self, attribute: Attribute) -> str:
        """Tell what is lost with an attribute."""
        values = self._rows - self._count(self._is_null(attribute.name))
        return f"remove attribute `{_shown(attribute)}`: loses {_several(values, 'value')}"

    def changes(self, old: Attribute, new: Attribute) -> Iterator[str]:
        """Tell what changes of an attribute."""
        if old.name != new.name:
            yield f"rename attribute `{old.name}` to `{new.name}`"
        if old.attribute_type != new.attribute_type:
            yield (
                f"retype attribute `{new.name}` from `{old.type}` to `{new.type}`"
                + self._conversion(old, new)
            )
        if old.nullable != new.nullable:
            self._check_nulls(old, new)
            yield f"attribute `{new.name}` {'may' if new.nullable else 'can no longer'} be null"
        before, after = _default(old), _default(new)
        if before != after:
            yield f"change the default of `{new.name}` from {before} to {after}"
        yield from _comment_lines(f"`{new.name}`", old.comment, new.comment)

    def _check_nulls(self, old: Attribute, new: Attribute) -> None:
        nulls = 0 if new.nullable else self._count(self._is_null(old.name))
        if nulls:
            raise self._error(
                f"the attribute `{new.name}` cannot cease to be nullable: it is null in "
                f"{_rows(nulls)}",
                f"Give it a value there with `update1`, or delete them: they are found by "
                f"`{old.name} IS NULL`",
            )

    def _conversion(self, old: Attribute, new: Attribute) -> str:
        """Check that all values can be brought to the new type, and tell what is lost."""
        one, other = old.attribute_type, new.attribute_type
        assert one is not None
        assert other is not None
        if widens(one, other):
            return ""
        if isinstance(other, Blob):
            self._check_sizes(old.name, other)
            return ""
        key = self._old.heading.primary_key
        dialect = self._connection.dialect
        lost, example = 0, None
        fetched = self._query(algebra.Negation(self._is_null(old.name)))
        for row in fetched.proj(old.name):
            value = row[old.name]
            where = {name: row[name] for name in key}
            shown = f"the value {value!r} of `{old.name}`, where {_pairs(where)}, cannot be"
            try:
                becomes = brought(value, one, other)
                dialect.encode(becomes, other)
            except ValueError as error:
                raise self._error(
                    f"{shown} of type `{new.type}`: it {error}",
                    "Correct it with `update1`, or choose a type that admits it",
                ) from None
            if not dialect.retypes(value, one, other):
                raise self._error(
                    f"{shown} brought to type `{new.type}` by the database, which does not make "
                    f"{becomes!r} of it",
                    f"Give it that value with `update1` if type `{old.type}` has it, or add an "
                    "attribute of another name, and give that its values",
                )
            if not survives(value, one, other):
                lost += 1
                example = value if example is None else example
        return f": changes {_several(lost, 'value')}, such as {example}" if lost else ""

    def _check_sizes(self, name: str, type_: Blob) -> None:
        large = self._query() & f"length(`{name}`) > {type_.size}"
        for key in large.fetch("KEY", limit=1):
            raise self._error(
                f"the value of `{name}`, where {_pairs(key)}, takes more than the {type_.size} "
                f"bytes of type `{type_}`",
                "Correct it with `update1`, or choose a type that admits it",
            )

    def checked_foreign_key(self, foreign_key: ForeignKey) -> str:
        """Refuse a foreign key for which entities are missing; describe it."""
        names = self._unchanged(foreign_key.child_attributes)
        if names and self._rows:
            parent = self._connection.table(foreign_key.parent)
            pairs = tuple(zip(names, foreign_key.parent_attributes, strict=True))
            present = algebra.Matching(algebra.Projection(parent.relation, pairs), names)
            orphans = self._query(
                *(algebra.Negation(self._is_null(name)) for name in names),
                algebra.Negation(present),
            )
            for row in orphans.proj(*names).fetch(limit=1, as_dict=True):
                value = _pairs({old: row[name] for name, old in pairs})
                raise self._error(
                    f"{foreign_key.parent} has no entity with {value}, which {_rows(len(orphans))} "
                    "would refer to, this one or another one that is missing",
                    "Insert what is missing, or delete the rows",
                    IntegrityError,
                )
        return _foreign_key(foreign_key)

    def checked_index(self, index: Index) -> str:
        """Refuse a unique index over values that are not; describe it."""
        names, defaults = self._compared(index.attributes)
        if index.unique and (names or defaults) and self._rows:
            rows = self._query(*(algebra.Negation(self._is_null(name)) for name in names))
            copies = U(*names).aggr(rows, copies_of_it="count(*)") & "copies_of_it > 1"
            for row in copies.fetch(limit=1, as_dict=True):
                count = row.pop("copies_of_it")
                values = ", ".join(filter(None, (_pairs(row), *defaults)))
                raise self._error(
                    f"the {_index(index)} is not possible: {_rows(count)} have {values}",
                    "Correct them with `update1`, or leave out `unique`",
                    DuplicateError,
                )
        return _index(index)

    def _compared(self, names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Tell how rows will differ by some attributes: neither of both when that is unknown.

        Returns
        -------
        tuple of str
            The former names of those that keep their values.
        tuple of str
            The values that those which are new have in all rows.
        """
        attributes, sources = self._alteration.new.heading.attributes, self._alteration.sources
        added = tuple(name for name in names if name not in sources)
        kept = self._unchanged(tuple(name for name in names if name in sources))
        told = len(kept) + len(added) == len(names) and all(name in attributes for name in added)
        if not told or any(attributes[name].nullable for name in added):  # null is equal to nothing
            return (), ()
        return kept, tuple(f"{name} = {attributes[name].default}" for name in added)

    def _unchanged(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Give the former names of attributes; none when their values are not those they had."""
        attributes = self._alteration.new.heading.attributes
        sources = [self._alteration.sources.get(name) for name in names]
        kept = [
            source.name
            for name, source in zip(names, sources, strict=True)
            if source and _keeps_values(source, attributes[name])
        ]
        return tuple(kept) if len(kept) == len(names) else ()


def _keeps_values(old: Attribute, new: Attribute) -> bool:
    one, other = old.attribute_type, new.attribute_type
    assert one is not None
    assert other is not None
    return one == other or widens(one, other)


# -- words ----------------------------------------------------------------------------------------


def _moves(alteration: Alteration) -> Iterator[str]:
    names = list(alteration.sources)
    for name in alteration.moved:
        position = names.index(name)
        place = f"behind `{names[position - 1]}`" if position else "to the front"
        yield f"move attribute `{name}` {place}"


def _shown(attribute: Attribute) -> str:
    return " ".join(replace(attribute, comment="").as_definition().split())


def _default(attribute: Attribute) -> str:
    return "none" if attribute.nullable or attribute.default is None else attribute.default


def _comment_lines(what: str, old: str, new: str) -> list[str]:
    return [f'change the comment of {what} from "{old}" to "{new}"'] if old != new else []


def _foreign_key(foreign_key: ForeignKey) -> str:
    return f"foreign key ({', '.join(foreign_key.child_attributes)}) to {foreign_key.parent}"


def _index(index: Index) -> str:
    return f"{'unique ' * index.unique}index ({', '.join(index.attributes)})"


def _pairs(row: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in row.items())


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}" if count else f"no {noun}s"


def _rows(count: int) -> str:
    return _several(count, "row")
