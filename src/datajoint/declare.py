"""The definition language: from the text of a definition to a :class:`TableSpec`.

A definition is parsed into lines without knowing any other table; the foreign keys are then
resolved against their parents. Manual 5.4 and 5.9; storage formats 2.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from .errors import DataJointError
from .heading import Attribute, Heading, Index
from .sql.algebra import Stored
from .types import AttributeType, parse_type
from .utils import did_you_mean

# -- what a table is ------------------------------------------------------------------------------


@dataclass(frozen=True)
class TableName:
    """The name of a table in the database, with its schema."""

    schema: str
    table: str

    @property
    def full(self) -> str:
        """`` `schema`.`table` ``, on every database."""
        return f"`{self.schema}`.`{self.table}`"

    def __str__(self) -> str:
        return self.full


@dataclass(frozen=True)
class ForeignKey:
    """A reference from attributes of a table to the primary key of its parent.

    Attributes
    ----------
    parent : TableName
    attributes : tuple of (str, str)
        Attribute of the child, attribute of the parent; in the order of the parent's key.
    """

    parent: TableName
    attributes: tuple[tuple[str, str], ...]

    @property
    def child_attributes(self) -> tuple[str, ...]:
        return tuple(child for child, _ in self.attributes)

    @property
    def parent_attributes(self) -> tuple[str, ...]:
        return tuple(parent for _, parent in self.attributes)

    @property
    def renamed(self) -> bool:
        """Whether any attribute has another name in the child."""
        return any(child != parent for child, parent in self.attributes)


@dataclass(frozen=True)
class TableSpec:
    """All there is to know about a table: read from a definition or from the database."""

    name: TableName
    heading: Heading
    foreign_keys: tuple[ForeignKey, ...] = ()

    @property
    def relation(self) -> Stored:
        """The table as a relation of the algebra."""
        indexes = [
            self.heading.primary_key,
            *(index.attributes for index in self.heading.secondary_indexes),
            *(foreign_key.child_attributes for foreign_key in self.foreign_keys),
        ]
        return Stored(
            self.name.schema,
            self.name.table,
            tuple(attribute.name for attribute in self.heading.all_attributes),
            frozenset(index[0] for index in indexes if index),
        )


# -- what a definition says -----------------------------------------------------------------------


@dataclass(frozen=True)
class Reference:
    """The right side of a foreign key: ``path``, or ``path.proj(new='old', …)``.

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
    source: _Line


@dataclass(frozen=True)
class AttributeLine:
    """``name = default : type # comment``."""

    attribute: Attribute
    source: _Line


@dataclass(frozen=True)
class IndexLine:
    """``[unique] index (a, b)``."""

    index: Index
    source: _Line


Item = ForeignKeyLine | AttributeLine | IndexLine


@dataclass(frozen=True)
class Definition:
    """A parsed definition, its foreign keys not yet resolved."""

    comment: str
    key: tuple[Item, ...]
    secondary: tuple[Item, ...]


@dataclass(frozen=True)
class _Line:
    """A line of a definition, to point at in errors."""

    text: str
    number: int = field(compare=False)

    def error(self, message: str, column: int = 0) -> DataJointError:
        return DataJointError(
            f"Line {self.number} of the definition: {message}\n    {self.text}\n    {' ' * column}^"
        )


_SEPARATOR = re.compile(r"---|___")
_INDEX = re.compile(r"(?P<unique>unique\s+)?index\s*\((?P<items>[^#]*)\)\s*(#.*)?$", re.IGNORECASE)
_ARROW = re.compile(
    r"->\s*(?:\[(?P<options>[^\]]*)\])?\s*(?P<reference>(?:`[^`]*`|[^`#])*?)\s*(?:#.*)?$"
)
_PATH = re.compile(
    r"(?P<path>`[^`]+`\.`[^`]+`|[A-Za-z_]\w*(?:\(\))?(?:\s*\.\s*[A-Za-z_]\w*)*?)\s*(?:\(\))?"
    r"(?:\.proj(?:ect)?\((?P<renames>[^()]*)\))?"
)
_RENAME = re.compile(r"\s*(?P<new>\w+)\s*=\s*(?P<quote>['\"])(?P<old>\w+)(?P=quote)\s*")
_QUOTED = r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\""
_ATTRIBUTE = re.compile(
    rf"""
    (?P<name>[^\s=:\#]+) \s*
    (?:= \s* (?P<default>(?:{_QUOTED}|[^:'"\#])*?) \s*)?
    : \s* (?P<type>(?:{_QUOTED}|[^\#'"])+?) \s*
    (?:\# (?P<comment>.*))? $
    """,
    re.VERBOSE,
)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_AUTO_INCREMENT = re.compile(r"\s+auto_increment$", re.IGNORECASE)
_TEMPORAL_DEFAULT = re.compile(r"current_timestamp(\s*\(\s*\d?\s*\))?", re.IGNORECASE)


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
    lines = [_Line(line.strip(), i) for i, line in enumerate(text.split("\n"), start=1)]
    while lines and not lines[0].text:
        lines.pop(0)
    comment = ""
    if lines and lines[0].text.startswith("#"):
        comment = lines.pop(0).text[1:].strip()
        if comment.startswith(":"):
            raise DataJointError(f"The comment of a table cannot begin with a colon: {comment!r}")
    key: list[Item] = []
    secondary: list[Item] = []
    items = key
    for line in lines:
        if not line.text or line.text.startswith("#"):
            continue
        if _SEPARATOR.match(line.text):
            if items is secondary:
                raise line.error("the attributes are divided by one line of dashes only")
            items = secondary
        else:
            items.append(_parse_line(line, in_key=items is key))
    return Definition(comment, tuple(key), tuple(secondary))


def _parse_line(line: _Line, *, in_key: bool) -> Item:
    if line.text.startswith("->"):
        return _parse_foreign_key(line, in_key=in_key)
    match = _INDEX.match(line.text)
    if match:
        names = tuple(item.strip().strip("`") for item in match["items"].split(","))
        return IndexLine(Index(names, bool(match["unique"])), line)
    return _parse_attribute(line, in_key=in_key)


def _parse_foreign_key(line: _Line, *, in_key: bool) -> ForeignKeyLine:
    match = _ARROW.match(line.text)
    options = {
        option.strip().lower() for option in ((match and match["options"]) or "").split(",")
    } - {""}
    unknown = options - {"nullable", "unique"}
    if unknown:
        raise line.error(
            f"`{min(unknown)}` is no option of a foreign key; there are `nullable` and `unique`",
            line.text.lower().find(min(unknown)),
        )
    if in_key and "nullable" in options:
        raise line.error("a foreign key in the primary key cannot be nullable", line.text.find("["))
    text = match["reference"] if match else ""
    parts = _PATH.fullmatch(text)
    if parts is None:
        raise line.error(
            "expected a table after `->`, as in `-> Subject`, `-> lab.Subject` or "
            "`-> Subject.proj(new_name='old_name')`",
            max(line.text.find(text), 2) if text else 2,
        )
    renames = []
    for part in (parts["renames"] or "").split(","):
        rename = _RENAME.fullmatch(part)
        if rename:
            renames.append((rename["new"], rename["old"]))
        elif part.strip() and part.strip() != "...":
            raise line.error(
                "a foreign key can only rename attributes, as in `.proj(new_name='old_name')`",
                line.text.find(part.strip()),
            )
    path = parts["path"]
    names = tuple(re.findall(r"`([^`]+)`", path)) or tuple(
        name.strip() for name in path.replace("()", "").split(".")
    )
    reference = Reference(names, tuple(renames), literal=path.startswith("`"))
    return ForeignKeyLine(reference, "nullable" in options, "unique" in options, line)


def _parse_attribute(line: _Line, *, in_key: bool) -> AttributeLine:
    match = _ATTRIBUTE.match(line.text)
    if match is None:
        raise line.error(
            "expected `name : type`, `name = default : type # comment`, a foreign key "
            "`-> Table`, `---` or `index (…)`",
            0 if ":" in line.text else len(line.text),
        )
    name = match["name"]
    if not _NAME.fullmatch(name) or len(name) > 64:
        raise line.error(
            f"`{name}` is no valid name for an attribute: it has up to 64 lower-case letters, "
            "digits and underscores, and begins with a letter"
        )
    comment = (match["comment"] or "").strip().rstrip("#").strip()
    if comment.startswith(":"):
        raise line.error("a comment cannot begin with a colon", match.start("comment") - 1)
    type_text, increments = _AUTO_INCREMENT.subn("", match["type"].strip())
    if type_text.lower() == "serial":
        type_text, increments = "bigint unsigned", 1
    try:
        type_ = parse_type(type_text)
    except DataJointError as error:
        raise line.error(str(error), match.start("type")) from None
    try:
        default, nullable = _parse_default(match["default"], type_)
    except DataJointError as error:
        raise line.error(str(error), match.start("default")) from None
    if nullable and in_key:
        raise line.error("an attribute of the primary key cannot be null", match.start("default"))
    if in_key and not type_.in_key_allowed:
        raise line.error(f"`{type_}` cannot be in the primary key", match.start("type"))
    if increments and (type_.category != "integer" or default is not None):
        raise line.error("only an integer without a default can be auto_increment")
    attribute = Attribute(name, type_, in_key, nullable, default, comment, bool(increments))
    return AttributeLine(attribute, line)


def _parse_default(text: str | None, type_: AttributeType) -> tuple[str | None, bool]:
    """Bring a default into its canonical form, and tell whether it is null."""
    if text is None:
        return None, False
    if text.lower() == "null":
        return "null", True
    if type_.is_blob:
        raise DataJointError(f"An attribute of type `{type_}` can have no default but null")
    if _TEMPORAL_DEFAULT.fullmatch(text):
        if type_.category not in ("datetime", "timestamp"):
            raise DataJointError(f"`{text}` cannot be the default of type `{type_}`")
        return re.sub(r"\s|\(\)", "", text.upper()), False
    value = default_value(text)
    if type_.category == "bool" and text.lower() in ("true", "false"):
        value = "1" if text.lower() == "true" else "0"
    try:
        encoded = type_.encode(value)
    except ValueError as error:
        raise DataJointError(f"The default {text} {error}, as the type `{type_}` asks") from None
    if type_.category == "integer" and Decimal(value) != encoded:
        raise DataJointError(f"The default {text} is no integer, as the type `{type_}` asks")
    if type_.numeric:
        return str(encoded), False
    return quoted_default(str(encoded) if type_.is_string else value), False


def quoted_default(value: str) -> str:
    """Put quotes around the value of a default, as :func:`default_value` takes them off."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def default_value(text: str) -> str:
    """Take the quotes off a default."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        body = text[1:-1].replace(text[0] * 2, text[0])
        return re.sub(r"\\(.)", r"\1", body)
    return text


# -- foreign keys ---------------------------------------------------------------------------------

#: Finds the table that a reference means; None stands for the table that is being defined.
Lookup = Callable[[Reference], "TableSpec | None"]


def resolve(definition: Definition, name: TableName, lookup: Lookup) -> TableSpec:
    """Resolve the foreign keys of a definition.

    Parameters
    ----------
    definition : Definition
    name : TableName
        Of the table that is defined.
    lookup : callable
        Finds the table that a reference means, or raises.

    Returns
    -------
    TableSpec

    Raises
    ------
    DataJointError
        When a table or an attribute is not found, or an attribute is defined twice.
    """
    attributes: dict[str, Attribute] = {}
    foreign_keys: list[ForeignKey] = []
    indexes: list[Index] = []
    for items, in_key in ((definition.key, True), (definition.secondary, False)):
        for item in items:
            if isinstance(item, AttributeLine):
                _add_attribute(attributes, item)
            elif isinstance(item, ForeignKeyLine):
                foreign_key = _add_foreign_key(attributes, item, name, lookup, in_key=in_key)
                foreign_keys.append(foreign_key)
                if item.unique:
                    indexes.append(Index(foreign_key.child_attributes, unique=True))
            else:
                indexes.append(item.index)
    _check_indexes(definition, attributes)
    if not any(attribute.in_key for attribute in attributes.values()):
        raise DataJointError(
            f"The definition of {name} has no primary key: at least one attribute must stand "
            "above the line `---`"
        )
    increments = [a.name for a in attributes.values() if a.autoincrement]
    if len(increments) > 1:
        raise DataJointError(f"{name}: only one attribute can be auto_increment")
    return TableSpec(
        name,
        Heading(tuple(attributes.values()), definition.comment, tuple(indexes)),
        tuple(foreign_keys),
    )


def _add_attribute(attributes: dict[str, Attribute], item: AttributeLine) -> None:
    attribute = item.attribute
    known = attributes.get(attribute.name)
    if known is None:
        attributes[attribute.name] = attribute
    elif not (
        known.attribute_type
        and attribute.attribute_type
        and known.attribute_type.same_as(attribute.attribute_type)
    ):
        raise item.source.error(
            f"attribute `{attribute.name}` is already defined, with type `{known.type}`"
        )


def _add_foreign_key(
    attributes: dict[str, Attribute],
    item: ForeignKeyLine,
    name: TableName,
    lookup: Lookup,
    *,
    in_key: bool,
) -> ForeignKey:
    try:
        # A table can refer to its own key, as defined so far.
        parent = lookup(item.reference) or TableSpec(name, Heading(tuple(attributes.values())))
    except DataJointError as error:
        raise item.source.error(str(error), item.source.text.find(item.reference.path[0])) from None
    key = parent.heading.primary_key
    new_names = {}
    for new, old in item.reference.renames:
        if old not in key:
            raise item.source.error(
                f"`{old}` is not in the primary key of {parent.name}{did_you_mean(old, key)}",
                item.source.text.rfind(old),
            )
        if not _NAME.fullmatch(new):
            raise item.source.error(
                f"`{new}` is no valid name for an attribute", item.source.text.find(new)
            )
        new_names[old] = new
    pairs = tuple((new_names.get(old, old), old) for old in key)
    for child, old in pairs:
        if child in attributes:
            own, referenced = attributes[child].attribute_type, parent.heading.types[old]
            if own is not None and referenced is not None and not own.same_as(referenced):
                raise item.source.error(
                    f"attribute `{child}` is already defined, with type `{own}`; `{old}` of "
                    f"{parent.name} has type `{referenced}`"
                )
        else:
            attributes[child] = parent.heading[old].as_reference(child, in_key, item.nullable)
    return ForeignKey(parent.name, pairs)


def _check_indexes(definition: Definition, attributes: dict[str, Attribute]) -> None:
    for item in (*definition.key, *definition.secondary):
        if isinstance(item, IndexLine):
            for name in item.index.attributes:
                if name not in attributes:
                    raise item.source.error(
                        f"`{name}` is no attribute{did_you_mean(name, attributes)}",
                        max(item.source.text.find(name), 0),
                    )
