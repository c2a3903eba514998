"""From the specification of a table back to the text of a definition.

Manual 5.3.3; storage formats 2.9.
"""

from __future__ import annotations

from collections.abc import Callable

from .declare import ForeignKey, TableName, TableSpec
from .heading import Index

#: Names a table as the text of a definition can refer to it.
NameOf = Callable[[TableName], str]
#: Specifies a table.
SpecOf = Callable[[TableName], TableSpec]


def describe(spec: TableSpec, spec_of: SpecOf, name_of: NameOf = str) -> str:
    """Write the definition that declares a table.

    Parameters
    ----------
    spec : TableSpec
    spec_of : callable
        Specifies the parents.
    name_of : callable
        How foreign keys name the parents.
    """
    return _Description(spec, spec_of, name_of).text()


class _Description:
    """A description in the making."""

    def __init__(self, spec: TableSpec, spec_of: SpecOf, name_of: NameOf) -> None:
        self._heading = spec.heading
        self._spec_of = spec_of
        self._name_of = name_of
        self._indexes = list(spec.heading.secondary_indexes)
        # Types that need a service table bring the foreign keys to it.
        self._foreign_keys = tuple(
            fk for fk in spec.foreign_keys if not fk.parent.table.startswith("~")
        )
        self._listed: set[str] = set()

    def text(self) -> str:
        heading, key = self._heading, set(self._heading.stored_key)
        above = [fk for fk in self._foreign_keys if set(fk.child_attributes) <= key]
        below = [fk for fk in self._foreign_keys if fk not in above]
        lines = [f"# {heading.comment}"] if heading.comment else []
        lines += self._section(heading.primary_key, above)
        lines.append("---")
        lines += self._section(heading.secondary_attributes, below)
        lines += [
            f"{'unique ' if index.unique else ''}index ({', '.join(index.attributes)})"
            for index in self._indexes
        ]
        return "\n".join(lines) + "\n"

    def _section(self, names: list[str], foreign_keys: list[ForeignKey]) -> list[str]:
        """Write one side of the line.

        A foreign key stands where its attributes do if it would bring them just as they are;
        attributes that differ get lines of their own, and their foreign key follows at the end.
        """
        lines = []
        pending = list(foreign_keys)
        for position, name in enumerate(names):
            if name in self._listed:
                continue
            bringing = [fk for fk in pending if self._brings(fk, names[position:])]
            if bringing:
                pending.remove(bringing[0])
                lines.append(self._foreign_key(bringing[0]))
            else:
                lines.append(self._heading[name].as_definition())
                self._listed.add(name)
        return lines + [self._foreign_key(fk) for fk in pending]

    def _new(self, foreign_key: ForeignKey) -> list[tuple[str, str]]:
        return [pair for pair in foreign_key.attributes if pair[0] not in self._listed]

    def _brings(self, foreign_key: ForeignKey, names: list[str]) -> bool:
        """Tell whether a foreign key would add just the next attributes, as they are."""
        new = self._new(foreign_key)
        if not new or [child for child, _ in new] != names[: len(new)]:
            return False
        parent = self._spec_of(foreign_key.parent).heading
        nullable = self._heading[names[0]].nullable
        return all(
            self._heading[child]
            == parent[old].as_reference(child, self._heading[child].in_key, nullable)
            for child, old in new
        )

    def _nullable(self, name: str) -> bool:
        return name in self._heading and self._heading[name].nullable

    def _foreign_key(self, foreign_key: ForeignKey) -> str:
        names = foreign_key.child_attributes
        options = []
        own = Index(names, unique=True)
        if own in self._indexes:
            self._indexes.remove(own)
            options.append("unique")
        if any(self._nullable(child) for child, _ in self._new(foreign_key)):
            options.append("nullable")
        self._listed.update(names)
        renamed = ", ".join(
            f'{child}="{parent}"' for child, parent in foreign_key.attributes if child != parent
        )
        return (
            "-> "
            + (f"[{', '.join(options)}] " if options else "")
            + self._name_of(foreign_key.parent)
            + (f".proj({renamed})" if renamed else "")
        )
