"""What every backend needs to make tables and to read them back."""

from __future__ import annotations

import re
import select
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter

from ..alter import Alteration
from ..declare import ForeignKey, TableName, TableSpec
from ..grammar import column_type, parse_json_path
from ..heading import Attribute, Heading, Index
from ..sql.dialect import Dialect
from ..sql.json_path import value_type
from ..sql.text import SQL
from ..types import Adapted, AttributeType


def is_readable(socket: int) -> bool:
    """Tell whether there is something to read from an idle session: the news of its end."""
    try:
        return bool(select.select([socket], [], [], 0)[0])
    except ValueError:  # a number too large for select, or a closed socket
        return False


def names(dialect: Dialect, attributes: Iterable[str]) -> str:
    """Quote names, with commas between them."""
    return ", ".join(map(dialect.quote, attributes))


def index_terms(dialect: Dialect, attributes: Iterable[str]) -> str:
    """Write what is indexed: attributes, and expressions for the paths into documents."""
    terms = []
    for text in attributes:
        path = parse_json_path(text)
        if path is None:
            terms.append(dialect.quote(text))
        else:
            type_ = value_type(path.type)
            value = dialect.json_value(SQL(dialect.quote(path.attribute)), path.steps, type_)
            terms.append(f"({dialect.computed(value, type_)})")
    return ", ".join(terms)


#: Stands between the terms of an index where they are noted; no term has it.
SEPARATOR = "; "


def noted_terms(attributes: Iterable[str]) -> str:
    """Note what is indexed, where a database keeps expressions only; "" if there is none."""
    terms = list(attributes)
    return SEPARATOR.join(terms) if any(map(parse_json_path, terms)) else ""


def references(dialect: Dialect, foreign_key: ForeignKey) -> str:
    """Write a foreign key up to its actions."""
    table = dialect.table(foreign_key.parent.schema, foreign_key.parent.table)
    return (
        f"FOREIGN KEY ({names(dialect, foreign_key.child_attributes)}) "
        f"REFERENCES {table} ({names(dialect, foreign_key.parent_attributes)})"
    )


_ADAPTED = re.compile(r"(<[^<>]*>) = (.*)", re.DOTALL)


def noted_type(attribute: Attribute) -> str:
    """Write the type that is noted with a column: of an adapted one, what is stored as well."""
    adapted = isinstance(attribute.attribute_type, Adapted)
    return f"{attribute.type} = {attribute.stored_type}" if adapted else attribute.type


def marked_type(marker: str, native: AttributeType) -> AttributeType:
    """Read the type that is noted with a column whose own type says less."""
    adapted = _ADAPTED.fullmatch(marker)
    type_ = column_type(adapted[1] if adapted else marker)
    if not isinstance(type_, Adapted):
        return type_
    return replace(type_, inner=column_type(adapted[2]) if adapted else native)


def assemble(
    schema: str,
    columns: Iterable[tuple[str, Attribute]],
    indexes: Iterable[tuple[str, str, bool, str]],
    foreign_keys: Iterable[tuple[str, str, TableName, str, str]],
    comments: Mapping[str, str],
) -> dict[str, TableSpec]:
    """Assemble the tables of a schema from what the catalog of the database says.

    Parameters
    ----------
    schema : str
    columns : iterable
        Table and attribute, in the order of the attributes.
    indexes : iterable
        Table, index, whether it is unique, and attribute: for secondary indexes, in order.
    foreign_keys : iterable
        Table, constraint, parent, attribute, attribute of the parent; in order.
    comments : mapping
        Table → comment.

    Returns
    -------
    dict
        The tables by name, in the order of their names.
    """
    attributes: dict[str, list[Attribute]] = {}
    for table, attribute in columns:
        attributes.setdefault(table, []).append(attribute)
    own_indexes: dict[str, list[Index]] = {}
    for (table, _, unique), rows in groupby(indexes, itemgetter(0, 1, 2)):
        index = Index(tuple(row[3] for row in rows), unique)
        own_indexes.setdefault(table, []).append(index)
    references: dict[str, list[ForeignKey]] = {}
    for (table, _, parent), pairs in groupby(foreign_keys, itemgetter(0, 1, 2)):
        foreign_key = ForeignKey(parent, tuple(pair[3:] for pair in pairs))
        references.setdefault(table, []).append(foreign_key)
    return {
        table: TableSpec(
            TableName(schema, table),
            Heading(tuple(own), comments.get(table, ""), tuple(own_indexes.get(table, ()))),
            tuple(references.get(table, ())),
        )
        for table, own in sorted(attributes.items())
    }


# -- the indexes and foreign keys of a table ------------------------------------------------------


@dataclass(frozen=True)
class OwnIndex(Index):
    """An index as the database has it.

    Attributes
    ----------
    implied : bool
        Whether no line of the definition asks for it: it makes a foreign key fast, or numbers
        unique.
    """

    implied: bool = False


@dataclass(frozen=True)
class Belongings:
    """What belongs to a table besides its columns, by its names in the database."""

    indexes: Mapping[str, OwnIndex]
    foreign_keys: Mapping[str, ForeignKey]

    @classmethod
    def of(
        cls,
        indexes: Iterable[tuple[str, bool, bool, str]],
        foreign_keys: Iterable[tuple[str, str, str, str, str]],
    ) -> Belongings:
        """Collect rows: one for each attribute of an index or a foreign key, in order.

        Parameters
        ----------
        indexes : iterable
            Name, whether it is unique, whether it is implied, attribute.
        foreign_keys : iterable
            Name, schema and table of the parent, attribute, attribute of the parent.
        """
        return cls(
            {
                name: OwnIndex(tuple(row[3] for row in rows), bool(unique), bool(own))
                for (name, unique, own), rows in groupby(indexes, itemgetter(0, 1, 2))
            },
            {
                name: ForeignKey(TableName(schema, table), tuple(row[3:] for row in rows))
                for (name, schema, table), rows in groupby(foreign_keys, itemgetter(0, 1, 2))
            },
        )

    def dropped_foreign_keys(self, alteration: Alteration) -> list[str]:
        """Name the foreign keys that an alteration drops."""
        return [n for n, fk in self.foreign_keys.items() if fk in alteration.dropped_foreign_keys]

    def index_changes(self, alteration: Alteration) -> tuple[list[str], list[OwnIndex]]:
        """Name the indexes that an alteration drops, and list those that it adds."""
        missing = Counter(wanted_indexes(alteration.new))
        dropped = []
        for name, index in self.indexes.items():
            now = replace(index, attributes=alteration.as_indexed(index).attributes)
            if missing[now] and not _paths_change(index, now):
                missing[now] -= 1
            else:
                dropped.append(name)
        return dropped, list(missing.elements())


def _paths_change(old: Index, new: Index) -> bool:
    """Tell whether a path into a document begins with another name."""
    pairs = zip(old.attributes, new.attributes, strict=True)
    return any(before != after and parse_json_path(after) for before, after in pairs)


def counters(spec: TableSpec) -> list[str]:
    """Name the attributes that need a unique index of their own to be auto_increment."""
    counting = [a.name for a in spec.heading.all_attributes if a.autoincrement]
    return [name for name in counting if spec.heading.stored_key[:1] != [name]]


def wanted_indexes(spec: TableSpec) -> list[OwnIndex]:
    """List the indexes of a table: the key of a parent is searched for its children."""
    wanted = [OwnIndex(index.attributes, index.unique) for index in spec.heading.secondary_indexes]
    wanted += [OwnIndex((name,), unique=True, implied=True) for name in counters(spec)]
    covered = [tuple(spec.heading.stored_key), *(index.attributes for index in wanted)]
    for foreign_key in spec.foreign_keys:
        attributes = foreign_key.child_attributes
        if not any(index[: len(attributes)] == attributes for index in covered):
            wanted.append(OwnIndex(attributes, implied=True))
            covered.append(attributes)
    return wanted
