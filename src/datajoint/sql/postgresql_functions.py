"""The SQL of PostgreSQL: the operators, choices, functions and aggregates of fragments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlglot import exp

from ..types import AttributeType, Integer
from .fragment import COMPARISONS
from .inference import is_double
from .postgresql_dates import shifted, unit_of
from .postgresql_values import (
    COLLATE_TEXT,
    FragmentGenerator,
    Writer,
    as_date,
    as_double,
    as_duration,
    as_integer,
    as_moment,
    as_number,
    as_numeric,
    as_text,
    comparing,
    exactly,
    from_template,
    is_string,
    kind_of,
    searched,
    type_of,
)


# -- operators ------------------------------------------------------------------------------------
def _column(g: FragmentGenerator, node: Any) -> str:
    """Write an attribute; a moment with a time zone stays one only beside literals."""
    text = g.column_sql(node)
    type_ = g.attribute_types.get(node.name)
    if type_ is None or type_.category != "timestamp":
        return text
    parent = node.parent
    if isinstance(parent, COMPARISONS):
        others = [child for child in parent.iter_expressions() if child is not node]
        if all(isinstance(other, exp.Literal) for other in others):
            return text
    return f"CAST({text} AS timestamp)"


def _comparable(g: FragmentGenerator, nodes: Sequence[exp.Expr]) -> list[str]:
    """Write values that are compared with the first of them, as values of one kind."""
    kinds = {kind_of(g, node) for node in nodes if not is_string(node)} or {"text"}
    fixed = {kind_of(g, node) for node in nodes if not isinstance(node, exp.Literal)}
    coerce: Writer | None = None
    if "number" in fixed or ("number" in kinds and not fixed & {"date", "moment", "time"}):
        coerce = as_number
    elif kinds & {"date", "moment"}:
        coerce = as_moment
    elif "time" in kinds:
        coerce = as_duration
    elif kinds == {"text"} and not isinstance(nodes[0], exp.Column):  # which has its collation
        return [comparing(g, nodes[0]), *map(g.sql, nodes[1:])]
    if coerce is None:
        return [g.sql(node) for node in nodes]
    changing = ("text", "date", "moment", "time") if coerce is as_number else ("text", "number")
    return [coerce(g, n) if kind_of(g, n) in changing else g.sql(n) for n in nodes]


def _compare(operator: str) -> Writer:
    def write(g: FragmentGenerator, node: Any) -> str:
        return f" {operator} ".join(_comparable(g, [node.left, node.right]))

    return write


def _between(g: FragmentGenerator, node: Any) -> str:
    value, low, high = _comparable(g, [node.this, node.args["low"], node.args["high"]])
    return f"{value} BETWEEN {low} AND {high}"


def _in(g: FragmentGenerator, node: Any) -> str:
    if not node.expressions:
        return g.in_sql(node) if node.args.get("query") is not None else "FALSE"
    value, *members = _comparable(g, [node.this, *node.expressions])
    return f"{value} IN ({', '.join(members)})"


def _like(g: FragmentGenerator, node: Any) -> str:
    operator = "NOT ILIKE" if node.args.get("negate") else "ILIKE"
    return f"{searched(g, node.this)} {operator} {searched(g, node.expression)}"


def _is_integer(g: FragmentGenerator, node: exp.Expr) -> bool:
    """Tell whether all values that a node may give are integers."""
    if isinstance(node, exp.Null):
        return True
    type_ = type_of(g, node)
    whole = type_ is not None and type_.category in ("integer", "bool", "year")
    return whole and all(_is_integer(g, operand) for operand in _operands(node))


def _operands(node: exp.Expr) -> list[exp.Expr]:
    """List the nodes that make the value of a node, without the conditions of choices."""
    if isinstance(node, exp.Case):
        branches = [branch.args["true"] for branch in node.args["ifs"]]
        return [*branches, node.args.get("default") or exp.null()]
    if isinstance(node, exp.If):
        return [node.args["true"], node.args.get("false") or exp.null()]
    if isinstance(node, (exp.Add, exp.Sub, exp.Mul, exp.Mod)):
        return [node.left, node.right]
    if isinstance(node, (exp.Coalesce, exp.Greatest, exp.Least)):
        return [node.this, *node.expressions]
    same = (
        exp.Paren,
        exp.Neg,
        exp.Abs,
        exp.Sum,
        exp.Max,
        exp.Min,
        exp.Nullif,
        exp.Round,
        exp.Trunc,
    )
    return [node.this] if isinstance(node, same) else []


def _arithmetic(operator: str) -> Writer:
    """Write sums and products; integers are of 64 bits, as on MySQL."""

    def write(g: FragmentGenerator, node: Any) -> str:
        left, right = node.left, node.right
        if isinstance(left, exp.Interval):
            left, right = right, left
        if isinstance(right, exp.Interval):
            return shifted(g, left, operator, right.this, unit_of(right))
        first, second = as_number(g, left), as_number(g, right)
        inner = left.unnest()
        wide = isinstance(inner, (exp.Add, exp.Sub, exp.Mul, exp.Sum, exp.Cast))
        if _is_integer(g, node) and not (wide or _is_wide(type_of(g, inner), inner)):
            first = f"CAST({first} AS bigint)"
        return f"{first} {operator} {second}"

    return write


def _is_wide(type_: AttributeType | None, node: exp.Expr) -> bool:
    """Tell whether an attribute has more than 32 bits."""
    return isinstance(node, exp.Column) and isinstance(type_, Integer) and type_.high >= 2**31


def _mod(g: FragmentGenerator, node: Any) -> str:
    coerce = as_number if _is_integer(g, node) else as_numeric
    return f"mod({coerce(g, node.left)}, NULLIF({coerce(g, node.right)}, 0))"


# -- choices --------------------------------------------------------------------------------------


def _alike(g: FragmentGenerator, node: exp.Expr, options: Sequence[exp.Expr]) -> list[str]:
    """Write options of which a node gives one, as values of one kind: that of the node."""
    kinds = {kind_of(g, option) for option in options if not isinstance(option, exp.Null)}
    compares = isinstance(node, (exp.Greatest, exp.Least))
    if len(kinds) < 2:
        first, *rest = options
        return [comparing(g, first) if compares and kinds == {"text"} else g.sql(first)] + [
            g.sql(option) for option in rest
        ]
    coerce: Writer | None = None
    if "text" in kinds and compares:
        coerce = {"number": as_number, "time": as_duration}.get(min(kinds - {"text"}), as_moment)
        if kinds == {"text", "date"}:
            coerce = as_date
    elif "text" in kinds or kinds & {"time", "number"}:
        coerce = as_text
    return [coerce(g, option) if coerce else g.sql(option) for option in options]


def _coalesce(g: FragmentGenerator, node: Any) -> str:
    return f"COALESCE({', '.join(_alike(g, node, _operands(node)))})"


def _extreme(name: str) -> Writer:
    """Write ``greatest`` and ``least``, which give NULL when any argument is NULL."""

    def write(g: FragmentGenerator, node: Any) -> str:
        options = ", ".join(_alike(g, node, _operands(node)))
        return f"CASE WHEN num_nulls({options}) = 0 THEN {name}({options}) END"

    return write


def _if(g: FragmentGenerator, node: Any) -> str:
    yes, no = _alike(g, node, _operands(node))
    return f"CASE WHEN {g.sql(node.this)} THEN {yes} ELSE {no} END"


def _case(g: FragmentGenerator, node: Any) -> str:
    *values, rest = _alike(g, node, _operands(node))
    cases = [branch.this for branch in node.args["ifs"]]
    head, tests = "CASE", [g.sql(case) for case in cases]
    if node.this:
        value, *tests = _comparable(g, [node.this, *cases])
        head = f"CASE {value}"
    whens = " ".join(f"WHEN {test} THEN {value}" for test, value in zip(tests, values, strict=True))
    return f"{head} {whens} ELSE {rest} END"


def _nullif(g: FragmentGenerator, node: Any) -> str:
    value, other = _comparable(g, [node.this, node.expression])
    return f"CASE WHEN ({value} = {other}) IS NOT TRUE THEN {g.sql(node.this)} END"


# -- functions ------------------------------------------------------------------------------------


def _approximate(g: FragmentGenerator, node: exp.Expr) -> str:
    return as_double(g, node) if is_double(node, g.attribute_types) else as_numeric(g, node)


def _round(g: FragmentGenerator, node: Any) -> str:
    """Round halves of decimals away from zero, and those of floats to even, as MySQL does."""
    digits = node.args.get("decimals")
    if digits is None:
        rounded = f"round({_approximate(g, node.this)})"
        return f"CAST({rounded} AS bigint)" if _is_integer(g, node.this) else rounded
    if is_double(node.this, g.attribute_types):
        power = f"power(10, {as_double(g, digits)})"
        return f"(round({as_double(g, node.this)} * {power}) / {power})"
    return f"round({as_numeric(g, node.this)}, {as_integer(g, digits)})"


def _truncate(g: FragmentGenerator, node: Any) -> str:
    text = f"trunc({as_numeric(g, node.this)}, {as_integer(g, node.args['decimals'])})"
    return f"CAST({text} AS double precision)" if is_double(node.this, g.attribute_types) else text


def _cast(g: FragmentGenerator, node: Any) -> str:
    kind, source = node.to.sql("mysql").upper(), node.this
    length = ", ".join(g.sql(parameter) for parameter in node.to.expressions)
    if kind.startswith(("SIGNED", "BIGINT", "INT", "UNSIGNED", "UBIGINT")):
        # Texts lose their fraction, numbers are rounded.
        is_text = kind_of(g, source) == "text"
        whole = (
            f"trunc({as_numeric(g, source)})" if is_text else f"round({_approximate(g, source)})"
        )
        if node.to.is_type(exp.DataType.Type.UBIGINT):
            return f"mod(CAST({whole} AS numeric) + {2**64}, {2**64})"
        return f"CAST({whole} AS bigint)"
    if kind.startswith("DECIMAL"):
        return f"CAST({as_number(g, source)} AS numeric({length or '10, 0'}))"
    if kind.startswith(("DATETIME", "TIMESTAMP")):
        return as_moment(g, source) if length else f"date_trunc('second', {as_moment(g, source)})"
    for name, write in (
        ("DATE", as_date),
        ("TIME", as_duration),
        ("DOUBLE", as_double),
        ("FLOAT", as_double),
        ("BINARY", exactly),
    ):
        if kind.startswith(name):
            return write(g, source)
    return f"left({as_text(g, source)}, {length})" if length else as_text(g, source)


def _concat(g: FragmentGenerator, node: Any) -> str:
    """Write with ``||``, which gives NULL when an operand is NULL, as MySQL does."""
    parts = [f"({as_text(g, part)})" for part in node.expressions]
    return f"({' || '.join(parts)})" if len(parts) > 1 else f"CAST({parts[0]} AS text)"


def _concat_ws(g: FragmentGenerator, node: Any) -> str:
    return f"(concat_ws({_list(g, as_text, node.expressions)}) {COLLATE_TEXT})"


def _elt(g: FragmentGenerator, node: Any) -> str:
    return f"(ARRAY[{_list(g, as_text, node.expressions)}])[{as_integer(g, node.this)}]"


def _list(g: FragmentGenerator, coerce: Writer, nodes: Sequence[exp.Expr]) -> str:
    return ", ".join(coerce(g, node) for node in nodes)


def _substring(g: FragmentGenerator, node: Any) -> str:
    """Count a negative start from the end."""
    text, start, length = as_text(g, node.this), as_integer(g, node.args["start"]), ""
    if node.args.get("length") is not None:
        length = f", greatest({as_integer(g, node.args['length'])}, 0)"
    if start.isdigit() and int(start) > 0:
        return f"substr({text}, {start}{length})"
    end = f"length({text}) + 1 + {start}"
    return (
        f"CASE WHEN {start} > 0 THEN substr({text}, {start}{length}) WHEN {start} < 0 AND {end} > 0"
        f" THEN substr({text}, {end}{length}) WHEN {start} IS NOT NULL THEN left({text}, 0) END"
    )


def _mid(g: FragmentGenerator, node: Any) -> str:
    text, start, length = node.expressions
    return _substring(g, exp.Substring(this=text, start=start, length=length))


def _substring_index(g: FragmentGenerator, node: Any) -> str:
    mark, count = as_text(g, node.args["delimiter"]), as_integer(g, node.args["count"])
    parts = f"string_to_array({exactly(g, node.this)}, {mark})"
    taken = f"({parts})[:{count}]"
    if not count.isdigit():
        last = f"({parts})[cardinality({parts}) + 1 + {count}:]"
        taken = f"CASE WHEN {count} > 0 THEN {taken} ELSE {last} END"
    return f"(array_to_string({taken}, {mark}) {COLLATE_TEXT})"


def _locate(g: FragmentGenerator, node: Any) -> str:
    text, part = searched(g, node.this), searched(g, node.args["substr"])
    if node.args.get("position") is None:
        return f"strpos(lower({text}), lower({part}))"
    start = as_integer(g, node.args["position"])
    found = f"strpos(lower(substr({text}, {start})), lower({part}))"
    return f"CASE WHEN {found} > 0 THEN {found} + {start} - 1 ELSE {found} END"


def _trim(g: FragmentGenerator, node: Any) -> str:
    marks = node.args.get("expression")
    what = f"{as_text(g, marks)} " if marks is not None else ""
    return f"TRIM({node.args.get('position') or 'BOTH'} {what}FROM {as_text(g, node.this)})"


def _octets(g: FragmentGenerator, node: exp.Expr) -> str:
    type_ = type_of(g, node)
    is_blob = type_ is not None and type_.is_blob
    return g.sql(node) if is_blob else f"convert_to({as_text(g, node)}, 'UTF8')"


def _hex(g: FragmentGenerator, node: Any) -> str:
    if kind_of(g, node.this) == "number":
        return f"upper(to_hex(CAST({as_number(g, node.this)} AS bigint)))"
    return f"upper(encode({_octets(g, node.this)}, 'hex'))"


def _length(g: FragmentGenerator, node: Any) -> str:
    if node.args.get("binary"):
        return f"octet_length({_octets(g, node.this)})"
    return f"length({as_text(g, node.this)})"


def _number_format(g: FragmentGenerator, node: Any) -> str:
    digits = int(node.args["format"].name)
    form = "FM" + "999," * 6 + "990" + ("." + "0" * digits if digits else "")
    return f"to_char(round({as_numeric(g, node.this)}, {digits}), '{form}')"


def _field(g: FragmentGenerator, node: Any) -> str:
    value, *options = _comparable(g, node.expressions)
    whens = " ".join(f"WHEN {value} = {option} THEN {i}" for i, option in enumerate(options, 1))
    return f"CASE {whens} ELSE 0 END"


def _collate(g: FragmentGenerator, node: Any) -> str:
    exact = node.expression.name.lower().endswith(("_bin", "_cs"))
    return (exactly if exact else comparing)(g, node.this)


# -- aggregates -----------------------------------------------------------------------------------


def _group_concat(g: FragmentGenerator, node: Any) -> str:
    argument, order = node.this, ""
    separator = g.sql(node.args.get("separator") or exp.Literal.string(","))
    if isinstance(argument, exp.Order):
        order = g.sql(exp.Order(expressions=argument.expressions))
        argument = argument.this
    if not isinstance(argument, exp.Distinct):
        return f"string_agg({as_text(g, argument)}, {separator}{order})"
    parts = argument.expressions
    value = as_text(g, exp.Concat(expressions=parts)) if len(parts) > 1 else g.sql(parts[0])
    # The values are sorted before they become text.
    values = f"array_agg(DISTINCT {value}{order}) FILTER (WHERE ({value}) IS NOT NULL)"
    return f"array_to_string({values}, {separator})"


def _count(g: FragmentGenerator, node: Any) -> str:
    argument = node.this
    if isinstance(argument, exp.Distinct) and len(argument.expressions) > 1:
        row = f"({', '.join(map(g.sql, argument.expressions))})"
        return f"count(DISTINCT {row}) FILTER (WHERE {row} IS NOT NULL)"
    return f"count({g.sql(argument)})"


def _of_all(name: str) -> Writer:
    """Write ``max`` and ``min``, which UUIDs do not have."""

    def write(g: FragmentGenerator, node: Any) -> str:
        type_ = type_of(g, node.this)
        if type_ is not None and type_.category == "uuid":
            return f"CAST({name}(CAST({g.sql(node.this)} AS text)) AS uuid)"
        return g.func(name, node.this)

    return write


def _aggregate(name: str) -> Writer:
    """Write an aggregate of numbers."""

    def write(g: FragmentGenerator, node: Any) -> str:
        if isinstance(node.this, exp.Distinct):
            return f"{name}(DISTINCT {as_number(g, node.this.expressions[0])})"
        return f"{name}({as_number(g, node.this)})"

    return write


# -- the tables -----------------------------------------------------------------------------------

#: Functions that the parser has no class for.
NAMED: Mapping[str, Writer | str] = {
    "field": _field,
    "find_in_set": (
        "CASE WHEN num_nulls({0:text}, {1:text}) = 0 THEN COALESCE(array_position("
        "string_to_array(lower({1:searched}), ','), lower({0:searched})), 0) END"
    ),
    "octet_length": lambda g, node: f"octet_length({_octets(g, node.expressions[0])})",
    "mid": _mid,
    "strcmp": (
        "(CAST({0:comparing} > {1:comparing} AS integer)"
        " - CAST({0:comparing} < {1:comparing} AS integer))"
    ),
    "connection_id": "pg_backend_pid()",
}

_TEMPLATES = {
    exp.RegexpLike: "{this:searched} ~* {expression:searched}",
    exp.Xor: "({this:sql}) <> ({expression:sql})",
    exp.Neg: "- {this:number}",
    exp.Div: "{this:number} * 1.0 / NULLIF({expression:number}, 0)",
    exp.IntDiv: "CAST(div({this:numeric}, NULLIF({expression:numeric}, 0)) AS bigint)",
    exp.Abs: "abs({this:number})",
    exp.Sign: "CAST(sign({this:number}) AS integer)",
    exp.Floor: "CAST(floor({this:number}) AS bigint)",
    exp.Ceil: "CAST(ceil({this:number}) AS bigint)",
    exp.Sqrt: "CASE WHEN {this:double} >= 0 THEN sqrt({this:double}) END",
    exp.Ln: "CASE WHEN {this:double} > 0 THEN ln({this:double}) END",
    exp.Log: (
        "CASE WHEN {this:double} > 0 AND {expression:double} > 0"
        " THEN ln({expression:double}) / NULLIF(ln({this:double}), 0) END"
    ),
    exp.Exp: "exp({this:double})",
    exp.Pow: "power({this:double}, {expression:double})",
    exp.Rand: "random()",
    exp.Upper: "upper({this:comparing})",
    exp.Lower: "lower({this:comparing})",
    exp.Left: "left({this:text}, greatest({expression:integer}, 0))",
    exp.Right: "right({this:text}, greatest({expression:integer}, 0))",
    exp.Replace: (
        "(replace({this:exactly}, {expression:exactly}, {replacement:exactly})"
        f" {COLLATE_TEXT})"
    ),
    exp.Repeat: "repeat({this:text}, {times:integer})",
    exp.Reverse: "reverse({this:text})",
    exp.Space: "repeat(' ', {this:integer})",
    exp.Unhex: "decode({this:text}, 'hex')",
    exp.MD5: "md5({this:text})",
    exp.RegexpReplace: (
        "(regexp_replace({this:searched}, {expression:searched}, {replacement:searched}, 'gi')"
        f" {COLLATE_TEXT})"
    ),
    exp.RegexpSubstr: (
        "(COALESCE((regexp_match({this:searched}, '(' || {expression:text} || ')', 'i'))[1],"
        f" left({{this:text}}, 0)) {COLLATE_TEXT})"
    ),
    exp.AnyValue: "(array_agg({this:sql}))[1]",
}

TRANSFORMS: Mapping[Any, Writer] = {
    **{kind: from_template(text) for kind, text in _TEMPLATES.items()},
    exp.Max: _of_all("max"),
    exp.Min: _of_all("min"),
    exp.Column: _column,
    exp.EQ: _compare("="),
    exp.NEQ: _compare("<>"),
    exp.GT: _compare(">"),
    exp.GTE: _compare(">="),
    exp.LT: _compare("<"),
    exp.LTE: _compare("<="),
    exp.NullSafeEQ: _compare("IS NOT DISTINCT FROM"),
    exp.Between: _between,
    exp.In: _in,
    exp.Like: _like,
    exp.Collate: _collate,
    exp.Add: _arithmetic("+"),
    exp.Sub: _arithmetic("-"),
    exp.Mul: _arithmetic("*"),
    exp.Mod: _mod,
    exp.Coalesce: _coalesce,
    exp.Greatest: _extreme("GREATEST"),
    exp.Least: _extreme("LEAST"),
    exp.If: _if,
    exp.Case: _case,
    exp.Nullif: _nullif,
    exp.Round: _round,
    exp.Trunc: _truncate,
    exp.Cast: _cast,
    exp.Concat: _concat,
    exp.ConcatWs: _concat_ws,
    exp.Length: _length,
    exp.Substring: _substring,
    exp.SubstringIndex: _substring_index,
    exp.StrPosition: _locate,
    exp.Trim: _trim,
    exp.Pad: lambda g, node: from_template(
        ("lpad" if node.args.get("is_left") else "rpad")
        + "({this:text}, {expression:integer}, {fill_pattern:text})"
    )(g, node),
    exp.Hex: _hex,
    exp.LowerHex: lambda g, node: f"lower({_hex(g, node)})",
    exp.Elt: _elt,
    exp.NumberToStr: _number_format,
    exp.Count: _count,
    exp.Sum: _aggregate("sum"),
    exp.Avg: _aggregate("avg"),
    exp.StddevPop: _aggregate("stddev_pop"),
    exp.StddevSamp: _aggregate("stddev_samp"),
    exp.Variance: _aggregate("var_samp"),
    exp.VariancePop: _aggregate("var_pop"),
    exp.GroupConcat: _group_concat,
}
