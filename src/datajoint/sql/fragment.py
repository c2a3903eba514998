"""Conditions and expressions that users write, in the MySQL flavour, on every database.

A fragment is parsed by sqlglot into a tree, which tells the attributes that it uses, and written
again in the dialect of the database as a :class:`Template`: text with gaps for the attributes and
for the literals. Literals are lifted out before, so that a loop over ids parses and translates
one text once, and become bound parameters.

Manual 8.6.4, 8.8.3, 8.9.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from ..errors import QuerySyntaxError
from ..types import AttributeType
from .inference import infer
from .text import SQL, Param

_LITERAL = re.compile(
    r"""
    '(?:[^'\\]|\\.|'')*'
    | "(?:[^"\\]|\\.|"")*"
    | `[^`]*`
    | (?<![\w.$@])(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])
    """,
    re.VERBOSE | re.DOTALL,
)
#: What a comment is not, and what it is; two signs that follow each other begin none.
_COMMENT = re.compile(
    r"""
    (?P<other>'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `[^`]*`)
    | (?P<comment>/\*.*?(?:\*/|\Z) | (?:--(?=\s|\Z)|\#)[^\n]*)
    | --
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}

#: Where a literal is only a value, so that another value gives the same translation.
_PLAIN_PARENTS = (
    exp.EQ,
    exp.NEQ,
    exp.GT,
    exp.GTE,
    exp.LT,
    exp.LTE,
    exp.NullSafeEQ,
    exp.In,
    exp.Between,
    exp.Like,
    exp.RegexpLike,
    exp.Add,
    exp.Sub,
    exp.Mul,
    exp.Div,
    exp.Mod,
    exp.Coalesce,
    exp.If,
    exp.Case,
)
#: What compares values, so that a literal is brought into the form of the other side.
COMPARISONS = (
    exp.EQ,
    exp.NEQ,
    exp.GT,
    exp.GTE,
    exp.LT,
    exp.LTE,
    exp.NullSafeEQ,
    exp.In,
    exp.Between,
)
#: A text with more literals keeps them: databases limit the number of parameters.
_MOST_PARAMETERS = 1000
_VOLATILE = (exp.Rand, exp.Uuid)
#: What may give another value later, or may do so as far as is known here.
_FLEETING = (
    *_VOLATILE,
    exp.Select,
    exp.Anonymous,
    exp.CurrentTimestamp,
    exp.CurrentDate,
    exp.CurrentTime,
    exp.UtcTimestamp,
    exp.UtcDate,
    exp.UtcTime,
    exp.Localtime,
    exp.Localtimestamp,
)

# Marks that stand in a generated text for an attribute and for a literal.
_ATTRIBUTE_MARK, _LITERAL_MARK = "\x02", "\x03"
_MARKS = re.compile(
    f'["`]{_ATTRIBUTE_MARK}(?P<attribute>[^{_ATTRIBUTE_MARK}]+){_ATTRIBUTE_MARK}["`]'
    f"|(?P<quote>'?){_LITERAL_MARK}(?P<literal>\\d+)f?{_LITERAL_MARK}'?"
)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A gap for an attribute."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A gap for a literal: its position, and the type of what it is compared with."""

    index: int
    compared_with: AttributeType | None


@dataclass(frozen=True, slots=True)
class Token:
    """A gap for a literal as the user wrote it: its position."""

    index: int


#: A fragment in the text of a dialect.
Template = tuple[str | Attribute | Literal | Token, ...]

#: What a dialect makes of a tree: its text. The last argument tells whether the text stands where
#: a condition does; elsewhere, truth is a number.
Translate = Callable[[exp.Expr, Mapping[str, "AttributeType | None"], bool], str]


@dataclass(frozen=True)
class Fragment:
    """A condition or an expression written by the user, parsed.

    Attributes
    ----------
    text : str
        As written.
    names : tuple of str
        The attributes that it uses, each once, in order.
    bare : frozenset of str
        The attributes that it uses outside of aggregating functions.
    aggregates : bool
        Whether it contains an aggregating function.
    volatile : bool
        Whether it may give another value each time, as ``rand()``.
    """

    text: str
    shape: _Shape
    literals: tuple[Any, ...]
    tokens: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return self.shape.names

    @property
    def bare(self) -> frozenset[str]:
        return self.shape.bare

    @property
    def aggregates(self) -> bool:
        return self.shape.aggregates

    @property
    def volatile(self) -> bool:
        return self.shape.volatile

    @property
    def lasting(self) -> bool:
        """Whether it is known to give the same value of the same entity at any time."""
        return self.shape.lasting

    def result_type(self, types: Mapping[str, AttributeType | None]) -> AttributeType | None:
        """Infer the type of the result from the types of the attributes; None when unknown."""
        return infer(self.shape.tree, types)

    def template(
        self,
        translate: Translate | None,
        types: Mapping[str, AttributeType | None],
        *,
        condition: bool,
    ) -> Template:
        """Write the fragment in a dialect.

        Parameters
        ----------
        translate : callable or None
            Writes a tree in the dialect; None leaves the text unchanged.
        types : mapping
            The types of the attributes.
        condition : bool
            Whether the text stands where a condition does.
        """
        if translate is None:
            return self.shape.unchanged
        used = {attribute: types.get(attribute) for attribute in self.names}
        return _template(self.shape, translate, tuple(used.items()), condition)

    def render(
        self,
        template: Template,
        attribute: Callable[[str], SQL],
        literal: Callable[[Any, AttributeType | None], Any],
    ) -> SQL:
        """Fill the gaps of a template.

        Parameters
        ----------
        template : Template
            From :meth:`template`.
        attribute : callable
            The SQL of an attribute.
        literal : callable
            What is bound for a literal, given the type that it is compared with.
        """

        def fill(part: str | Attribute | Literal | Token) -> str | SQL | Param:
            if isinstance(part, str):
                return part
            if isinstance(part, Attribute):
                return attribute(part.name)
            if isinstance(part, Token):
                return self.tokens[part.index]
            return Param(literal(self.literals[part.index], part.compared_with))

        return SQL(*map(fill, template))


def parse_fragment(text: str) -> Fragment:
    """Parse a condition or an expression.

    Parameters
    ----------
    text : str
        One SQL expression in the MySQL flavour: double quotes enclose strings.

    Raises
    ------
    QuerySyntaxError
        When the text is not one expression.
    """
    if "--" in text or "/*" in text or "#" in text:
        text = _COMMENT.sub(_without_comment, text).strip() or text
    if text.endswith((";", " ", "\n")):
        text = text.rstrip("; \n") or text
    pieces: list[str] = []
    literals: list[Any] = []
    tokens: list[str] = []
    end = 0
    for match in _LITERAL.finditer(text):
        token = match.group()
        if token[0] == "`":
            continue
        value = _unquote(token) if token[0] in "'\"" else _number(token)
        pieces += text[end : match.start()], "\0", type(value).__name__, "\0"
        literals.append(value)
        tokens.append(token)
        end = match.end()
    pieces.append(text[end:])
    skeleton = "".join(pieces)
    fixed = _fixed_literals.get(skeleton)
    if fixed is None:
        shape, fixed = _parse_shape(text)
        if len(_fixed_literals) > 10_000:
            _fixed_literals.clear()
            _shapes.clear()
        _fixed_literals[skeleton] = fixed
        _shapes[skeleton, tuple(literals[i] for i in fixed)] = shape
        return Fragment(text, shape, tuple(literals), tuple(tokens))
    key = skeleton, tuple(literals[i] for i in fixed)
    known = _shapes.get(key)
    if known is None:
        known = _shapes[key] = _parse_shape(text)[0]
    return Fragment(text, known, tuple(literals), tuple(tokens))


def _without_comment(match: re.Match[str]) -> str:
    """Leave out a comment, in which what follows would be lost, or which MySQL would run."""
    comment = match["comment"]
    if comment is None:
        return match["other"] or "- -"
    is_open = comment.startswith("/*") and not (len(comment) > 3 and comment.endswith("*/"))
    if is_open or comment.startswith(("/*!", "/*+", "/*M!")):
        raise QuerySyntaxError(
            f"A comment of this kind cannot be part of an expression: {comment!r}"
        )
    return " "


#: Text without its literals → the literals that the translation depends on, by position.
_fixed_literals: dict[str, tuple[int, ...]] = {}
_shapes: dict[tuple[str, tuple[Any, ...]], _Shape] = {}


class _Shape:
    """A parsed text with marks in the place of its plain literals; compared by identity."""

    __slots__ = ("aggregates", "bare", "lasting", "names", "tree", "unchanged", "volatile")

    def __init__(self, tree: exp.Expr, text: str, start: int) -> None:
        columns = [c for c in tree.find_all(exp.Column, bfs=False) if _is_attribute(c)]
        self.tree = tree
        self.unchanged = _unchanged(text, start, columns)
        self.names = tuple(dict.fromkeys(column.name for column in columns))
        self.bare = frozenset(c.name for c in columns if not any(map(_aggregates, _above(c))))
        self.aggregates = any(_aggregates(node) and not _windowed(node) for node in tree.walk())
        self.volatile = tree.find(*_VOLATILE) is not None
        self.lasting = tree.find(*_FLEETING) is None


#: Aggregating functions of one database or another that sqlglot does not know as such.
_AGGREGATES = frozenset(
    {
        "json_arrayagg",
        "json_group_array",
        "json_agg",
        "jsonb_agg",
        "json_object_agg",
        "jsonb_object_agg",
        "every",
        "total",
    }
)


def _aggregates(node: exp.Expr) -> bool:
    if isinstance(node, exp.Anonymous):
        return node.name.lower() in _AGGREGATES
    return isinstance(node, (exp.AggFunc, exp.Filter, exp.WithinGroup))


def _above(node: exp.Expr) -> Iterator[exp.Expr]:
    while node.parent is not None:
        node = node.parent
        yield node


def _windowed(node: exp.Expr) -> bool:
    parent = node.parent
    while isinstance(parent, (exp.Filter, exp.WithinGroup)):
        parent = parent.parent
    return isinstance(parent, exp.Window)


def _is_attribute(column: exp.Column) -> bool:
    return not isinstance(column.this, exp.Star) and column.find_ancestor(exp.Subquery) is None


def _literals_in(text: str) -> list[re.Match[str]]:
    return [match for match in _LITERAL.finditer(text) if match.group()[0] != "`"]


def _unchanged(text: str, start: int, columns: Iterable[exp.Column]) -> Template:
    """Cut a text at its attributes and its literals.

    Parameters
    ----------
    text : str
    start : int
        Where the text began in what was parsed.
    columns : iterable
        The attributes in the tree.
    """
    gaps: list[tuple[int, int, Attribute | Token]] = [
        (match.start(), match.end(), Token(i)) for i, match in enumerate(_literals_in(text))
    ]
    for column in columns:
        place = column.this.meta
        first = column.parts[0].meta.get("start", place["start"])  # of the table, if one is named
        gaps.append((first - start, place["end"] + 1 - start, Attribute(column.name)))
    parts: list[str | Attribute | Token] = []
    end = 0
    for begin, stop, gap in sorted(gaps, key=lambda gap: gap[0]):
        parts += text[end:begin], gap
        end = stop
    parts.append(text[end:])
    return tuple(part for part in parts if part != "")


def _parse_shape(text: str) -> tuple[_Shape, tuple[int, ...]]:
    """Parse a text, and tell which of its literals must stay in the tree."""
    prefix = "SELECT "
    tree = _parse_tree(prefix, text)
    positions = {match.start() + len(prefix): i for i, match in enumerate(_literals_in(text))}
    fixed = set(positions.values())
    if len(fixed) > _MOST_PARAMETERS:
        return _Shape(tree, text, len(prefix)), tuple(sorted(fixed))
    for node in list(tree.find_all(exp.Literal)):
        index = positions.get(node.meta.get("start", -1))
        if index is not None and isinstance(_context(node), _PLAIN_PARENTS):
            kind = "f" if not (node.is_string or node.is_int) else ""
            node.set("this", f"{_LITERAL_MARK}{index}{kind}{_LITERAL_MARK}")
            fixed.discard(index)
    return _Shape(tree, text, len(prefix)), tuple(sorted(fixed))


def _context(node: exp.Expr) -> exp.Expr | None:
    """Return what a literal is part of, past parentheses and signs."""
    parent = node.parent
    while isinstance(parent, (exp.Paren, exp.Neg, exp.Tuple)):
        parent = parent.parent
    return parent


def _parse_tree(prefix: str, text: str) -> exp.Expr:
    try:
        statements = sqlglot.parse(prefix + text, dialect="mysql")
    except SqlglotError as error:
        detail = error.errors[0] if isinstance(error, ParseError) and error.errors else {}
        raise QuerySyntaxError(_syntax_message(prefix, text, detail, str(error))) from None
    except RecursionError:
        raise QuerySyntaxError(f"The expression nests too deeply: {text[:100]!r}…") from None
    statement = statements[0] if len(statements) == 1 else None
    if (
        not isinstance(statement, exp.Select)
        or len(statement.expressions) != 1
        or any(value for key, value in statement.args.items() if key not in ("expressions", "kind"))
    ):
        raise QuerySyntaxError(f"Expected one SQL expression, found {text!r}")
    tree: exp.Expr = statement.expressions[0]
    if isinstance(tree, (exp.Alias, exp.Star)):
        raise QuerySyntaxError(
            f"Expected one SQL expression, found {text!r}"
            + ("; an operator is missing" if isinstance(tree, exp.Alias) else "")
        )
    placeholder = tree.find(exp.Placeholder, exp.Parameter)
    if placeholder is not None:
        raise QuerySyntaxError(
            f"{placeholder.sql('mysql')!r} in {text!r} stands for a value that is not there; "
            "restrict by a mapping to compare with the value of a variable"
        )
    # Keep the root inside a parent, so that any node, the root too, can be replaced.
    return exp.Paren(this=tree.pop())


def _syntax_message(prefix: str, text: str, detail: Mapping[str, Any], message: str) -> str:
    description = str(detail.get("description") or message.splitlines()[0]).rstrip(".")
    if description.startswith("Required keyword"):
        description = "something is missing"
    column = detail.get("col")
    caret = ""
    if detail.get("line") == 1 and column is not None and "\n" not in text:
        highlight = len(str(detail.get("highlight") or " "))
        caret = "\n    " + " " * max(0, int(column) - highlight - len(prefix)) + "^"
    return f"The SQL expression is not valid ({description}):\n    {text}{caret}"


def _unquote(token: str) -> str:
    quote, body = token[0], token[1:-1].replace(token[0] * 2, token[0])
    del quote
    if "\\" not in body:
        return body

    def unescape(match: re.Match[str]) -> str:
        character = match.group(1)
        if character in "%_":  # escapes of LIKE
            return match.group()
        return _ESCAPES.get(character, character)

    return re.sub(r"\\(.)", unescape, body, flags=re.DOTALL)


def _number(token: str) -> int | float:
    return int(token) if token.isdigit() else float(token)


@lru_cache(maxsize=10_000)
def _template(
    shape: _Shape,
    translate: Translate,
    types: tuple[tuple[str, AttributeType | None], ...],
    condition: bool,
) -> Template:
    types_of = dict(types)
    tree = shape.tree.copy()
    compared: dict[str, AttributeType | None] = {}
    for node in tree.find_all(exp.Literal):
        if node.name.startswith(_LITERAL_MARK):
            compared[node.name.strip(f"{_LITERAL_MARK}f")] = compared_with(node, types_of)
    for column in list(tree.find_all(exp.Column)):
        if _is_attribute(column):
            marked = f"{_ATTRIBUTE_MARK}{column.name}{_ATTRIBUTE_MARK}"
            column.replace(exp.column(exp.to_identifier(marked, quoted=True)))
    marked_types = {f"{_ATTRIBUTE_MARK}{name}{_ATTRIBUTE_MARK}": type_ for name, type_ in types}
    text = translate(tree.this, marked_types, condition)
    parts: list[str | Attribute | Literal] = []
    end = 0
    for match in _MARKS.finditer(text):
        parts.append(text[end : match.start()])
        if match["attribute"]:
            parts.append(Attribute(match["attribute"]))
        else:
            parts.append(Literal(int(match["literal"]), compared.get(match["literal"])))
        end = match.end()
    parts.append(text[end:])
    return tuple(part for part in parts if part != "")


def compared_with(
    literal: exp.Literal, types: Mapping[str, AttributeType | None]
) -> AttributeType | None:
    """Find the type of the expression that a literal is compared with."""
    parent = _context(literal)
    if not isinstance(parent, COMPARISONS):
        return None
    operands = [parent.this, *(parent.args.get(k) for k in ("expression", "low", "high"))]
    for operand in operands:
        if isinstance(operand, exp.Expr) and literal not in operand.find_all(exp.Literal):
            found = infer(operand, types)
            if found is not None:
                return found
    return None


def constant_text(node: exp.Expr) -> str | None:
    """Return the value of a string that the translation may depend on; None for other nodes."""
    constant = isinstance(node, exp.Literal) and node.is_string and _LITERAL_MARK not in node.name
    return node.name if constant else None
