"""Writing relational expressions as SQL: one statement for one expression.

A relation is visited from the outside in, with the set of attributes that are needed of it, so
that whatever nobody needs is never selected. Restrictions, projections and joins merge into one
SELECT; a subquery is made only where the meaning needs it: below a join or a second grouping, and
around a slice that is used further. Aliases are numbered in the order of the visit, so that the
same expression always gives the same text.

Manual 8.13.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import singledispatchmethod
from types import MappingProxyType

from . import algebra
from .algebra import Condition, Relation
from .dialect import Dialect
from .text import SQL, Param, conjunction, join, parenthesized

Attributes = Callable[[str], SQL]

#: As many rows as there are.
_ALL = 2**63 - 1


@dataclass
class _Select:
    """A SELECT statement in the making.

    Attributes
    ----------
    source : SQL
        What stands after FROM.
    columns : dict
        Attribute → the SQL that computes it in this statement.
    tables : int
        How many tables and subqueries ``source`` joins.
    where : list of SQL
        Conditions on the rows of the source.
    group_by : list of SQL, or None
        None: not grouped; empty: all rows form one group.
    given : frozenset of str
        In a grouped statement, the attributes that have one value in each group.
    having : list of SQL
        Conditions on the groups.
    volatile : frozenset of str
        Attributes that may differ each time they are computed.
    indexed : frozenset of str
        Attributes with which an index of the only table begins.
    union : SQL, or None
        The union that ``source`` encloses, if it is one.
    """

    source: SQL
    columns: dict[str, SQL]
    tables: int = 1
    where: list[SQL] = field(default_factory=list)
    group_by: list[SQL] | None = None
    given: frozenset[str] = frozenset()
    having: list[SQL] = field(default_factory=list)
    order: list[SQL] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0
    volatile: frozenset[str] = frozenset()
    indexed: frozenset[str] = frozenset()
    union: SQL | None = None

    @property
    def sliced(self) -> bool:
        return bool(self.order or self.limit is not None or self.offset)

    @property
    def plain(self) -> bool:
        """Whether further joins and conditions can merge into the statement."""
        return self.group_by is None and not self.sliced

    def operand(self, name: str) -> SQL:
        """Return the SQL of an attribute as it can stand inside an expression."""
        column = self.columns[name]
        return column if _is_column(column) else parenthesized(column)


class Writer:
    """Writes one statement.

    Parameters
    ----------
    dialect : Dialect
    """

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._aliases = 0

    # -- statements -------------------------------------------------------------------------------

    def select(
        self,
        relation: Relation,
        attributes: Iterable[str],
        types: algebra.Types = MappingProxyType({}),
    ) -> SQL:
        """Select attributes of a relation, in this order.

        Parameters
        ----------
        relation : Relation
        attributes : iterable of str
        types : mapping
            The types of attributes whose values leave the database.
        """
        names = list(attributes)
        statement = self._visit(relation, frozenset(names))
        if types:
            fetched = self.dialect.fetched
            statement.columns |= {n: fetched(statement.columns[n], types.get(n)) for n in names}
        if statement.union is not None and self._is_whole_union(statement, names):
            return statement.union
        return self._emit(statement, names)

    def _is_whole_union(self, statement: _Select, names: list[str]) -> bool:
        """Tell whether a union is selected as it is."""
        return (
            statement.plain
            and not statement.where
            and names == list(statement.columns)
            and all(_is_column(statement.columns[n], self.dialect.quote(n)) for n in names)
        )

    def count(self, relation: Relation) -> SQL:
        """Count the entities of a relation."""
        statement = self._visit(relation, frozenset())
        statement.order = []
        if not statement.plain:
            statement = self._nest(statement, [])
        return SQL("SELECT COUNT(*)", self._body(statement))

    def counts(self, relations: Iterable[Relation]) -> SQL:
        """Count the entities of several relations, in one row."""
        counts = (parenthesized(self.count(relation)) for relation in relations)
        return SQL("SELECT ", join(", ", counts))

    def exists(self, relation: Relation) -> SQL:
        """Tell whether a relation has any entity: 1 or 0."""
        statement = self._visit(relation, frozenset())
        statement.order = []
        if statement.sliced and statement.group_by is not None:
            statement = self._nest(statement, [])  # MariaDB drops GROUP BY inside of EXISTS
        return SQL("SELECT ", self._exists(statement))

    def clauses(self, relation: Relation, attributes: Iterable[str]) -> tuple[SQL, SQL | None]:
        """Write what stands after FROM and after WHERE to select attributes by their names.

        The restrictions of a table stand after WHERE; anything else is a subquery.
        """
        source, conditions = algebra.unrestricted(relation)
        if not isinstance(source, algebra.Stored):
            return SQL("(", self.select(relation, attributes), f") AS {self._alias()}"), None
        table = self.dialect.table(source.schema, source.name)
        qualified = any(map(algebra.refers_to_relations, conditions))
        prefix = f"{table}." if qualified else ""
        parts = [
            self._condition(part, lambda name: SQL(prefix + self.dialect.quote(name)))
            for part in conditions
        ]
        return SQL(table), conjunction(parts) if parts else None

    def where(self, condition: Condition, attribute: Attributes) -> SQL:
        """Write a condition alone, for UPDATE and DELETE."""
        return self._condition(condition, attribute)

    # -- relations --------------------------------------------------------------------------------

    @singledispatchmethod
    def _visit(self, relation: Relation, needed: frozenset[str]) -> _Select:
        raise TypeError(f"{relation!r} is no relation")

    @_visit.register
    def _(self, relation: algebra.Stored, needed: frozenset[str]) -> _Select:
        alias = self._alias()
        return _Select(
            source=SQL(f"{self.dialect.table(relation.schema, relation.name)} AS {alias}"),
            columns={
                name: SQL(f"{alias}.{self.dialect.quote(name)}")
                for name in relation.attributes
                if name in needed
            },
            indexed=relation.indexed,
        )

    @_visit.register
    def _(self, relation: algebra.Listing, needed: frozenset[str]) -> _Select:
        return self._subquery(SQL(relation.query), relation.attributes)

    @_visit.register
    def _(self, relation: algebra.Restriction, needed: frozenset[str]) -> _Select:
        used = algebra.attributes_of(relation.condition)
        statement = self._visit(relation.source, needed | used)
        if (
            statement.sliced
            or used & statement.volatile
            or self._aggregates_inside(statement, relation.condition)
        ):
            statement = self._nest(statement, sorted(needed | used))
        condition = self._condition(relation.condition, statement.operand)
        if statement.group_by is None or (statement.group_by and used <= statement.given):
            statement.where.append(condition)
        else:
            statement.having.append(condition)
        return statement

    @_visit.register
    def _(self, relation: algebra.Projection, needed: frozenset[str]) -> _Select:
        columns = {name: column for name, column in relation.columns if name in needed}
        used = frozenset[str]().union(*map(_names, columns.values()))
        statement = self._visit(relation.source, used)
        if any(_names(c) & statement.volatile for c in columns.values() if not isinstance(c, str)):
            statement = self._nest(statement, sorted(used))
        statement.volatile = _volatile(columns, statement.volatile)
        statement.given = frozenset(
            name for name, column in columns.items() if _names(column) <= statement.given
        )
        statement.columns = {name: self._column(c, statement) for name, c in columns.items()}
        statement.union = None
        return statement

    @_visit.register
    def _(self, relation: algebra.Distinct, needed: frozenset[str]) -> _Select:
        statement = self._grouped(relation.source, relation.attributes, relation.attributes)
        statement.columns = {name: statement.columns[name] for name in relation.attributes}
        statement.given = frozenset(relation.attributes)
        if not statement.group_by:  # one entity without attributes that vary, if there is any
            statement.group_by, statement.limit = None, 1
        return statement

    @_visit.register
    def _(self, relation: algebra.Join, needed: frozenset[str]) -> _Select:
        wanted = needed | frozenset(relation.on)
        left = self._plain(relation.left, wanted)
        right = self._plain(relation.right, wanted - (frozenset(left.columns) - set(relation.on)))
        if relation.outer and (
            right.tables > 1 or not all(map(_is_column, right.columns.values()))
        ):
            if not (
                self.dialect.keeps_outer_constants or all(map(_refers, right.columns.values()))
            ):
                right.limit = _ALL  # so that the server does not merge it
            right = self._nest(right, sorted(right.columns))
        conditions = [
            _equal(left.operand(name), right.operand(name), name in relation.nullable)
            for name in relation.on
        ] + (right.where if relation.outer else [])
        nested = parenthesized(right.source) if right.tables > 1 else right.source
        return _Select(
            source=SQL(
                left.source,
                " LEFT JOIN " if relation.outer else " JOIN ",
                nested,
                " ON ",
                conjunction(conditions or [SQL("TRUE")]),
            ),
            columns=right.columns | left.columns,
            tables=left.tables + right.tables,
            where=left.where + ([] if relation.outer else right.where),
            volatile=left.volatile | right.volatile,
        )

    @_visit.register
    def _(self, relation: algebra.Aggregation, needed: frozenset[str]) -> _Select:
        columns = {name: column for name, column in relation.columns if name in needed}
        used = frozenset(relation.by).union(*map(_names, columns.values()))
        # Servers do not know that what else has one value in each group depends on the key.
        by = (*relation.by, *sorted(used & relation.given - set(relation.by)))
        statement = self._grouped(relation.source, used, by)
        if not statement.group_by and (by or not relation.universal):
            statement.having.append(SQL("COUNT(*) > 0"))
        statement.given = frozenset(
            name
            for name, column in columns.items()
            if _names(column) <= relation.given
            and not (isinstance(column, algebra.Computed) and column.fragment.aggregates)
        )
        statement.columns = {name: self._column(c, statement) for name, c in columns.items()}
        statement.indexed = frozenset()
        return statement

    @_visit.register
    def _(self, relation: algebra.Union_, needed: frozenset[str]) -> _Select:
        key = list(relation.key)
        left = [name for name in relation.left_attributes if name in needed]
        right = [name for name in relation.right_attributes if name in needed]
        if not left and not right:
            text = SQL(
                self._operand(relation.left, key), " UNION ", self._operand(relation.right, key)
            )
        else:
            both, nullable = (relation.left, relation.right), relation.nullable
            matched = algebra.Join(*both, relation.key, outer=True, nullable=nullable)
            missing = algebra.Negation(algebra.Matching(relation.left, relation.key, nullable))
            rest = algebra.Restriction(relation.right, missing)
            text = SQL(
                self._operand(matched, key + left + right),
                " UNION ALL ",
                self._operand(rest, key + left + right, frozenset(left), relation.types),
            )
        statement = self._subquery(text, key + left + right)
        statement.union = text
        return statement

    @_visit.register
    def _(self, relation: algebra.Slice, needed: frozenset[str]) -> _Select:
        ordered = frozenset[str]().union(*(_names(term.by) for term in relation.order))
        statement = self._visit(relation.source, needed | ordered)
        if statement.sliced:
            statement = self._nest(statement, sorted(needed | ordered))
        ascending, descending = self.dialect.null_order
        statement.order = [
            SQL(
                column,
                " DESC" if term.descending else "",
                (descending if term.descending else ascending) if term.nullable else "",
            )
            for term in relation.order
            for column in _varying([self._column(term.by, statement)])
        ]
        statement.limit, statement.offset = relation.limit, relation.offset
        return statement

    # -- parts of a statement ---------------------------------------------------------------------

    def _alias(self) -> str:
        self._aliases += 1
        return f"t{self._aliases}"

    def _plain(self, relation: Relation, needed: frozenset[str]) -> _Select:
        """Visit an operand that is merged into a larger statement, nested where it must be."""
        statement = self._visit(relation, needed)
        return statement if statement.plain else self._nest(statement, sorted(needed))

    def _grouped(self, relation: Relation, needed: Iterable[str], by: Iterable[str]) -> _Select:
        """Visit and group an operand, nested where a server groups by columns only."""
        statement = self._plain(relation, frozenset(needed))
        columns = _varying(statement.columns[name] for name in by)
        if not self.dialect.groups_expressions and not all(map(_is_column, columns)):
            statement = self._nest(statement, sorted(statement.columns))
            columns = _varying(statement.columns[name] for name in by)
        statement.group_by = columns
        return statement

    def _operand(
        self,
        relation: Relation,
        names: list[str],
        absent: frozenset[str] = frozenset(),
        types: algebra.Types = MappingProxyType({}),
    ) -> SQL:
        """Write an operand of UNION, with NULL for the attributes that it does not have."""
        statement = self._visit(relation, frozenset(names) - absent)
        if statement.sliced:
            statement = self._nest(statement, sorted(statement.columns))
        statement.columns |= {name: SQL(self.dialect.null(types.get(name))) for name in absent}
        statement.given |= absent
        return self._emit(statement, names)

    def _nest(self, statement: _Select, names: Iterable[str]) -> _Select:
        """Make a statement the subquery of another."""
        names = [name for name in names if name in statement.columns]
        nested = self._subquery(self._emit(statement, names), names)
        # Outside, a NULL that was written goes with any type; a column of it would be a text.
        nested.columns |= {n: c for n in names if str(c := statement.columns[n]) == "NULL"}
        return nested

    def _subquery(self, text: SQL, names: Iterable[str]) -> _Select:
        alias = self._alias()
        return _Select(
            source=SQL("(", text, f") AS {alias}"),
            columns={name: SQL(f"{alias}.{self.dialect.quote(name)}") for name in names},
        )

    def _column(self, column: algebra.Column, source: _Select) -> SQL:
        if isinstance(column, str):
            return source.columns[column]
        if isinstance(column, algebra.JsonValue):
            return self._json_value(column, source.operand)
        expression = self.dialect.fragment(column.fragment, source.operand, column.types)
        return self.dialect.computed(expression, column.fragment.result_type(column.types))

    def _json_value(self, place: algebra.JsonValue, attribute: Attributes) -> SQL:
        column = attribute(place.attribute)
        if not place.steps:
            return column
        value = self.dialect.json_value(column, place.steps, place.type)
        return self.dialect.computed(value, place.type)

    def _emit(self, statement: _Select, names: list[str]) -> SQL:
        if statement.group_by == [] and statement.given.issuperset(names):
            # All rows are one group only if an aggregate is selected.
            if statement.given.issuperset(statement.columns):
                statement.columns["count"] = SQL("COUNT(*)")
            statement = self._nest(statement, list(statement.columns))
        columns = [
            statement.columns[name]
            if _is_column(statement.columns[name], self.dialect.quote(name))
            else SQL(statement.columns[name], f" AS {self.dialect.quote(name)}")
            for name in names
        ]
        return SQL("SELECT ", join(", ", columns or [SQL("1")]), self._body(statement))

    def _body(self, statement: _Select) -> SQL:
        parts = [SQL(" FROM ", statement.source)]
        if statement.where:
            parts.append(SQL(" WHERE ", conjunction(statement.where)))
        if statement.group_by:
            parts.append(SQL(" GROUP BY ", join(", ", statement.group_by)))
        if statement.having:
            parts.append(SQL(" HAVING ", conjunction(statement.having)))
        if statement.order:
            parts.append(SQL(" ORDER BY ", join(", ", statement.order)))
        if statement.limit is not None:
            parts.append(SQL(" LIMIT ", Param(statement.limit)))
        elif statement.offset:
            parts.append(SQL(" LIMIT ", Param(_ALL)))
        if statement.offset:
            parts.append(SQL(" OFFSET ", Param(statement.offset)))
        return SQL(*parts)

    # -- conditions -------------------------------------------------------------------------------

    @singledispatchmethod
    def _condition(self, condition: Condition, attribute: Attributes) -> SQL:
        raise TypeError(f"{condition!r} is no condition")

    @_condition.register
    def _(self, condition: algebra.Constant, attribute: Attributes) -> SQL:
        return SQL("TRUE" if condition.value else "FALSE")

    @_condition.register
    def _(self, condition: algebra.Written, attribute: Attributes) -> SQL:
        return self.dialect.fragment(condition.fragment, attribute, condition.types, condition=True)

    @_condition.register
    def _(self, condition: algebra.Equal, attribute: Attributes) -> SQL:
        column = attribute(condition.attribute)
        if condition.value is None:
            return SQL(column, " IS NULL")
        return SQL(column, " = ", Param(condition.value))

    @_condition.register
    def _(self, condition: algebra.HasValue, attribute: Attributes) -> SQL:
        value = self._json_value(condition.place, attribute)
        if condition.value is None:
            return SQL(parenthesized(value), " IS NULL")
        if condition.place.type.category == "json":
            return self.dialect.json_equals(value, condition.value)
        return SQL(parenthesized(value), " = ", Param(condition.value))

    @_condition.register
    def _(self, condition: algebra.OneOf, attribute: Attributes) -> SQL:
        if not condition.rows:
            return SQL("FALSE")
        values = self.dialect.key_set(condition.rows, condition.types)
        return SQL(self._row(condition.attributes, attribute), " IN (", values, ")")

    @_condition.register
    def _(self, condition: algebra.Matching, attribute: Attributes) -> SQL:
        return self._matching(condition, attribute, negated=False)

    @_condition.register
    def _(self, condition: algebra.AllOf, attribute: Attributes) -> SQL:
        parts = [self._condition(part, attribute) for part in condition.conditions]
        return conjunction(parts or [SQL("TRUE")])

    @_condition.register
    def _(self, condition: algebra.AnyOf, attribute: Attributes) -> SQL:
        parts = [self._condition(part, attribute) for part in condition.conditions]
        return conjunction(parts, "OR") if parts else SQL("FALSE")

    @_condition.register
    def _(self, condition: algebra.Negation, attribute: Attributes) -> SQL:
        if isinstance(condition.condition, algebra.Matching):
            return self._matching(condition.condition, attribute, negated=True)
        return SQL("(", self._condition(condition.condition, attribute), ") IS NOT TRUE")

    def _matching(
        self, condition: algebra.Matching, attribute: Attributes, *, negated: bool
    ) -> SQL:
        """Write a semijoin, or an antijoin, which a NULL on either side never empties.

        A correlated EXISTS needs an index to be fast where the planner makes no semijoin of it;
        without one, IN over an uncorrelated subquery is as fast as one pass over both sides.
        """
        names, nullable = condition.attributes, condition.nullable
        inner = self._plain(condition.relation, frozenset(names))
        indexed = bool(inner.indexed & frozenset(names))
        if not names or nullable or self.dialect.plans_exists or indexed:
            inner.where += [_equal(inner.operand(n), attribute(n), n in nullable) for n in names]
            exists = self._exists(inner)
            return SQL("NOT ", exists) if negated else exists
        members = SQL(self._row(names, attribute), " IN (", self._emit(inner, list(names)), ")")
        return SQL("(", members, ") IS NOT TRUE") if negated else members

    def _exists(self, statement: _Select) -> SQL:
        return SQL("EXISTS (", self._emit(statement, []), ")")

    @staticmethod
    def _aggregates_inside(statement: _Select, condition: Condition) -> bool:
        """Tell whether aggregates would stand in a subquery of the condition: as its own there."""
        return (
            statement.group_by is not None
            and algebra.refers_to_relations(condition)
            and not algebra.attributes_of(condition) <= statement.given
        )

    @staticmethod
    def _row(names: Iterable[str], attribute: Attributes) -> SQL:
        columns = [attribute(name) for name in names]
        return columns[0] if len(columns) == 1 else parenthesized(join(", ", columns))


def _is_column(sql: SQL, name: str = "") -> bool:
    """Tell whether SQL is a bare column of a table or subquery: one of that (quoted) name."""
    (first, *rest) = sql.chunks
    return (
        not rest
        and isinstance(first, str)
        and re.match(r"t\d+\.", first) is not None
        and (not name or first.endswith(f".{name}"))
    )


def _equal(left: SQL, right: SQL, nullable: bool) -> SQL:
    """Compare two attributes; NULL equals NULL where it is a value."""
    equal = SQL(left, " = ", right)
    if not nullable:
        return equal
    return SQL("(", equal, " OR (", left, " IS NULL AND ", right, " IS NULL))")


def _varying(columns: Iterable[SQL]) -> list[SQL]:
    """Leave out constants, which GROUP BY and ORDER BY would take for positions."""
    return [column for column in columns if not _CONSTANT.fullmatch(str(column))]


_CONSTANT = re.compile(
    r"""[-+(\s]* (?: NULL | [\d.]+ (?:e[-+]?\d+)? | '(?:[^']|'')*' | "(?:[^"]|"")*" ) [)\s]*
    (?: COLLATE\ .* )?""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def _refers(sql: SQL) -> bool:
    """Tell whether SQL refers to any column."""
    texts = (chunk for chunk in sql.chunks if isinstance(chunk, str))
    return any(re.search(r"\bt\d+\.", text) for text in texts)


def _names(column: algebra.Column) -> frozenset[str]:
    if isinstance(column, algebra.Computed):
        return frozenset(column.fragment.names)
    return frozenset([column.attribute if isinstance(column, algebra.JsonValue) else column])


def _volatile(columns: Mapping[str, algebra.Column], source: frozenset[str]) -> frozenset[str]:
    return frozenset(
        name
        for name, column in columns.items()
        if (
            column.fragment.volatile
            if isinstance(column, algebra.Computed)
            else bool(_names(column) & source)
        )
    )
