"""Random query expressions, with the results that the model of the algebra gives.

An expression is drawn as the Python text that a user would write, from the inside out: the model
computes what has been drawn so far, so that attributes and values which occur can be chosen next.
An expression that must be refused is not used any further.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

from . import algebra_model as model
from .algebra_model import Refused, Relation, Row, Scalar
from .algebra_tables import DOMAINS, NAMES, TABLES, Database, below, fold

#: Larger results are not multiplied any more.
MOST_ROWS = 100
MOST_NAMES = 12
NUMBERS = ("int", "real")


@dataclass(frozen=True)
class Expression:
    """The text of an expression, and what the model makes of it.

    Attributes
    ----------
    text : str
    relation : Relation or None
        None if it must be refused.
    ordered : bool
        Whether the order of the entities is known.
    operands : tuple of str
        The texts of the expressions that it is made of, which are not refused.
    """

    text: str
    relation: Relation | None = field(repr=False)
    operands: tuple[str, ...] = field(default=(), repr=False)
    ordered: bool = False


class Drawing:
    """Draws expressions on one database.

    Parameters
    ----------
    draw : callable
        Of Hypothesis.
    rows : dict
        The database.
    operators : Counter
        Where the operators drawn are counted.
    """

    def __init__(self, draw: Any, rows: Database, operators: Counter[str]) -> None:
        self._draw = draw
        self._tables = {name: table.relation(rows[name]) for name, table in TABLES.items()}
        self._counts = operators

    def one(self, values: Sequence[Any]) -> Any:
        """Draw one of some values; the first, when examples are made simpler."""
        return values[self._draw(below(len(values)))]

    def some(self, values: Iterable[Any], most: int) -> list[Any]:
        """Draw different values."""
        left = list(values)
        size = self._draw(below(min(most, len(left)) + 1))
        return [left.pop(self._draw(below(len(left)))) for _ in range(size)]

    def chance(self, percent: int) -> bool:
        """Draw whether something rare happens; not, when examples are made simpler."""
        return bool(self._draw(below(100)) >= 100 - percent)

    # -- relations --------------------------------------------------------------------------------

    def expression(self, depth: int) -> Expression:
        """Draw an expression of that depth, unless it must be refused at a lesser one."""
        if depth == 0:
            table = self.one(list(TABLES))
            return Expression(table, self._tables[table])
        operand = self.expression(depth - 1)
        if operand.relation is None:
            return operand
        operators = _UNARY * 2 if len(operand.relation.names) > MOST_NAMES else _UNARY + _BINARY
        name = self.one(operators)
        self._counts[name] += 1
        draw: Callable[[str, Relation, int], Expression] = getattr(self, f"_{name}")
        return draw(operand.text, operand.relation, depth - 1)

    def _other(self, depth: int) -> tuple[str, Relation]:
        """Draw a second operand, which is not refused."""
        other = self.expression(self.one(range(min(depth, 2) + 1)))
        if other.relation is None:
            table = self.one(list(TABLES))
            return table, self._tables[table]
        return other.text, other.relation

    def _result(
        self, text: str, operands: tuple[str, ...], compute: Callable[[], Relation]
    ) -> Expression:
        try:
            return Expression(text, compute(), operands)
        except Refused:
            self._counts["refused"] += 1
            return Expression(text, None, operands)

    # -- restriction ------------------------------------------------------------------------------

    def _restriction(self, text: str, relation: Relation, depth: int) -> Expression:
        condition, test, operands = self._condition(relation, depth, 2)
        signs = {
            f"({text} & {condition})": (True, True),
            f"({text} - {condition})": (False, True),
            f"({text} ^ {condition})": (True, False),
            f"{text}.restrict({condition})": (True, True),
            f"({text} & dj.Not({condition}))": (False, True),
        }
        whole = self.one(list(signs))
        wanted, checked = signs[whole]

        def compute(wanted: bool, checked: bool) -> Relation:
            holds = test(checked)
            return model.restrict(relation, lambda row: holds(row) is wanted)

        operands = (text, *operands)
        result = self._result(whole, operands, partial(compute, wanted, checked))
        if result.relation is None or result.relation.rows or self.chance(15):
            return result
        opposite = f"({text} {'-' if wanted else '&'} dj.AndList([{condition}]))"
        return self._result(opposite, operands, partial(compute, not wanted, True))

    def _topped(self, text: str, relation: Relation, depth: int) -> Expression:
        limit = self.one([3, 1, 2, None, 0])
        offset = self.one([0, 0, 1, 2])
        names = self.some([n for n in relation.names if n not in relation.key], most=2)
        order = [(name, self.chance(50)) for name in names]
        if self.chance(3):
            order.append(("zz", False))
        down = self.chance(50)
        terms = [f"{name}{' DESC' * desc}" for name, desc in order] + ["KEY" + " desc" * down]
        order += [(name, down) for name in relation.key]
        written = self.one([repr(terms), repr(", ".join(terms))])
        taken = f"dj.Top({limit}, {written}, {offset})"
        compute = partial(model.top, relation, limit, order, offset)
        if self.chance(20):
            condition, test, operands = self._condition(relation, 0, 1)
            before = self.chance(50)

            def restricted() -> Relation:
                if before:
                    first = model.restrict(relation, test(True))
                    return model.top(first, limit, order, offset)
                return model.restrict(compute(), test(True))

            parts = [condition, taken] if before else [taken, condition]
            whole = f"({text} & dj.AndList([{', '.join(parts)}]))"
            return self._result(whole, (text, *operands), restricted)
        result = self._result(f"({text} & {taken})", (text,), compute)
        return Expression(result.text, result.relation, result.operands, ordered=True)

    def _condition(
        self, relation: Relation, depth: int, nesting: int
    ) -> tuple[str, Callable[[bool], model.Test], tuple[str, ...]]:
        """Draw a condition: its text, the test given whether to check, the queries in it."""
        kinds = ["written", "written", "mapping", "mapping", "query", "query", "truth"]
        kind = self.one(kinds + ["any", "all", "not"] * (nesting > 0))
        self._counts[f"by {kind}"] += 1
        if kind == "written":
            written, used, truth = self._truth(relation, 2)
            return repr(written), self._needs(relation, used, truth), ()
        if kind == "mapping":
            text, test = self._mapping(relation)
            return text, lambda checked: test, ()
        if kind == "truth":
            text, value = self.one([("True", True), ("False", False), ("dj.U('zz')", True)])
            return text, lambda checked: lambda row: value, ()
        if kind == "query":
            text, other = self._agreeable(relation, *self._other(depth))

            def matches(checked: bool) -> model.Test:
                if checked:
                    model.check_compatible(relation, other)
                return lambda row: any(model.match(row, candidate) for candidate in other.rows)

            return text, matches, (text,)
        if kind == "not":
            text, inner, operands = self._condition(relation, depth, nesting - 1)

            def complement(checked: bool) -> model.Test:
                holds = inner(checked)
                return lambda row: not holds(row)

            return f"dj.Not({text})", complement, operands
        parts = [
            self._condition(relation, depth, nesting - 1) for _ in range(self.one([2, 1, 3, 0]))
        ]
        texts, tests, queries = zip(*parts, strict=True) if parts else ((), (), ())
        combine = any if kind == "any" else all

        def combined(checked: bool) -> model.Test:
            holds = [test(checked) for test in tests]
            return lambda row: combine(hold(row) for hold in holds)

        listed = ", ".join(texts)
        closed = self.one([f"[{listed}]", f"({listed},)" if texts else "()"])
        whole = closed if kind == "any" else f"dj.AndList([{listed}])"
        return whole, combined, tuple(text for texts in queries for text in texts)

    @staticmethod
    def _needs(
        relation: Relation, used: frozenset[str], truth: Callable[[Row], model.Truth]
    ) -> Callable[[bool], model.Test]:
        def test(checked: bool) -> model.Test:
            relation.require(used)
            return lambda row: truth(row) is True

        return test

    def _mapping(self, relation: Relation) -> tuple[str, model.Test]:
        names = self.some([n for n in relation.names if relation.kinds[n] != "mean"], most=2)
        texts, wanted = [], {}
        for name in names:
            values = [self._value(relation, name, 90) for _ in range(self.one([1, 1, 2, 0]))]
            if len(values) == 1 and self.chance(50):
                texts.append(f"{name!r}: {values[0][0]}")
            else:
                texts.append(f"{name!r}: [{', '.join(text for text, _ in values)}]")
            wanted[name] = [value for _, value in values]
        if self.chance(15):
            texts.append("'zz': 1")

        def test(row: Row) -> bool:
            return all(row[name] in values for name, values in wanted.items())

        return f"{{{', '.join(texts)}}}", test

    def _value(self, relation: Relation, name: str, known: int) -> tuple[str, Any]:
        """Draw the Python text of a value for a mapping, and the value."""
        kind = relation.kinds[name]
        if self.chance(10):
            return "None", None
        if kind == "int" and self.chance(5):
            return self.one([("10**12", 10**12), ("0.5", Fraction(1, 2)), ("True", 1)])
        value = self._occurring(relation, name, known)
        if value is None:
            return "None", None
        if isinstance(value, dt.date):
            return self.one([repr(str(value)), f"date.fromisoformat('{value}')"]), value
        if isinstance(value, str):
            return repr(self.one([value, value.upper()])), value
        return repr(int(value) if value == int(value) else float(value)), value

    def _occurring(self, relation: Relation, name: str, percent: int = 75) -> Any:
        """Draw a value of an attribute, most often one that it has."""
        found = [row[name] for row in relation.rows if row[name] is not None]
        if found and relation.kinds[name] != "mean" and self.chance(percent):
            return self.one(found)
        return fold(self.one(DOMAINS[relation.kinds[name]]))

    # -- conditions as text -----------------------------------------------------------------------

    def _literal(self, value: Any) -> str:
        if isinstance(value, str):
            written = self.one([value, value.upper()])
            return self.one([f'"{written}"', f"'{written}'"])
        if isinstance(value, dt.date):
            return f'"{value}"'
        return str(int(value)) if value == int(value) else str(float(value))

    def _truth(
        self, relation: Relation, nesting: int
    ) -> tuple[str, frozenset[str], Callable[[Row], model.Truth]]:
        """Draw a condition of SQL: its text, the attributes used, the truth for an entity."""
        kind = self.one(["comparison"] * 3 + ["and", "or", "not"] * (nesting > 0))
        if kind == "comparison":
            return self._comparison(relation)
        text, used, truth = self._truth(relation, nesting - 1)
        if kind == "not":
            return f"not ({text})", used, lambda row: model.negation(truth(row))
        other, more, second = self._truth(relation, nesting - 1)
        combine = model.both if kind == "and" else model.either
        return (
            f"({text}) {self.one([kind, kind.upper()])} ({other})",
            used | more,
            lambda row: combine(truth(row), second(row)),
        )

    def _comparison(
        self, relation: Relation
    ) -> tuple[str, frozenset[str], Callable[[Row], model.Truth]]:
        if not relation.names:
            return "1 = 1", frozenset(), lambda row: True
        if self.chance(1):
            return "zz = 1", frozenset(["zz"]), lambda row: None
        name = self.one(relation.names)
        used = frozenset([name])
        forms = ["literal", "literal", "null", "in", "between", "attribute", "number"]
        form = self.one(forms + ["like"] * (relation.kinds[name] == "text"))
        if form == "null":
            text, null = self.one([("IS NULL", True), ("is not null", False)])
            return f"{name} {text}", used, lambda row: (row[name] is None) is null
        if form == "in":
            values = [self._occurring(relation, name) for _ in range(self.one([1, 2, 3]))]
            listed = [self._literal(value) for value in values]
            if self.chance(10):
                values.append(None)
                listed.append("NULL")
            text = f"({', '.join(listed)})"
            if self.chance(40):
                return (
                    f"{name} not in {text}",
                    used,
                    lambda row: model.negation(model.member(row[name], values)),
                )
            return f"{name} in {text}", used, lambda row: model.member(row[name], values)
        if form == "between":
            low, high = self._occurring(relation, name), self._occurring(relation, name)
            return (
                f"{name} between {self._literal(low)} and {self._literal(high)}",
                used,
                lambda row: model.between(row[name], low, high),
            )
        if form == "like":
            start = self.one(["a", "B", ""])
            return (
                f'{name} like "{start}%"',
                used,
                lambda row: None if row[name] is None else row[name].startswith(start.lower()),
            )
        sign = self.one(["=", "<>", "<", ">=", ">", "<=", "!="])
        if form == "number":
            scalar = self._number(relation)
            if scalar is not None:
                number, what = scalar
                limit = self.one([0, 1, 2, 3])
                return (
                    f"{number} {sign} {limit}",
                    what.used,
                    lambda row: model.compare(sign, what.value(row, ()), limit),
                )
        if form == "attribute":
            other = self.one([n for n in relation.names if _like(relation, n, name)])
            return (
                f"{name} {sign} {other}",
                used | {other},
                lambda row: model.compare(sign, row[name], row[other]),
            )
        value = self._occurring(relation, name)
        return (
            f"{name} {sign} {self._literal(value)}",
            used,
            lambda row: model.compare(sign, row[name], value),
        )

    # -- computations -----------------------------------------------------------------------------

    def _number(self, relation: Relation) -> tuple[str, Scalar] | None:
        """Draw some arithmetic."""
        names = [name for name in relation.names if relation.kinds[name] in NUMBERS]
        if not names:
            return None
        name, other = self.one(names), self.one(names)
        kinds = {relation.kinds[name], relation.kinds[other]}
        constant = self.one([1, 2, 0])
        both = "real" if "real" in kinds else "int"
        forms: list[tuple[str, str, set[str], Callable[[Row], Any]]] = [
            (f"{name} + {constant}", relation.kinds[name], {name},
             lambda row: _with(lambda a: a + constant, row[name])),
            (f"{name} - {other}", both, {name, other},
             lambda row: _with(lambda a, b: a - b, row[name], row[other])),
            (f"-{name}", relation.kinds[name], {name}, lambda row: _with(lambda a: -a, row[name])),
            (f"ifnull({name}, {constant})", relation.kinds[name], {name},
             lambda row: constant if row[name] is None else row[name]),
            (f"if({name} > {constant}, {name}, {other})", both, {name, other},
             lambda row: row[name if model.compare(">", row[name], constant) else other]),
            (f"abs({name})", relation.kinds[name], {name}, lambda row: _with(abs, row[name])),
            (f"greatest({name}, {other})", both, {name, other},
             lambda row: _with(max, row[name], row[other])),
        ]  # fmt: skip
        if relation.kinds[name] == "int":
            forms.append(
                (f"{name} / 2", "real", {name},
                 lambda row: _with(lambda a: Fraction(a) / 2, row[name]))
            )  # fmt: skip
        text, kind, used, compute = self.one(forms)
        names_used = frozenset(used)
        return text, Scalar(kind, names_used, names_used, lambda row, _: compute(row))

    def _scalar(self, relation: Relation) -> tuple[str, Scalar]:
        """Draw a computation."""
        texts = [name for name in relation.names if relation.kinds[name] == "text"]
        form = self.one(["number", "number", "truth", "constant"] + ["text", "text"] * bool(texts))
        if form == "number" and (number := self._number(relation)):
            return number
        if form == "truth":
            text, used, truth = self._truth(relation, 1)
            return text, Scalar("int", used, used, lambda row, _: _with(int, truth(row)))
        if form == "text":
            name, other = self.one(texts), self.one(texts)
            constant = self.one(["x", "a", "B"])
            forms: list[tuple[str, str, set[str], Callable[[Row], Any]]] = [
                (f'concat({name}, "{constant}")', "text", {name},
                 lambda row: _with(lambda s: s + constant.lower(), row[name])),
                (f"concat({name}, {other})", "text", {name, other},
                 lambda row: _with(lambda s, t: s + t, row[name], row[other])),
                (f"upper({name})", "text", {name}, lambda row: row[name]),
                (f"length({name})", "int", {name}, lambda row: _with(len, row[name])),
                (f"ifnull({name}, '')", "text", {name}, lambda row: row[name] or ""),
                (f'if({name} = "{constant}", {name}, {other})', "text", {name, other},
                 lambda row: row[name if row[name] == constant.lower() else other]),
            ]  # fmt: skip
            text, kind, used_names, compute = self.one(forms)
            used = frozenset(used_names)
            return text, Scalar(kind, used, used, lambda row, _: compute(row))
        text, value = self.one([("1", 1), ("0", 0), ('"a"', "a"), ("'B'", "b"), ("NULL", None)])
        kind = "null" if value is None else "text" if isinstance(value, str) else "int"
        return text, Scalar(kind, frozenset(), frozenset(), lambda row, _: value)

    def _aggregate(self, relation: Relation, group: Relation) -> tuple[str, Scalar]:
        """Draw a computation over the entities of a group that match one of a relation."""
        kinds = {**group.kinds, **relation.kinds}
        own, names = list(relation.names), list(kinds)
        if not names or self.chance(25):
            return "count(*)", Scalar("int", frozenset(), frozenset(), lambda _, rows: len(rows))
        function = self.one(["count", "sum", "min", "max", "avg", "count distinct", "truth", "own"])
        if function == "truth":
            joined = Relation(tuple(names), (), (), kinds)
            text, used, truth = self._truth(joined, 0)
            return f"sum({text})", Scalar(
                "int", frozenset(), used,
                lambda _, rows: model.aggregate("sum", (_with(int, truth(r)) for r in rows)),
            )  # fmt: skip
        if function == "own" and own:
            return self._scalar(relation)
        numeric = function in ("sum", "avg")
        among = [n for n in names if kinds[n] in NUMBERS or not numeric]
        if function in ("min", "max"):
            among = [name for name in names if kinds[name] != "null"]
        if not among:
            return "count(*)", Scalar("int", frozenset(), frozenset(), lambda _, rows: len(rows))
        function = "count" if function == "own" else function
        name = self.one(among)
        kind = {"count": "int", "count distinct": "int", "avg": "mean"}.get(function, kinds[name])
        argument = f"distinct {name}" if function == "count distinct" else name
        text, used = f"{function.split()[0]}({argument})", frozenset([name])

        def compute(_: Row, rows: Sequence[Row]) -> Any:
            return model.aggregate(function, (row[name] for row in rows))

        whole = [n for n in own if kinds[n] in NUMBERS]
        if kind in NUMBERS and whole and self.chance(30):
            bare = self.one(whole)
            both = "real" if "real" in (kind, kinds[bare]) else "int"
            return f"{text} - {bare}", Scalar(
                both, frozenset([bare]), used | {bare},
                lambda row, rows: _with(lambda a, b: a - b, compute(row, rows), row[bare]),
            )  # fmt: skip
        if kinds[name] in NUMBERS and self.chance(4):  # refused, if it is of the group
            return f"{name} + 0 * count(*)", Scalar(kinds[name], used, used, lambda r, _: r[name])
        return text, Scalar(kind, frozenset(), used, compute)

    # -- projection -------------------------------------------------------------------------------

    def _new_name(self, kind: str, taken: Iterable[str]) -> str:
        free = [name for name in NAMES[kind] if name not in set(taken)]
        return self.one(free or list(NAMES[kind])) if not self.chance(4) else self.one(NAMES[kind])

    def _attributes(self, relation: Relation) -> tuple[list[Any], dict[str, str]]:
        """Draw what is selected and what is renamed."""
        secondary = list(relation.secondary)
        attributes: list[Any] = []
        if self.chance(50):
            attributes = [..., *(f"-{name}" for name in self.some(secondary, most=1))]
        else:
            attributes = self.some(secondary, most=2)
        if self.chance(2):
            attributes.append(self.one(["zz", "-zz", *(f"-{name}" for name in relation.key)]))
        if relation.key and self.chance(8):
            attributes.append(self.one(relation.key))
        named: dict[str, str] = {}
        for old in self.some(relation.names, most=2):
            new = self._new_name(relation.kinds[old], {*relation.names, *named})
            if new != old:
                named[new] = old
        return attributes, named

    def _projection(self, text: str, relation: Relation, depth: int) -> Expression:
        attributes, renamed = self._attributes(relation)
        named: dict[str, str | Scalar] = dict(renamed)
        written = dict(renamed)
        for _ in range(self.one([0, 1, 2])):
            computation, scalar = self._scalar(relation)
            new = self._new_name(scalar.kind, {*relation.names, *named})
            named[new], written[new] = scalar, computation
        whole = f"{text}.proj({_arguments(attributes, written)})"
        compute = partial(model.proj, relation, attributes, named)
        return self._result(whole, (text,), compute)

    # -- join, aggregation, union -----------------------------------------------------------------

    def _agreeable(self, relation: Relation, text: str, other: Relation) -> tuple[str, Relation]:
        """Most often, leave out what is secondary in both."""
        shared = [name for name in relation.secondary if name in other.secondary]
        if not shared or self.chance(6):
            return text, other
        attributes = [..., *(f"-{name}" for name in shared)]
        return f"{text}.proj({_arguments(attributes, {})})", model.proj(other, attributes, {})

    def _joining(self, text: str, relation: Relation, depth: int) -> Expression:
        other_text, other = self._other(depth)
        if len(relation.rows) * len(other.rows) > MOST_ROWS:
            other_text, other = (
                f"({other_text} & dj.Top(1))",
                model.top(other, 1, [(name, False) for name in other.key], 0),
            )
        unchecked = self.chance(20)
        if not unchecked:
            other_text, other = self._agreeable(relation, other_text, other)
        matched = any(model.match(row, match) for row in relation.rows for match in other.rows)
        outer = self.chance(20 if matched else 70)
        arguments = other_text + ", semantic_check=False" * unchecked + ", left=True" * outer
        sign = "@" if unchecked else "*"
        whole = f"{text}.join({arguments})" if outer else f"({text} {sign} {other_text})"
        compute = partial(model.join, relation, other, outer=outer, checked=not unchecked)
        return self._result(whole, (text, other_text), compute)

    def _aggregation(self, text: str, relation: Relation, depth: int) -> Expression:
        other_text, other = self._other(depth)
        other_text, other = self._agreeable(relation, other_text, other)
        attributes, renamed = self._attributes(relation)
        named: dict[str, str | Scalar] = dict(renamed)
        written = dict(renamed)
        for _ in range(self.one([1, 2, 3, 0])):
            computation, scalar = self._aggregate(relation, other)
            new = self._new_name(scalar.kind, {*relation.names, *named})
            named[new], written[new] = scalar, computation
        keep = self.chance(50)
        options = ", keep_all_rows=True" * keep
        arguments = ", ".join(filter(None, [other_text, _arguments(attributes, written)])) + options
        compute = partial(model.aggr, relation, other, attributes, named, keep=keep)
        return self._result(f"{text}.aggr({arguments})", (text, other_text), compute)

    def _union(self, text: str, relation: Relation, depth: int) -> Expression:
        other_text, other = self._other(depth)
        if set(other.key) != set(relation.key) and not self.chance(10):
            # Something of the same entity type: the operand itself, restricted, or its keys.
            condition, test, _ = self._condition(relation, 0, 0)
            try:
                other = model.restrict(relation, test(True))
                other_text = f"({text} & {condition})"
            except Refused:
                other, other_text = relation, text
            if set(relation.key) <= set(other.names) and self.chance(20):
                other_text = f"(dj.U({_arguments(relation.key, {})}) & {other_text})"
                other = model.distinct(relation.key, other)
        if not self.chance(10):
            shared = {n: n for n in relation.secondary if n in other.secondary}
            renamed = {self._new_name(other.kinds[n], {*relation.names, *other.names}): n
                       for n in shared}  # fmt: skip
            if shared and self.chance(50) and not set(renamed) & {*relation.names, *other.names}:
                arguments = [..., *(f"-{name}" for name in shared if name not in renamed.values())]
                other_text = f"{other_text}.proj({_arguments(arguments, renamed)})"
                other = model.proj(other, arguments, renamed)
            elif shared:
                other_text, other = f"{other_text}.proj()", model.proj(other, (), {})
        if "null" in {*relation.kinds.values(), *other.kinds.values()}:
            # PostgreSQL has a type for what is united: for nothing but NULL, it is text.
            return Expression(text, relation)
        compute = partial(model.unite, relation, other)
        return self._result(f"({text} + {other_text})", (text, other_text), compute)

    # -- universal sets ---------------------------------------------------------------------------

    def _universal(self, relation: Relation) -> tuple[str, list[str]]:
        names = self.some(relation.names, most=2)
        if self.chance(2):
            names.append("zz")
        return f"dj.U({_arguments(names, {})})", names

    def _distinct(self, text: str, relation: Relation, depth: int) -> Expression:
        universal, names = self._universal(relation)
        compute = partial(model.distinct, names, relation)
        return self._result(f"({universal} & {text})", (text,), compute)

    def _primary(self, text: str, relation: Relation, depth: int) -> Expression:
        universal, names = self._universal(relation)
        compute = partial(model.make_primary, names, relation)
        whole = self.one([f"({universal} * {text})", f"({text} * {universal})"])
        return self._result(whole, (text,), compute)

    def _universal_aggregation(self, text: str, relation: Relation, depth: int) -> Expression:
        universal, names = self._universal(relation)
        known = [name for name in names if name in relation.names]
        given = Relation(tuple(known), (), (), {name: relation.kinds[name] for name in known})
        named: dict[str, str | Scalar] = {}
        written: dict[str, str] = {}
        for _ in range(self.one([1, 2, 0])):
            computation, scalar = self._aggregate(given, relation)
            new = self._new_name(scalar.kind, {*relation.names, *named})
            named[new], written[new] = scalar, computation
        compute = partial(model.aggr_universal, names, relation, named)
        arguments = ", ".join(filter(None, [text, _arguments([], written)]))
        return self._result(f"{universal}.aggr({arguments})", (text,), compute)


_UNARY = (
    ["restriction"] * 4 + ["projection"] * 3 + ["topped"]
    + ["distinct", "primary", "universal_aggregation"]
)  # fmt: skip
_BINARY = ["joining"] * 4 + ["aggregation"] * 3 + ["union"] * 2
OPERATORS = {*_UNARY, *_BINARY}


def _like(relation: Relation, name: str, other: str) -> bool:
    """Tell whether the values of two attributes can be compared."""
    kinds = {relation.kinds[name], relation.kinds[other]}
    return len(kinds) == 1 or kinds == set(NUMBERS)


def _with(function: Callable[..., Any], *values: Any) -> Any:
    """Compute a value, unless one that it is computed from is missing."""
    return None if None in values else function(*values)


def _arguments(attributes: Iterable[Any], named: Mapping[str, str]) -> str:
    listed = ["..." if a is ... else repr(a) for a in attributes]
    return ", ".join([*listed, *(f"{new}={text!r}" for new, text in named.items())])
