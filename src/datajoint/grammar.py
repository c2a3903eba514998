r"""The grammar of the definition language: from text to what it says, line by line.

This is the only place where definitions and types are read. What comes out knows nothing of other
tables: :mod:`datajoint.declare` looks up what foreign keys refer to, and checks what it all means.

Manual 5.4, 5.6 and 5.9; storage formats 2.1 and 2.3. Words are in any case, and blanks may stand
between all tokens::

    definition  = ["#" comment] {line}
    line        = [separator | foreign key | index | attribute] ["#" comment]
    separator   = ("---" | "___") anything
    attribute   = name ["=" default] ":" type ["auto_increment"]
    default     = "null" | "CURRENT_TIMESTAMP" ["(" [number] ")"] | string | anything
    foreign key = "->" ["[" [option {"," option}] "]"] table [projection]
    option      = "nullable" | "unique"
    table       = ("`" schema "`" "." "`" table "`" | identifier ["()"] {"." identifier}) ["()"]
    projection  = "." ("proj" | "project") "(" [("..." | rename) {"," ("..." | rename)}] ")"
    rename      = name "=" string
    index       = ["unique"] "index" "(" item {"," item} ")"
    item        = name | "`" name "`" | json path
    json path   = name ("." key | "[" number "]") {"." key | "[" number "]"} [":" word]
    type        = integer ["(" number ")"] ["unsigned"] | "serial" | "bool" | "boolean"
                | ("float" | "real" | "double") ["(" number ["," number] ")"] ["unsigned"]
                | ("decimal" | "numeric") ["(" number ["," number] ")"] ["unsigned"]
                | ("char" | "varchar") "(" number ")" | "enum" "(" string {"," string} ")"
                | "date" | ("datetime" | "timestamp" | "time") ["(" number ")"]
                | "year" ["(" "4" ")"] | "uuid" | "json" | "attach" | "<" adapter ">"
                | "tinyblob" | "blob" | "mediumblob" | "longblob"
                | ("blob" | "attach" | "filepath") "@" store
    integer     = "tinyint" | "smallint" | "mediumint" | "int" | "integer" | "bigint"
    string      = "'" characters "'" | '"' characters '"'

In a string, the quote itself is doubled or comes after a backslash, as on MySQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

from . import types
from .errors import DataJointError
from .types import AttributeType
from .utils import did_you_mean

# -- what a definition says -----------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A line of a definition, to point at in errors."""

    text: str
    number: int = field(compare=False)

    def error(self, message: str, column: int = 0) -> DataJointError:
        """Make an error that shows the line, with a caret under one of its columns."""
        return DataJointError(
            f"Line {self.number} of the definition: {message}\n    {self.text}\n    {' ' * column}^"
        )


@dataclass(frozen=True)
class Reference:
    """The table of a foreign key: ``path``, or ``path.proj(new='old', …)``.

    Attributes
    ----------
    path : tuple of str
        Names between dots; for `` `schema`.`table` ``, those of the schema and the table.
    renames : tuple of (str, str)
        New name, name in the parent.
    literal : bool
        Whether the path names the table as it is in the database.
    """

    path: tuple[str, ...]
    renames: tuple[tuple[str, str], ...] = ()
    literal: bool = False

    def __str__(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True)
class ForeignKeyLine:
    """``-> [options] reference``."""

    reference: Reference
    nullable: bool
    unique: bool
    source: Line


@dataclass(frozen=True)
class AttributeLine:
    """``name = default : type # comment``.

    Attributes
    ----------
    default : str or None
        As written.
    default_column, type_column : int
        Where they stand, for errors.
    """

    name: str
    default: str | None
    type: AttributeType
    autoincrement: bool
    comment: str
    source: Line
    default_column: int = field(default=0, compare=False)
    type_column: int = field(default=0, compare=False)


@dataclass(frozen=True)
class IndexLine:
    """``[unique] index (item, …)``; an item is an attribute or a path into a json attribute."""

    items: tuple[str, ...]
    unique: bool
    source: Line


Item = ForeignKeyLine | AttributeLine | IndexLine


@dataclass(frozen=True)
class Definition:
    """A parsed definition, its foreign keys not yet resolved."""

    comment: str
    key: tuple[Item, ...]
    secondary: tuple[Item, ...]


@dataclass(frozen=True)
class JsonPath:
    """A place in the documents of a json attribute: ``attribute.key[0].key:type``.

    Attributes
    ----------
    attribute : str
    steps : tuple of (str or int)
        Keys of objects and positions in arrays.
    type : str
        What the value is converted to; "" for none.
    """

    attribute: str
    steps: tuple[str | int, ...]
    type: str = ""

    def __str__(self) -> str:
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.steps)
        return self.attribute + "".join(steps) + (f":{self.type}" if self.type else "")


# -- tokens ---------------------------------------------------------------------------------------


class _Unexpected(Exception):
    """Something else was expected at a place of the text."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.column = column


_NAME = re.compile(r"[a-z][a-z0-9_]*")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"\d+", re.ASCII)
STRING = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"")
_QUOTED_NAME = re.compile(r"`([^`]+)`")
_STORE = re.compile(r"[a-z][-\w]*", re.IGNORECASE)
_WORD = re.compile(r"[^\s=:#(]+")
_DEFAULT = re.compile(rf"{STRING.pattern}|[^:'\"#]*[^:'\"#\s]")
_OLD_FOREIGN_KEY = re.compile(r"\([^()]*\)\s*->\s*([\w.]+)")
_SERIAL = re.compile(r"serial\b", re.IGNORECASE)
_ADAPTER = re.compile(r"<\s*([^<>\s:]+)\s*>")
_PROJECTION = re.compile(r"proj(?:ect)?\s*\(")
_JSON_KEY = re.compile(r"[^\s.,:()\[\]#'\"`]+")
_JSON_TYPE = re.compile(r"[a-z]+(\s*\(\s*\d+\s*(,\s*\d+\s*)?\))?", re.IGNORECASE)
#: What MySQL makes of a letter after a backslash; other characters stand for themselves.
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "0": "\0", "Z": "\x1a"}


class _Scanner:
    """Reads tokens from a text, from left to right; blanks before a token are passed over."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.column = 0

    def take(self, token: str | re.Pattern[str]) -> re.Match[str] | None:
        """Read a token, or a text in any case, if it comes next."""
        pattern = re.compile(re.escape(token), re.IGNORECASE) if isinstance(token, str) else token
        start = self.column
        self.skip_blanks()
        match = pattern.match(self.text, self.column)
        self.column = match.end() if match else start
        return match

    def skip_blanks(self) -> None:
        while self.text[self.column : self.column + 1].isspace():
            self.column += 1

    def take_word(self, *words: str) -> str | None:
        """Read one of some words, given in lower case, if it comes next."""
        start = self.column
        match = self.take(_IDENTIFIER)
        if match and match[0].lower() in words:
            return match[0].lower()
        self.column = start
        return None

    def expect(self, token: str | re.Pattern[str], what: str = "") -> re.Match[str]:
        match = self.take(token)
        if match is None:
            raise self.unexpected(f"expected {what or f'`{token}`'}")
        return match

    def unexpected(self, message: str) -> _Unexpected:
        self.skip_blanks()
        return _Unexpected(message, self.column)

    @property
    def at_end(self) -> bool:
        """Whether nothing but a comment follows."""
        return self.text[self.column :].lstrip()[:1] in ("", "#")

    def expect_end(self, what: str) -> str:
        """Read the comment that may follow at the end."""
        if not self.at_end:
            self.skip_blanks()
            raise self.unexpected(f"expected {what}")
        return self.text[self.column :].strip()[1:].rstrip("#").strip()


def unquote(text: str) -> str:
    """Read a string between quotes; any other text stands for itself."""
    if not STRING.fullmatch(text):
        return text
    quote = text[0]

    def replacement(match: re.Match[str]) -> str:
        return quote if match[0] == quote * 2 else _ESCAPES.get(match[1], match[1])

    return re.sub(rf"{quote}{quote}|\\(.)", replacement, text[1:-1], flags=re.DOTALL)


def quoted(value: str) -> str:
    """Write a string as :func:`unquote` reads it, on one line."""
    for character in "\\" + '"':
        value = value.replace(character, f"\\{character}")
    for letter, character in _ESCAPES.items():
        value = value.replace(character, f"\\{letter}")
    return f'"{value}"'


# -- types ----------------------------------------------------------------------------------------

_INTEGER_BITS = {
    "tinyint": 8,
    "smallint": 16,
    "mediumint": 24,
    "int": 32,
    "integer": 32,
    "bigint": 64,
}
_BLOB_SIZES = {
    "tinyblob": 2**8 - 1,
    "blob": 2**16 - 1,
    "mediumblob": 2**24 - 1,
    "longblob": 2**32 - 1,
}


def _numbers(scanner: _Scanner, most: int, *, required: bool = False) -> list[int]:
    """Read up to so many numbers between parentheses."""
    if not required and not scanner.take("("):
        return []
    if required:
        scanner.expect("(", "`(` and a length")
    numbers = [int(scanner.expect(_NUMBER, "a number")[0])]
    while len(numbers) < most and scanner.take(","):
        numbers.append(int(scanner.expect(_NUMBER, "a number")[0]))
    scanner.expect(")")
    return numbers


def _unsigned(scanner: _Scanner) -> bool:
    return scanner.take_word("unsigned") is not None


def _integer(scanner: _Scanner, base: str) -> AttributeType:
    _numbers(scanner, 1)  # the width for display
    bits, unsigned = _INTEGER_BITS[base], _unsigned(scanner)
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return types.Integer("", low, high, unsigned)


def _serial(scanner: _Scanner, base: str) -> AttributeType:
    return types.Integer("", 0, 2**64 - 1, True)


def _bool(scanner: _Scanner, base: str) -> AttributeType:
    return types.Bool("", 0, 1)


def _float(scanner: _Scanner, base: str) -> AttributeType:
    _numbers(scanner, 2)  # digits for display
    return types.Float("", single=base == "float", unsigned=_unsigned(scanner))


def _decimal(scanner: _Scanner, base: str) -> AttributeType:
    digits, fraction, *_ = [*_numbers(scanner, 2), 0, 0]
    digits = digits or 10
    if not 1 <= digits <= 65 or fraction > min(digits, 30):
        raise ValueError(
            "a decimal has 1 to 65 digits, of which up to 30 and no more than all are fractional"
        )
    return types.Decimal("", digits, fraction, _unsigned(scanner))


def _characters(scanner: _Scanner, base: str) -> AttributeType:
    (length,) = _numbers(scanner, 1, required=True)
    limit = 255 if base == "char" else 65535
    if length > limit:
        raise ValueError(f"the length of {base} is at most {limit}")
    return types.String("", length, fixed=base == "char")


def _enum(scanner: _Scanner, base: str) -> AttributeType:
    scanner.expect("(", "`(` and the members between quotes")
    members = [unquote(scanner.expect(STRING, "a member between quotes")[0])]
    while scanner.take(","):
        members.append(unquote(scanner.expect(STRING, "a member between quotes")[0]))
    scanner.expect(")", "`,` or `)`")
    if len({member.casefold() for member in members}) < len(members):
        raise ValueError("an enum has no member twice")
    return types.Enum("", tuple(members))


def _date(scanner: _Scanner, base: str) -> AttributeType:
    return types.Date("")


def _moment(scanner: _Scanner, base: str) -> AttributeType:
    (digits,) = _numbers(scanner, 1) or [0]
    if digits > 6:
        raise ValueError("a second has at most 6 fractional digits")
    make = {"datetime": types.DateTime, "timestamp": types.Timestamp, "time": types.Time}[base]
    return make("", digits)


def _year(scanner: _Scanner, base: str) -> AttributeType:
    if _numbers(scanner, 1) not in ([], [4]):
        raise ValueError("a year has 4 digits")
    return types.Year("")


def _uuid(scanner: _Scanner, base: str) -> AttributeType:
    return types.UUID("")


def _json(scanner: _Scanner, base: str) -> AttributeType:
    return types.Json("")


def _object(scanner: _Scanner, base: str) -> AttributeType:
    """Read what is kept in the table or, after ``@``, in a store."""
    if scanner.take("@"):
        return types.External("", base, scanner.expect(_STORE, "the name of a store")[0])
    if base == "attach":
        return types.Attachment("")
    if base == "filepath":
        raise scanner.unexpected("expected `@` and the name of a store, as in `filepath@store`")
    return types.Blob("", _BLOB_SIZES[base])


def _blob(scanner: _Scanner, base: str) -> AttributeType:
    return types.Blob("", _BLOB_SIZES[base])


#: First word → what reads the rest.
_TYPES: dict[str, Callable[[_Scanner, str], AttributeType]] = {
    **dict.fromkeys(_INTEGER_BITS, _integer),
    "serial": _serial,
    **dict.fromkeys(("decimal", "numeric"), _decimal),
    **dict.fromkeys(("float", "double", "real"), _float),
    **dict.fromkeys(("char", "varchar"), _characters),
    "enum": _enum,
    **dict.fromkeys(("bool", "boolean"), _bool),
    "date": _date,
    **dict.fromkeys(("datetime", "timestamp", "time"), _moment),
    "year": _year,
    "uuid": _uuid,
    "json": _json,
    **dict.fromkeys(_BLOB_SIZES, _blob),
    **dict.fromkeys(("blob", "attach", "filepath"), _object),
}

TYPE_NAMES = tuple(_TYPES)


def _type(scanner: _Scanner) -> AttributeType:
    scanner.skip_blanks()
    start = scanner.column
    adapter = scanner.take(_ADAPTER)
    word = None if adapter else scanner.take(_IDENTIFIER)
    if adapter:
        type_: AttributeType = types.Adapted("", adapter[1])
    elif word and word[0].lower() in _TYPES:
        try:
            type_ = _TYPES[word[0].lower()](scanner, word[0].lower())
        except ValueError as error:
            raise _Unexpected(str(error), start) from None
    else:
        written = word[0] if word else scanner.text[start:].partition("#")[0].strip()
        raise _Unexpected(
            f"unsupported attribute type `{written}`{did_you_mean(written.lower(), _TYPES)}; the "
            f"types are {', '.join(TYPE_NAMES)} and <adapter>"
            if written
            else "expected a type",
            start,
        )
    written = scanner.text[start : scanner.column]
    return replace(type_, text="bigint unsigned" if written.lower() == "serial" else written)


@lru_cache(maxsize=4096)
def parse_type(text: str) -> AttributeType:
    """Parse the text of a type.

    Parameters
    ----------
    text : str
        As in a definition (manual 5.6), in any case.

    Returns
    -------
    AttributeType
        The type; ``str(type)`` is the text.

    Raises
    ------
    DataJointError
        When no type is written so.
    """
    scanner = _Scanner(text.strip())
    try:
        type_ = _type(scanner)
        if scanner.column < len(scanner.text):
            raise scanner.unexpected(f"`{scanner.text[scanner.column :]}` is not expected")
    except _Unexpected as error:
        raise DataJointError(f"Attribute type `{text.strip()}`: {error}") from None
    return type_


def column_type(text: str) -> AttributeType:
    """Parse the type of a column that exists, perhaps made by another program."""
    try:
        return parse_type(text)
    except DataJointError:
        return types.Other(text)


# -- lines ----------------------------------------------------------------------------------------

_SEPARATOR = re.compile(r"---|___")
_INDEX = re.compile(r"(?P<unique>unique\s+)?index\s*\(", re.IGNORECASE)


def parse_definition(text: str) -> Definition:
    """Parse the text of a definition.

    Parameters
    ----------
    text : str
        Manual 5.4.

    Raises
    ------
    DataJointError
        Points at the line and says what was expected.
    """
    lines = [Line(line.strip(), i) for i, line in enumerate(text.split("\n"), start=1)]
    lines = [line for line in lines if line.text]
    comment = ""
    if lines and lines[0].text.startswith("#"):
        comment = lines[0].text[1:].strip()
        if comment.startswith(":"):
            column = lines[0].text.index(":")
            raise lines[0].error("the comment of a table cannot begin with a colon", column)
    key: list[Item] = []
    secondary: list[Item] = []
    items = key
    for line in lines:
        if line.text.startswith("#"):
            continue
        if _SEPARATOR.match(line.text):
            if items is secondary:
                raise line.error("the attributes are divided by one line of dashes only")
            items = secondary
        else:
            items.append(_parse_line(line))
    return Definition(comment, tuple(key), tuple(secondary))


def _parse_line(line: Line) -> Item:
    scanner = _Scanner(line.text)
    try:
        if scanner.take("->"):
            return _foreign_key(scanner, line)
        index = scanner.take(_INDEX)
        if index:
            return _index(scanner, line, unique=bool(index["unique"]))
        return _attribute(scanner, line)
    except _Unexpected as error:
        raise line.error(str(error), error.column) from None


def _attribute(scanner: _Scanner, line: Line) -> AttributeLine:
    name = _attribute_name(scanner)
    default, default_column = None, 0
    if scanner.take("="):
        scanner.skip_blanks()
        default_column = scanner.column
        default = scanner.expect(_DEFAULT, "a default, with quotes around it if it is a text")[0]
    scanner.expect(":", "`:` and a type" if default else "`:` and a type, or `=` and a default")
    scanner.skip_blanks()
    type_column = scanner.column
    type_ = _type(scanner)
    increments = _SERIAL.match(scanner.text, type_column) is not None
    if type_.category == "integer" and scanner.take_word("auto_increment"):
        increments = True
    scanner.skip_blanks()
    comment_column = scanner.column
    comment = scanner.expect_end("the end of the line, or `#` and a comment")
    if comment.startswith(":"):
        raise _Unexpected("a comment cannot begin with a colon", comment_column)
    return AttributeLine(
        name, default, type_, increments, comment, line, default_column, type_column
    )


def _attribute_name(scanner: _Scanner) -> str:
    old = _OLD_FOREIGN_KEY.match(scanner.text)
    if old:
        raise scanner.unexpected(
            "a foreign key begins with `->`; its attributes are renamed as in "
            f"`-> {old[1]}.proj(new_name='old_name')`"
        )
    word = scanner.expect(
        _WORD,
        "an attribute `name : type # comment`, a foreign key `-> Table`, a line `---` or "
        "`index (…)`",
    )
    reason = name_fault(word[0])
    if reason:
        raise _Unexpected(f"`{word[0]}` cannot be the name of an attribute: {reason}", word.start())
    return word[0]


def name_fault(name: str) -> str:
    """Say why a text cannot be the name of an attribute (manual 5.4.1); "" if it can."""
    if len(name) > 64:
        return f"it has {len(name)} characters, of which 64 are allowed"
    if _NAME.fullmatch(name):
        return ""
    if name != name.lower():
        return f"it must be in lower case, as `{name.lower()}`"
    if not re.match(r"[a-z]", name):
        return "it must begin with a letter from a to z"
    return "it can have only letters from a to z, digits and underscores"


def _foreign_key(scanner: _Scanner, line: Line) -> ForeignKeyLine:
    options = _options(scanner)
    reference = _reference(scanner)
    scanner.expect_end("the end of the line, `.proj(new='old')` or `#` and a comment")
    return ForeignKeyLine(reference, "nullable" in options, "unique" in options, line)


def _options(scanner: _Scanner) -> list[str]:
    options: list[str] = []
    if not scanner.take("[") or scanner.take("]"):
        return options
    while True:
        option = scanner.take_word("nullable", "unique")
        if option is None:
            scanner.skip_blanks()
            raise scanner.unexpected("expected an option: `nullable` or `unique`")
        options.append(option)
        if not scanner.take(","):
            scanner.expect("]", "`,` or `]`")
            return options


def _reference(scanner: _Scanner) -> Reference:
    what = "a table, as in `-> Subject`, `-> lab.Subject` or `-> Subject.proj(new_name='old_name')`"
    scanner.skip_blanks()
    literal = scanner.take(_QUOTED_NAME)
    if literal:
        scanner.expect(".", "`.` and the name of the table between backquotes")
        path = [literal[1], scanner.expect(_QUOTED_NAME, "a table between backquotes")[1]]
    else:
        path = [scanner.expect(_IDENTIFIER, what)[0]]
        _call(scanner)
    while scanner.take("."):
        projection = scanner.take(_PROJECTION)
        if projection:
            return Reference(tuple(path), tuple(_renames(scanner)), bool(literal))
        if literal:
            raise scanner.unexpected("expected `proj(new_name='old_name')`")
        path.append(scanner.expect(_IDENTIFIER, "a name after the dot")[0])
        _call(scanner)
    return Reference(tuple(path), (), bool(literal))


def _call(scanner: _Scanner) -> None:
    """Read the ``()`` that makes an instance of a class, which a name means as well."""
    if scanner.take("("):
        scanner.expect(")", "`)`: to rename attributes, write `.proj(new_name='old_name')`")


def _renames(scanner: _Scanner) -> list[tuple[str, str]]:
    renames: list[tuple[str, str]] = []
    if scanner.take(")"):
        return renames
    while True:
        if not scanner.take("..."):
            what = "a renamed attribute, `new_name='old_name'`"
            new = scanner.expect(_IDENTIFIER, what)
            scanner.expect("=", "`=`: a foreign key can only rename, as in `new_name='old_name'`")
            old = unquote(scanner.expect(STRING, "the old name between quotes")[0])
            if not _NAME.fullmatch(old):
                raise scanner.unexpected("a foreign key cannot compute attributes, only rename")
            fault = name_fault(new[0])
            if fault:
                raise _Unexpected(
                    f"`{new[0]}` cannot be the name of an attribute: {fault}", new.start()
                )
            renames.append((new[0], old))
        if not scanner.take(","):
            scanner.expect(")", "`,` or `)`")
            return renames


def _index(scanner: _Scanner, line: Line, *, unique: bool) -> IndexLine:
    items = [_index_item(scanner)]
    while scanner.take(","):
        items.append(_index_item(scanner))
    scanner.expect(")", "`,` or `)`")
    scanner.expect_end("the end of the line, or `#` and a comment")
    return IndexLine(tuple(items), unique, line)


def _index_item(scanner: _Scanner) -> str:
    quoted = scanner.take(_QUOTED_NAME)
    if quoted:
        return quoted[1]
    return str(_json_path(scanner))


def _json_path(scanner: _Scanner) -> JsonPath:
    attribute = scanner.expect(_NAME, "an attribute, or a path into one as in `document.key[0]`")[0]
    steps: list[str | int] = []
    while True:
        if scanner.take("."):
            steps.append(scanner.expect(_JSON_KEY, "a key of the document")[0])
        elif scanner.take("["):
            steps.append(int(scanner.expect(_NUMBER, "a position, from 0")[0]))
            scanner.expect("]")
        else:
            break
    type_ = scanner.expect(_JSON_TYPE, "a type")[0].strip() if scanner.take(":") else ""
    return JsonPath(attribute, tuple(steps), type_.lower())


def parse_json_path(text: str) -> JsonPath | None:
    """Parse ``attribute.key[0].key:type``; None when a text is none, or an attribute alone."""
    scanner = _Scanner(text)
    try:
        path = _json_path(scanner)
    except _Unexpected:
        return None
    return path if scanner.column == len(text) and path.steps else None
