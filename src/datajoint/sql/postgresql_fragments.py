"""The SQL of PostgreSQL: how fragments are written, and where truth is a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ErrorLevel

from ..types import AttributeType
from . import postgresql_dates as dates
from . import postgresql_functions as functions
from .json_operators import json_operator, unquoted_operand
from .postgresql_json import json_text
from .postgresql_values import FragmentGenerator, Writer, from_template

# -- truth ----------------------------------------------------------------------------------------


class _NonZero(exp.Unary, exp.Predicate):
    """The truth of a value that is no boolean."""


_PREDICATES = (exp.Predicate, exp.Connector, exp.Not, exp.Boolean)
_CLAUSES = (exp.Connector, exp.Not, exp.Where, exp.Having, exp.Join)
#: What stands where its content does.
_TRANSPARENT = (exp.Paren, exp.Escape)


def _is_condition(g: FragmentGenerator, node: exp.Expr) -> bool:
    """Tell whether a node stands where PostgreSQL wants a boolean."""
    parent = node.parent
    if isinstance(parent, _TRANSPARENT):
        return _is_condition(g, parent)
    if isinstance(parent, exp.If) and node.arg_key == "this":
        case = parent.parent if parent.arg_key == "ifs" else None
        return case is None or case.args.get("this") is None
    if isinstance(parent, exp.Is):
        return isinstance(parent.expression, exp.Boolean)
    return g.condition if parent is None else isinstance(parent, _CLAUSES)


def _is_boolean(g: FragmentGenerator, node: exp.Expr) -> bool:
    if isinstance(node, exp.Column):
        type_ = g.attribute_types.get(node.name)
        return type_ is not None and type_.category == "bool"
    return isinstance(node, _PREDICATES)


# -- the generator --------------------------------------------------------------------------------

#: Functions that the parser has no class for.
_NAMED: Mapping[str, Writer | str] = {**dates.NAMED, **functions.NAMED}


def _anonymous(g: FragmentGenerator, node: Any) -> str:
    """Write a function that the parser has no class for."""
    unquoted = unquoted_operand(node)
    if unquoted is not None:
        return _json(g, unquoted)
    writer = _NAMED.get(node.name.lower())
    if writer is None:
        return g.func(node.name, *node.expressions)
    return (from_template(writer) if isinstance(writer, str) else writer)(g, node)


def _json(g: FragmentGenerator, node: exp.Expr) -> str:
    operator = json_operator(node)
    return json_text(g.sql(operator.document), operator.steps, unquoted=operator.unquoted)


class _Generator(FragmentGenerator):
    """Writes a parsed MySQL expression for PostgreSQL."""

    def sql(
        self, expression: str | exp.Expr | None, key: str | None = None, comment: bool = True
    ) -> str:
        """Write a node; truth is a number where PostgreSQL wants no boolean."""
        text: str = super().sql(expression, key, comment)
        if key or not isinstance(expression, exp.Expr) or not _is_boolean(self, expression):
            return text
        return text if _is_condition(self, expression) else f"CAST({text} AS integer)"

    TRANSFORMS: ClassVar[dict[Any, Any]] = {
        **FragmentGenerator.TRANSFORMS,
        **dates.TRANSFORMS,
        **functions.TRANSFORMS,
        _NonZero: from_template("{this:number} <> 0"),
        exp.Anonymous: _anonymous,
        exp.JSONExtract: _json,
        exp.JSONExtractScalar: _json,
    }


def translate(tree: exp.Expr, types: Mapping[str, AttributeType | None], condition: bool) -> str:
    """Write a parsed fragment for PostgreSQL, where truth is no number."""
    generator = _Generator(dialect=Postgres(), unsupported_level=ErrorLevel.IGNORE)
    generator.attribute_types = types
    generator.condition = condition
    for node in list(tree.walk()):
        plain = not isinstance(node, _TRANSPARENT) and not _is_boolean(generator, node)
        if plain and _is_condition(generator, node):
            test = _NonZero()
            tree = test if node is tree else tree
            node.replace(test)
            test.set("this", node)
    return generator.generate(tree, copy=False)
