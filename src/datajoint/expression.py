"""Query expressions: the operators of the relational algebra, and what fetches their results.

Expressions are immutable: every operator makes a new one, whose heading is known at once and
which is run only when something is fetched. Manual chapter 8.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from types import EllipsisType
from typing import Any, TypeVar

from . import preview
from .compatibility import (
    check_join_compatible,
    check_same_database,
    check_union_compatible,
)
from .condition import (
    AndList,
    Not,
    Top,
    Universal,
    as_expression,
    as_restriction,
    make_condition,
    make_order,
    negate,
)
from .connection import Connection
from .errors import DataJointError
from .heading import Heading
from .projection import project
from .retrieval import Fetchable
from .sql import algebra
from .sql.algebra import Relation
from .sql.select import Writer

Expression = TypeVar("Expression", bound="QueryExpression")


class QueryExpression(Fetchable):
    """A query: a table, or what operators made of tables.

    Operators: ``&`` and ``-`` restrict, ``*`` joins, ``proj`` projects, ``aggr`` aggregates and
    ``+`` unites. ``^`` and ``@`` restrict and join without checking join compatibility.
    """

    _connection: Connection | None = None
    _heading: Heading | None = None
    _relation: Relation | None = None
    _restriction: tuple[Any, ...] = ()

    @classmethod
    def _make(cls, connection: Connection, heading: Heading, relation: Relation) -> QueryExpression:
        expression = cls()
        expression._connection = connection
        expression._heading = heading
        expression._relation = relation
        return expression

    # -- what an expression is ------------------------------------------------------------------

    @property
    def connection(self) -> Connection:
        """The connection to the database."""
        assert self._connection is not None
        return self._connection

    @property
    def heading(self) -> Heading:
        """The attributes of the result."""
        assert self._heading is not None
        return self._heading

    @property
    def relation(self) -> Relation:
        """The expression as a value of the algebra."""
        assert self._relation is not None
        return self._relation

    @property
    def primary_key(self) -> list[str]:
        """The names of the attributes that identify an entity of the result."""
        return self.heading.primary_key

    @property
    def restriction(self) -> AndList:
        """The conditions, as given, by which this expression itself was restricted."""
        return AndList(self._restriction)

    @property
    def _label(self) -> str:
        """What errors call the expression."""
        return "a query"

    def make_sql(self, fields: Iterable[str] | None = None) -> str:
        """Show the statement that fetches the result, with its values in place.

        Parameters
        ----------
        fields : iterable of str, optional
            The attributes to select; all of them by default.

        Raises
        ------
        UnknownAttributeError
            When one is not in the heading.
        """
        names = self.heading.names if fields is None else [self.heading[n].name for n in fields]
        dialect = self.connection.dialect
        return Writer(dialect).select(self.relation, names).filled(dialect.literal)

    def from_clause(self) -> str:
        """Write what stands after FROM in a statement of the user that selects from the result.

        ``f"SELECT … FROM {query.from_clause()}{query.where_clause()}"`` has the entities of the
        query. The clause is the name of a table, and a subquery for anything else.
        """
        return self._clauses()[0]

    def where_clause(self) -> str:
        """Write `` WHERE `` and the restrictions of a table; nothing where there are none."""
        return self._clauses()[1]

    def _clauses(self) -> tuple[str, str]:
        dialect = self.connection.dialect
        source, condition = Writer(dialect).clauses(self.relation, self.heading.names)
        where = "" if condition is None else f" WHERE {condition.filled(dialect.literal)}"
        return source.filled(dialect.literal), where

    # -- restriction ----------------------------------------------------------------------------

    def restrict(self: Expression, restriction: Any, semantic_check: bool = True) -> Expression:
        """Select the entities that meet a condition; the same as ``self & restriction``.

        Parameters
        ----------
        restriction
            A string, mapping, list, table, query, boolean, ``AndList``, ``Not``, ``Top``,
            ``DataFrame`` or record: manual 8.6.
        semantic_check : bool
            Whether a query must be join-compatible.

        Returns
        -------
        QueryExpression
            Of the same class: a restricted table is a table.

        Raises
        ------
        DataJointError
            When the restriction is none of these, or the query is not join-compatible.
        """
        restriction = as_restriction(restriction)
        if isinstance(restriction, Top):
            return self._sliced(restriction)
        if _has_top(restriction):
            result = self
            for member in restriction:
                result = result.restrict(member, semantic_check)
            return result
        condition = self._condition(restriction, semantic_check)
        if condition == algebra.Constant(True):
            return self
        return self._restricted(condition, restriction)

    def _restricted(self: Expression, condition: algebra.Condition, restriction: Any) -> Expression:
        result = copy.copy(self)
        result._relation = algebra.Restriction(self.relation, condition)
        result._restriction = (*self._restriction, restriction)
        return result

    def _sliced(self: Expression, top: Top) -> Expression:
        order = make_order(self.heading, top.order_by)
        result = copy.copy(self)
        result._relation = algebra.Slice(self.relation, order, top.limit, top.offset)
        result._restriction = (*self._restriction, top)
        return result

    def _condition(self, restriction: Any, semantic_check: bool) -> algebra.Condition:
        """Make a condition, and check that every query in it can be matched with this one."""

        def check(query: QueryExpression) -> None:
            check_same_database(self, query)
            if semantic_check:
                check_join_compatible(self, query)

        return make_condition(self.heading, restriction, self.connection.dialect, check)

    def __and__(self: Expression, restriction: Any) -> Expression:
        """Restrict: ``A & cond`` has the entities of A that meet the condition."""
        return self.restrict(restriction)

    def __xor__(self: Expression, restriction: Any) -> Expression:
        """Restrict without checking join compatibility."""
        return self.restrict(restriction, semantic_check=False)

    def __sub__(self: Expression, restriction: Any) -> Expression:
        """Exclude: ``A - cond`` has the entities of A that do not meet the condition."""
        restriction = as_restriction(restriction)
        if isinstance(restriction, Top):
            raise DataJointError("dj.Top cannot be excluded; restrict by it with `&`")
        condition = self._condition(restriction, semantic_check=True)
        return self._restricted(negate(condition), Not(restriction))

    def __neg__(self) -> Not:
        return Not(self)

    __invert__ = __neg__

    # -- join -----------------------------------------------------------------------------------

    def join(self, other: Any, semantic_check: bool = True, left: bool = False) -> QueryExpression:
        """Combine the matching entities of two expressions; the same as ``self * other``.

        Parameters
        ----------
        other : QueryExpression, table class or dj.U
        semantic_check : bool
            Whether the operands must be join-compatible (manual 8.5.3).
        left : bool
            Keep the entities of ``self`` without a match, the attributes of ``other`` being NULL.

        Returns
        -------
        QueryExpression
            Its primary key is the union of the primary keys of the operands.

        Raises
        ------
        DataJointError
            When an attribute of the same name is secondary in both operands.
        """
        other = as_expression(other)
        if isinstance(other, U):
            return other * self
        if not isinstance(other, QueryExpression):
            raise DataJointError(
                f"A table can be joined with a table or a query, not with {other!r}"
            )
        check_same_database(self, other)
        if semantic_check:
            check_join_compatible(self, other)
        heading = self.heading.joined(other.heading, outer=left)
        common = tuple(name for name in self.heading.names if name in other.heading)
        relation = algebra.Join(self.relation, other.relation, common, outer=left)
        return QueryExpression._make(self.connection, heading, relation)

    def __mul__(self, other: Any) -> QueryExpression:
        """Join: ``A * B`` has all matching combinations of the entities of both."""
        return self.join(other)

    def __matmul__(self, other: Any) -> QueryExpression:
        """Join without checking join compatibility."""
        return self.join(other, semantic_check=False)

    # -- projection -----------------------------------------------------------------------------

    def proj(self, *attributes: str | EllipsisType, **named_attributes: str) -> QueryExpression:
        """Select, rename and compute attributes. The primary key is always included.

        Parameters
        ----------
        *attributes
            Names of attributes; ``...`` for all secondary ones; ``'-name'`` to leave one out.
        **named_attributes
            ``new='old'`` renames; ``new='expression'`` computes.

        Returns
        -------
        QueryExpression
            With the same entities.

        Raises
        ------
        UnknownAttributeError
            When an attribute is not in the heading.
        DataJointError
            When two attributes get the same name, or one of the primary key is left out.
        """
        columns, heading = project(self.heading, self.heading, attributes, named_attributes)
        for _, column in columns:
            if isinstance(column, algebra.Computed) and column.fragment.aggregates:
                raise DataJointError(
                    f"`proj` cannot aggregate, as in {column.fragment.text!r}; use `aggr`, whose "
                    "first argument is the table to aggregate"
                )
        if [name for name, _ in columns] == self.heading.names and all(
            name == column for name, column in columns
        ):
            relation = self.relation
        else:
            relation = algebra.Projection(self.relation, columns)
        return QueryExpression._make(self.connection, heading, relation)

    # -- aggregation ----------------------------------------------------------------------------

    def aggr(
        self,
        group: Any = None,
        *attributes: str | EllipsisType,
        keep_all_rows: bool = False,
        **named_attributes: str,
    ) -> QueryExpression:
        """Compute attributes from the matching entities of another expression.

        Parameters
        ----------
        group : QueryExpression or table class, optional
            What is aggregated; without it, `aggr` is :meth:`proj`.
        *attributes
            Attributes of ``self`` to include, as in :meth:`proj`.
        keep_all_rows : bool
            Keep the entities without a match: ``count(*)`` is 1 for them, and ``count`` of an
            attribute of ``group`` is 0.
        **named_attributes
            ``new='expression'``, which may aggregate the attributes of ``group``.

        Returns
        -------
        Aggregation
            With the primary key of ``self``.

        Raises
        ------
        UnknownAttributeError
            When an attribute is in neither heading.
        DataJointError
            When the operands are not join-compatible.

        Notes
        -----
        Manual 8.9. Without ``keep_all_rows``, entities without a match are left out.
        """
        if group is None and not keep_all_rows:
            return self.proj(*attributes, **named_attributes)
        group = as_expression(group)
        if not isinstance(group, QueryExpression):
            raise DataJointError(
                f"The first argument of `aggr` is the table or query to aggregate, not {group!r}"
            )
        joined = self.join(group, left=keep_all_rows)
        columns, heading = project(self.heading, joined.heading, attributes, named_attributes)
        given = frozenset(self.heading.names)
        _check_grouped(columns, given)
        relation = algebra.Aggregation(joined.relation, tuple(self.primary_key), given, columns)
        return Aggregation._make(self.connection, heading, relation)

    aggregate = aggr

    # -- union ----------------------------------------------------------------------------------

    def __add__(self, other: Any) -> QueryExpression:
        """Unite: ``A + B`` has the entities of both, matched by primary key (manual 8.10).

        Raises
        ------
        DataJointError
            When the primary keys differ, or the operands share a secondary attribute.
        """
        other = as_expression(other)
        if not isinstance(other, QueryExpression):
            raise DataJointError(f"A table can be united with a table or query, not with {other!r}")
        return Union._unite(self, other)

    # -- preview --------------------------------------------------------------------------------

    def preview(self, limit: int | None = None, width: int | None = None) -> str:
        """Show the first entities as text, as ``repr`` does.

        Parameters
        ----------
        limit, width : int, optional
            How many entities, and how wide a column is at the most: settings ``display.limit``
            and ``display.width`` by default.
        """
        return preview.preview(self, limit, width)

    def __repr__(self) -> str:
        return preview.preview(self, None, None)

    def _repr_html_(self) -> str:
        return preview.repr_html(self)


def _has_top(restriction: Any) -> bool:
    """Tell whether one of the conditions that are applied one after another is a ``Top``."""
    return isinstance(restriction, AndList) and any(
        isinstance(member, Top) or _has_top(member) for member in restriction
    )


class Aggregation(QueryExpression):
    """What ``aggr`` makes."""


class Union(QueryExpression):
    """What ``+`` makes."""

    @classmethod
    def _unite(cls, left: QueryExpression, right: QueryExpression) -> QueryExpression:
        check_same_database(left, right)
        if set(left.primary_key) != set(right.primary_key):
            raise DataJointError(
                "The operands of a union must have the same primary key; they have "
                f"({', '.join(left.primary_key)}) and ({', '.join(right.primary_key)})"
            )
        shared = [n for n in left.heading.secondary_attributes if n in right.heading]
        if shared:
            renamed = ", ".join(f"other_{name}='{name}'" for name in shared)
            raise DataJointError(
                f"The operands of a union must not share secondary attributes: {', '.join(shared)};"
                f" rename or leave them out in one of them, as in `.proj({renamed})`"
            )
        check_union_compatible(left, right)
        heading = left.heading.joined(right.heading, outer=True)
        key = set(left.primary_key)
        heading = heading.derived(
            a if a.name in key else replace(a, nullable=True) for a in heading.all_attributes
        )
        relation = algebra.Union_(
            left.relation,
            right.relation,
            tuple(left.primary_key),
            tuple(left.heading.secondary_attributes),
            tuple(right.heading.secondary_attributes),
            left.heading.types | right.heading.types,
            frozenset(n for n in key if left.heading[n].nullable and right.heading[n].nullable),
        )
        return cls._make(left.connection, heading, relation)


def _check_grouped(columns: Iterable[tuple[str, algebra.Column]], given: frozenset[str]) -> None:
    """Refuse an attribute of what is aggregated that stands outside of an aggregating function."""
    for new, column in columns:
        if isinstance(column, algebra.JsonValue) and column.attribute not in given:
            raise DataJointError(
                f"aggr: `{new}` is a path into the attribute `{column.attribute}`, which has many "
                "values for each entity; compute it before, by `proj`, and aggregate that"
            )
        bare = column.fragment.bare - given if isinstance(column, algebra.Computed) else frozenset()
        if isinstance(column, algebra.Computed) and bare:
            name = min(bare)
            raise DataJointError(
                f"aggr: `{new}` uses the attribute `{name}`, which has many values for each "
                f"entity, outside of an aggregating function: {column.fragment.text!r}; write for "
                f"example `max({name})`"
            )


class U(Universal):
    """A universal set: all possible entities with some attributes (manual 8.11).

    ``dj.U('a', 'b') & query`` has the distinct values of ``a`` and ``b`` in the query;
    ``dj.U('a').aggr(query, …)`` aggregates for each distinct ``a``; ``dj.U('a') * query`` makes
    ``a`` a part of the primary key.

    Parameters
    ----------
    *primary_key : str
        The attributes.
    """

    def __init__(self, *primary_key: str) -> None:
        for name in primary_key:
            if not isinstance(name, str):
                raise DataJointError(
                    f"dj.U takes names of attributes, each by itself, not {name!r}"
                )
        self._primary_key = tuple(dict.fromkeys(primary_key))

    @property
    def primary_key(self) -> tuple[str, ...]:
        return self._primary_key

    def _check(self, query: Any, verb: str) -> QueryExpression:
        expression = as_expression(query)
        if not isinstance(expression, QueryExpression):
            raise DataJointError(f"dj.U can be {verb} a table or a query, not {query!r}")
        for name in self._primary_key:
            if name not in expression.heading:
                raise expression.heading.unknown(name, " of the query that dj.U refers to")
        return expression

    def __and__(self, other: Any) -> QueryExpression:
        query = self._check(other, "restricted by")
        attributes = [
            replace(query.heading[name], in_key=True, autoincrement=False)
            for name in self._primary_key
        ]
        relation: Relation
        if set(query.primary_key) <= set(self._primary_key) and query.primary_key:
            relation = self._universal(query, self._primary_key)
        else:
            relation = algebra.Distinct(query.relation, self._primary_key)
        heading = query.heading.derived(attributes)
        return QueryExpression._make(query.connection, heading, relation)

    def __mul__(self, other: Any) -> QueryExpression:
        query = self._check(other, "joined with")
        key = [*query.primary_key, *(n for n in self._primary_key if n not in query.primary_key)]
        rest = [name for name in query.heading.names if name not in key]
        heading = query.heading.derived(
            replace(query.heading[name], in_key=name in key) for name in key + rest
        )
        relation = self._universal(query, heading.names) if self._primary_key else query.relation
        return QueryExpression._make(query.connection, heading, relation)

    def _universal(self, query: QueryExpression, names: Iterable[str]) -> Relation:
        """Select attributes, those of the universal set among them, which match any."""
        columns = tuple((name, name) for name in names)
        return algebra.Projection(query.relation, columns, frozenset(self._primary_key))

    # Any attribute matches those of a universal set: there is nothing to check.
    __xor__, __matmul__ = __and__, __mul__

    def join(self, other: Any, left: bool = False, semantic_check: bool = True) -> QueryExpression:
        """Join with a query; the same as ``self * other``."""
        if left:
            raise DataJointError(
                "dj.U has all possible entities: it cannot be joined from the left"
            )
        return self.__mul__(other)

    def __sub__(self, other: Any) -> QueryExpression:
        raise DataJointError("Nothing can be excluded from dj.U: the result would be infinite")

    def aggr(
        self,
        group: Any,
        *attributes: str | EllipsisType,
        keep_all_rows: bool = False,
        **named_attributes: str,
    ) -> QueryExpression:
        """Aggregate for each distinct combination of the attributes.

        Parameters
        ----------
        group : QueryExpression or table class
            What is aggregated; it has the attributes.
        *attributes
            Nothing but the attributes of the universal set, which are there anyway.
        **named_attributes
            ``new='expression'``.

        Returns
        -------
        Aggregation
            One entity for all of ``group``, even if it is empty, for ``dj.U()``.
        """
        if keep_all_rows:
            raise DataJointError("keep_all_rows has no meaning for the infinite dj.U")
        query = self._check(group, "aggregated over")
        own = query.heading.derived(
            replace(query.heading[name], in_key=True) for name in self._primary_key
        )
        columns, heading = project(own, query.heading, attributes, named_attributes)
        given = frozenset(self._primary_key)
        _check_grouped(columns, given)
        relation = algebra.Aggregation(
            query.relation, self._primary_key, given, columns, universal=True
        )
        return Aggregation._make(query.connection, heading, relation)

    aggregate = aggr

    def __repr__(self) -> str:
        return f"dj.U({', '.join(map(repr, self._primary_key))})"
