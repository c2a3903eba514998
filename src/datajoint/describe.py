"""From the specification of a table back to the text of a definition.

Manual 5.3.3; storage formats 2.9.
"""

from __future__ import annotations

from collections.abc import Callable

from .declare import ForeignKey, TableName, TableSpec
from .heading import Index

#: Names a table as the text of a definition can refer to it.
NameOf = Callable[[TableName], str]


def describe(spec: TableSpec, name_of: NameOf = str) -> str:
    """Write the definition that declares a table.

    Parameters
    ----------
    spec : TableSpec
    name_of : callable
        How foreign keys name their parents.
    """
    heading = spec.heading
    key = set(heading.primary_key)
    above = [fk for fk in spec.foreign_keys if set(fk.child_attributes) <= key]
    below = [fk for fk in spec.foreign_keys if fk not in above]
    indexes = list(heading.secondary_indexes)
    lines = [f"# {heading.comment}"] if heading.comment else []
    lines += _section(spec, heading.primary_key, above, indexes, name_of)
    lines.append("---")
    lines += _section(spec, heading.secondary_attributes, below, indexes, name_of)
    lines += [
        f"{'unique ' if index.unique else ''}index ({', '.join(index.attributes)})"
        for index in indexes
    ]
    return "\n".join(lines) + "\n"


def _section(
    spec: TableSpec,
    names: list[str],
    foreign_keys: list[ForeignKey],
    indexes: list[Index],
    name_of: NameOf,
) -> list[str]:
    """Write the attributes of one side of the line, those of foreign keys by reference.

    A foreign key stands where the first of its own attributes is, and takes the options and the
    unique index that it was declared with.
    """
    lines = []
    pending = list(foreign_keys)
    covered: set[str] = set()
    for name in names:
        for foreign_key in [fk for fk in pending if name in fk.child_attributes]:
            pending.remove(foreign_key)
            covered.update(foreign_key.child_attributes)
            lines.append(_foreign_key(spec, foreign_key, indexes, name_of))
        if name not in covered:
            lines.append(spec.heading[name].as_definition())
    return lines


def _foreign_key(
    spec: TableSpec, foreign_key: ForeignKey, indexes: list[Index], name_of: NameOf
) -> str:
    names = foreign_key.child_attributes
    options = []
    own = Index(names, unique=True)
    if own in indexes:
        indexes.remove(own)
        options.append("unique")
    if any(spec.heading[name].nullable for name in names):
        options.append("nullable")
    renamed = ", ".join(
        f'{child}="{parent}"' for child, parent in foreign_key.attributes if child != parent
    )
    return (
        "-> "
        + (f"[{', '.join(options)}] " if options else "")
        + name_of(foreign_key.parent)
        + (f".proj({renamed})" if renamed else "")
    )
