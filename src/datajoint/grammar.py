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
    projection  = "." ("proj" | "project") "(" [pair {"," pair} [","]] ")"
    pair        = rename | "..."
    rename      = name "=" string
    index       = ["unique"] "index" "(" item {"," item} [","] ")"
    item        = (name | "`" name "`" | json path) ["asc" | "desc"]
    json path   = name step {step} [":" word ["(" number ["," number] ")"]]
    step        = "." key | "[" number "]"
    type        = integer ["(" number ")"] ["unsigned" | "signed"] | "serial" | "bool" | "boolean"
                | "float" ["(" number ["," number] ")"] ["unsigned"]
                | ("double" | "real") ["(" number "," number ")"] ["unsigned"]
                | ("decimal" | "numeric") ["(" number ["," number] ")"] ["unsigned"]
                | ("char" | "varchar") "(" number ")" | "enum" "(" string {"," string} ")"
                | "date" | ("datetime" | "timestamp" | "time") ["(" number ")"]
                | "year" ["(" "4" ")"] | "uuid" | "json" | "attach" | "<" adapter ">"
                | "tinyblob" | "blob" | "mediumblob" | "longblob"
                | ("blob" | "attach" | "filepath") "@" store
    integer     = "tinyint" | "smallint" | "mediumint" | "int" | "integer" | "bigint"
    string      = "'" characters "'" | '"' characters '"'

In a string, the quote itself is doubled or comes after a backslash, as on MySQL. All separators but
the first, and the direction in which an index is sorted, change nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import zip_longest

from . import types
from .errors import DataJointError
from .scanner import IDENTIFIER, Scanner, Unexpected
from .scanner import quoted as quoted
from .scanner import unquote as unquote
from .types import AttributeType
from .utils import did_you_mean

# -- what a definition says -----------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A line of a definition, to point at in errors; ``of`` names what is defined."""

    text: str
    number: int = field(compare=False)
    of: str = field(default="", compare=False)

    def error(self, message: str, column: int = 0) -> DataJointError:
        """Make an error that shows the line, with a caret under one of its columns."""
        blanks = re.sub(r"[^\t]", " ", self.text[:column])
        of = f" of `{self.of}`" if self.of else ""
        return DataJointError(
            f"Line {self.number} of the definition{of}: {message}\n    {self.text}\n    {blanks}^"
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
    """``-> [options] reference``; ``column`` is where the reference stands, for errors."""

    reference: Reference
    nullable: bool
    unique: bool
    source: Line
    column: int = field(default=0, compare=False)


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
    """``[unique] index (item, …)``; an item is an attribute or a path into a json attribute.

    ``columns`` tells where the items stand, for errors.
    """

    items: tuple[str, ...]
    unique: bool
    source: Line
    columns: tuple[int, ...] = field(default=(), compare=False)


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


# -- names ---------------------------------------------------------------------------------------

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_QUOTED_NAME = re.compile(r"`([^`]+)`")
_STORE = re.compile(r"[a-zA-Z][-\w]*")
_WORD = re.compile(r"[^\s=:#(]+")
_UNQUOTED = re.compile(r"[^:'\"#]*[^:'\"#\s]")
_OLD_FOREIGN_KEY = re.compile(r"\(([^()]*)\)\s*->\s*([\w.]+)\s*(?:\(([^()]*)\))?")
_ADAPTER = re.compile(r"<\s*([^<>\s:]+)\s*>")
_PROJECTION = re.compile(r"proj(?:ect)?\b")
_JSON_KEY = re.compile(r"[^\s.,:()\[\]#'\"`]+")
_JSON_TYPE = re.compile(r"[a-zA-Z]+(\s*\(\s*[0-9]+\s*(,\s*[0-9]+\s*)?\))?")


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


def _numbers(scanner: Scanner, most: int) -> list[int]:
    """Read up to so many numbers between parentheses."""
    if not scanner.take("("):
        return []
    numbers = [scanner.number("a number")]
    while len(numbers) < most and scanner.take(","):
        numbers.append(scanner.number("a number"))
    scanner.expect(")")
    return numbers


def _unsigned(scanner: Scanner) -> bool:
    return scanner.take_word("unsigned") is not None


def _integer(scanner: Scanner, base: str) -> AttributeType:
    _numbers(scanner, 1)  # the width for display
    bits, unsigned = _INTEGER_BITS[base], scanner.take_word("unsigned", "signed") == "unsigned"
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return types.Integer("", low, high, unsigned)


def _serial(scanner: Scanner, base: str) -> AttributeType:
    return types.Integer("bigint unsigned", 0, 2**64 - 1, True)


def _bool(scanner: Scanner, base: str) -> AttributeType:
    return types.Bool("", 0, 1)


def _float(scanner: Scanner, base: str) -> AttributeType:
    """Read a type of which up to 24 binary digits, or none, make a single."""
    digits = _numbers(scanner, 2)
    if len(digits) == 1 and base != "float":
        raise ValueError(f"`{base}` has two numbers or none, as in `{base}(7,3)`")
    if len(digits) == 1 and digits[0] > 53:
        raise ValueError("a float has at most 53 binary digits")
    if len(digits) == 2 and (digits[0] > 255 or digits[1] > min(digits[0], 30)):
        raise ValueError(
            f"a {base} has up to 255 digits, of which up to 30 and no more than all are fractional"
        )
    single = base == "float" and not (len(digits) == 1 and digits[0] > 24)
    return types.Float("", single, _unsigned(scanner))


def _decimal(scanner: Scanner, base: str) -> AttributeType:
    digits, fraction, *_ = [*_numbers(scanner, 2), 0, 0]
    digits = digits if digits or fraction else 10
    if not 1 <= digits <= 65 or fraction > min(digits, 30):
        raise ValueError(
            "a decimal has 1 to 65 digits, of which up to 30 and no more than all are fractional"
        )
    return types.Decimal("", digits, fraction, _unsigned(scanner))


def _characters(scanner: Scanner, base: str) -> AttributeType:
    if not scanner.rest.startswith("("):
        raise scanner.unexpected(f"expected `(` and a length, as in `{base}(30)`")
    (length,) = _numbers(scanner, 1)
    limit = 255 if base == "char" else 65535
    if length > limit:
        raise ValueError(f"the length of {base} is at most {limit}")
    return types.String("", length, fixed=base == "char")


def _enum(scanner: Scanner, base: str) -> AttributeType:
    scanner.expect("(", "`(` and the members, as in `enum('left', 'right')`")
    members = [unquote(scanner.string("a member between quotes"))]
    while scanner.take(","):
        members.append(unquote(scanner.string("a member between quotes")))
    scanner.expect(")", "`,` or `)`")
    if len({member.casefold() for member in members}) < len(members):
        raise ValueError("an enum has no member twice")
    return types.Enum("", tuple(members))


def _date(scanner: Scanner, base: str) -> AttributeType:
    return types.Date("")


def _moment(scanner: Scanner, base: str) -> AttributeType:
    (digits,) = _numbers(scanner, 1) or [0]
    if digits > 6:
        raise ValueError("a second has at most 6 fractional digits")
    make = {"datetime": types.DateTime, "timestamp": types.Timestamp, "time": types.Time}[base]
    return make("", digits)


def _year(scanner: Scanner, base: str) -> AttributeType:
    if _numbers(scanner, 1) not in ([], [4]):
        raise ValueError("a year has 4 digits")
    return types.Year("")


def _uuid(scanner: Scanner, base: str) -> AttributeType:
    return types.UUID("")


def _json(scanner: Scanner, base: str) -> AttributeType:
    return types.Json("")


def _object(scanner: Scanner, base: str) -> AttributeType:
    """Read what is kept in the table or, after ``@``, in a store."""
    if scanner.take("@"):
        store = scanner.expect(_STORE, "the name of a store")[0]
        return types.External(f"{base}@{store}", base, store)
    if base == "attach":
        return types.Attachment("")
    if base == "filepath":
        raise scanner.unexpected("expected `@` and the name of a store, as in `filepath@store`")
    return _blob(scanner, base)


def _blob(scanner: Scanner, base: str) -> AttributeType:
    return types.Blob("", _BLOB_SIZES[base])


#: First word → what reads the rest.
_TYPES: dict[str, Callable[[Scanner, str], AttributeType]] = {
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
    **dict.fromkeys((name for name in _BLOB_SIZES if name != "blob"), _blob),
    **dict.fromkeys(("blob", "attach", "filepath"), _object),
}

TYPE_NAMES = tuple(_TYPES)


#: What to write instead of types of other places.
_INSTEAD = {
    **dict.fromkeys(("text", "tinytext", "mediumtext", "longtext", "string", "str"), "varchar(N)"),
    **dict.fromkeys(("binary", "varbinary", "bytes", "smallblob"), "longblob"),
    "bit": "bool",
    "set": "bool` for each member, or `enum",
}


def _type(scanner: Scanner) -> AttributeType:
    start = scanner.next_column
    adapter = scanner.take(_ADAPTER)
    word = None if adapter else scanner.take(IDENTIFIER)
    base = word[0].lower() if word else ""
    if adapter:
        type_: AttributeType = types.Adapted(f"<{adapter[1]}>", adapter[1])
    elif base in _TYPES:
        try:
            type_ = _TYPES[base](scanner, base)
        except ValueError as error:
            raise Unexpected(str(error), start) from None
    else:
        raise Unexpected(_no_type(word[0] if word else scanner.rest.partition("#")[0]), start)
    # Other programs read the names of adapters and stores: blanks are no part of these.
    return replace(type_, text=type_.text or scanner.text[start : scanner.column])


def _no_type(written: str) -> str:
    """Say that a text is no type, and what may have been meant."""
    name = written.strip()
    if not name:
        return "expected a type"
    instead = _INSTEAD.get(name.lower())
    hint = f"; write `{instead}`." if instead else did_you_mean(name.lower(), TYPE_NAMES) or "."
    types_ = ", ".join(TYPE_NAMES)
    return f"unsupported attribute type `{name}`{hint} The types are {types_} and <adapter>"


#: What follows a type where nothing should → what to write instead.
_AFTER_TYPE = [
    (r"=|default\b", "a default stands before the type, as in `name = default : type`"),
    (r"not\s+null\b", "no attribute is null unless its default is; leave out `not null`"),
    (r"null\b", "an attribute that may be null is written `name = null : type`"),
    (r"unique\b", "to make it unique, write a line `unique index (name)`"),
    (r"primary\b", "the primary key is what stands above the line `---`"),
    (r"zerofill\b", "how a number is displayed is no part of its type; leave out `zerofill`"),
    (r"unsigned\b", "only a number can be unsigned"),
    (r"auto_increment\b", "only an integer can be auto_increment"),
    (r"->", "a foreign key stands on a line of its own"),
    (r"@", "only `blob`, `attach` and `filepath` are kept in stores, as in `blob@store`"),
    (r"\(", "the type takes no more numbers between parentheses"),
]


def _hint(hints: list[tuple[str, str]], rest: str) -> str:
    """Find the hint for what comes where the end was expected; "" if there is none."""
    return next((hint for text, hint in hints if re.match(text, rest, re.IGNORECASE)), "")


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
    scanner = Scanner(text.strip())
    try:
        type_ = _type(scanner)
        rest = scanner.rest
        if rest:
            hint = _hint(_AFTER_TYPE, rest)
            raise scanner.unexpected(f"`{rest}` is not expected" + (f"; {hint}" if hint else ""))
    except Unexpected as error:
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
_INDEX = re.compile(r"(?P<unique>unique\s+)?index\s*\(", re.IGNORECASE | re.ASCII)


def parse_definition(text: str, of: str = "") -> Definition:
    """Parse the text of a definition.

    Parameters
    ----------
    text : str
        Manual 5.4.
    of : str, optional
        What is defined, for errors: the name of a class.

    Raises
    ------
    DataJointError
        Points at the line and says what was expected.
    """
    if not isinstance(text, str):
        raise DataJointError(f"The definition of a table is a text, not {text!r}")
    lines = [Line(line.strip(), i, of) for i, line in enumerate(text.split("\n"), start=1)]
    lines = [line for line in lines if line.text]
    for line in lines:
        odd = re.search("[\0\ud800-\udfff]", line.text)
        if odd:
            raise line.error(f"no database can hold the character {odd[0]!a}", odd.start())
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
            items = secondary
        else:
            items.append(_parse_line(line))
    return Definition(comment, tuple(key), tuple(secondary))


def _parse_line(line: Line) -> Item:
    scanner = Scanner(line.text)
    try:
        if scanner.take("->"):
            return _foreign_key(scanner, line)
        index = scanner.take(_INDEX)
        if index:
            return _index(scanner, line, unique=bool(index["unique"]))
        return _attribute(scanner, line)
    except Unexpected as error:
        raise line.error(str(error), error.column) from None


def _attribute(scanner: Scanner, line: Line) -> AttributeLine:
    name = _attribute_name(scanner)
    default, default_column = None, 0
    if scanner.take("="):
        default_column = scanner.next_column
        default = _default(scanner)
        text = "; a text stands between quotes" if scanner.rest[:1] in ("'", '"') else ""
        scanner.expect(":", f"`:` and a type{text}")
    elif not scanner.take(":"):
        raise scanner.unexpected(_after_name(name, scanner.rest))
    type_column = scanner.next_column
    type_ = _type(scanner)
    increments = line.text[type_column : scanner.column].lower() == "serial"
    if type_.category == "integer" and scanner.take_word("auto_increment"):
        increments = True
    comment_column = scanner.next_column
    comment = scanner.expect_end(_hint(_AFTER_TYPE, scanner.rest))
    if comment.startswith(":"):
        raise Unexpected("a comment cannot begin with a colon", comment_column)
    return AttributeLine(
        name, default, type_, increments, comment, line, default_column, type_column
    )


def _default(scanner: Scanner) -> str:
    if scanner.rest[:1] in ("'", '"'):
        return scanner.string("")
    return scanner.expect(_UNQUOTED, "a default, with quotes around it if it is a text")[0]


def _attribute_name(scanner: Scanner) -> str:
    old = _OLD_FOREIGN_KEY.match(scanner.text)
    if old:
        raise scanner.unexpected(_modern_foreign_key(*old.groups("")))
    word = scanner.expect(
        _WORD,
        "an attribute `name : type # comment`, a foreign key `-> Table`, a line `---` or "
        "`index (…)`",
    )
    if re.fullmatch(r"[-_\u2013\u2014]+", word[0]) and not scanner.rest.partition("#")[0]:
        raise Unexpected(
            "expected at least three dashes `---` between the primary key and the rest",
            word.start(),
        )
    reason = name_fault(word[0])
    if reason:
        raise Unexpected(f"`{word[0]}` cannot be the name of an attribute: {reason}", word.start())
    return word[0]


def _modern_foreign_key(new: str, table: str, old: str) -> str:
    """Show how ``(new) -> table(old)``, the form of long ago, is written."""
    names = zip_longest(*(re.findall(r"\w+", text) for text in (new, old)), fillvalue="old_name")
    renames = ", ".join(f"{new}='{old}'" for new, old in names)
    return f"a foreign key begins with `->`: write `-> {table}.proj({renames})`"


def _after_name(name: str, rest: str) -> str:
    """Say what was expected where neither a default nor a type follows a name."""
    second = re.match(r"(\w+)\s*[:=]", rest)
    if name in ("index", "unique"):
        return "expected `:` and a type; an index is written `index (…)` or `unique index (…)`"
    if rest.startswith("->"):
        return "a foreign key begins with `->`; to rename, write `-> Table.proj(new='old')`"
    if second:
        return f"the name of an attribute has no blanks; write `{name}_{second[1]}`"
    return f"expected `:` and a type, as in `{name} : int`, or `=` and a default"


def name_fault(name: str) -> str:
    """Say why a text cannot be the name of an attribute (manual 5.4.1); "" if it can."""
    if len(name) > 64:
        return f"it has {len(name)} characters, of which 64 are allowed"
    if _NAME.fullmatch(name):
        return ""
    lower = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    if _NAME.fullmatch(lower):
        return f"it must be in lower case, as `{lower}`"
    if not re.match(r"[a-zA-Z]", name):
        return "it must begin with a letter from a to z"
    strange = re.sub(r"[a-zA-Z0-9_]", "", name)[0]
    return f"it can have only letters from a to z, digits and underscores, not `{strange}`"


#: What follows the table of a foreign key where nothing should → why not.
_AFTER_TABLE = [
    (r",|->|\+|\*|@", "a foreign key refers to one table; write a line for each"),
    (r"&|-", "a foreign key refers to all of a table, which cannot be restricted here"),
    (
        r"\[\s*(nullable|unique)",
        "the options of a foreign key stand before the table, as in `-> [nullable] Table`",
    ),
]


def _foreign_key(scanner: Scanner, line: Line) -> ForeignKeyLine:
    options = _options(scanner)
    column = scanner.next_column
    reference = _reference(scanner)
    scanner.expect_end(
        _hint(_AFTER_TABLE, scanner.rest)
        or "expected the end of the line, `.proj(new_name='old_name')` or `#` and a comment"
    )
    return ForeignKeyLine(reference, "nullable" in options, "unique" in options, line, column)


def _options(scanner: Scanner) -> list[str]:
    options: list[str] = []
    if not scanner.take("[") or scanner.take("]"):
        return options
    while True:
        option = scanner.take_word("nullable", "unique")
        if option is None:
            raise scanner.unexpected("expected an option: `nullable` or `unique`")
        options.append(option)
        if not scanner.take(","):
            scanner.expect("]", "`,` or `]`")
            return options


def _reference(scanner: Scanner) -> Reference:
    what = "a table, as in `-> Subject`, `-> lab.Subject` or `-> Subject.proj(new_name='old_name')`"
    literal = scanner.take(_QUOTED_NAME)
    if literal:
        scanner.expect(".", "`.` and the name of the table between backquotes")
        path = [literal[1], scanner.expect(_QUOTED_NAME, "a table between backquotes")[1]]
    else:
        path = [scanner.expect(IDENTIFIER, what)[0]]
        _call(scanner)
    while scanner.take("."):
        if scanner.take(_PROJECTION):
            scanner.expect("(", "`(new_name='old_name')`")
            return Reference(tuple(path), tuple(_renames(scanner)), bool(literal))
        if literal:
            raise scanner.unexpected("expected `proj(new_name='old_name')`")
        path.append(scanner.expect(IDENTIFIER, "a name after the dot")[0])
        _call(scanner)
    return Reference(tuple(path), (), bool(literal))


def _call(scanner: Scanner) -> None:
    """Read the ``()`` that makes an instance of a class, which a name means as well."""
    if scanner.take("("):
        scanner.expect(")", "`)`: to rename attributes, write `.proj(new_name='old_name')`")


def _renames(scanner: Scanner) -> list[tuple[str, str]]:
    renames: list[tuple[str, str]] = []
    while not scanner.take(")"):
        if not scanner.take("..."):
            column = scanner.next_column
            new, old = _rename(scanner)
            for name, index in ((new, 0), (old, 1)):
                if name in (rename[index] for rename in renames):
                    raise Unexpected(f"`{name}` is renamed twice", column)
            renames.append((new, old))
        if not scanner.take(","):
            scanner.expect(")", "`,` or `)`")
            break
    return renames


def _rename(scanner: Scanner) -> tuple[str, str]:
    what = "a renamed attribute, `new_name='old_name'`: a foreign key can only rename"
    new = scanner.expect(IDENTIFIER, what)
    fault = name_fault(new[0])
    if fault:
        raise Unexpected(f"`{new[0]}` cannot be the name of an attribute: {fault}", new.start())
    scanner.expect("=", "`=` and the old name, as in `new_name='old_name'`")
    column = scanner.next_column
    old = unquote(scanner.string("the old name between quotes")).strip()
    if not IDENTIFIER.fullmatch(old):
        raise Unexpected("a foreign key cannot compute attributes, only rename them", column)
    return new[0], old


def _index(scanner: Scanner, line: Line, *, unique: bool) -> IndexLine:
    items: list[str] = []
    columns: list[int] = []
    while not (items and scanner.take(")")):
        columns.append(scanner.next_column)
        items.append(_index_item(scanner))
        if not scanner.take(","):
            scanner.expect(")", "`,` or `)`: an index has attributes and paths into documents")
            break
    scanner.expect_end()
    return IndexLine(tuple(items), unique, line, tuple(columns))


def _index_item(scanner: Scanner) -> str:
    quoted_name = scanner.take(_QUOTED_NAME)
    item = quoted_name[1] if quoted_name else str(_json_path(scanner))
    scanner.take_word("asc", "desc")
    return item


def _json_path(scanner: Scanner) -> JsonPath:
    attribute = scanner.expect(_NAME, "an attribute, or a path into one as in `document.key[0]`")[0]
    steps: list[str | int] = []
    while True:
        if scanner.take("."):
            steps.append(scanner.expect(_JSON_KEY, "a key of the document")[0])
        elif scanner.take("["):
            steps.append(scanner.number("a position, from 0"))
            scanner.expect("]")
        else:
            break
    typed = steps and scanner.take(":")
    type_ = scanner.expect(_JSON_TYPE, "a type, as in `:int`")[0] if typed else ""
    return JsonPath(attribute, tuple(steps), type_.lower())


def parse_json_path(text: str) -> JsonPath | None:
    """Parse ``attribute.key[0].key:type``; None when a text is none, or an attribute alone."""
    scanner = Scanner(text)
    try:
        path = _json_path(scanner)
    except Unexpected:
        return None
    return path if scanner.column == len(text) and path.steps else None
