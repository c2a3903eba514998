"""Source for the tables of a schema: Python that declares them, and stubs that type them.

Manual 6.1.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from textwrap import indent

from .classes import ClassNames, name_classes
from .connection import Connection
from .declare import TableName, TableSpec
from .describe import describe
from .heading import Attribute
from .types import Adapted
from .user_tables import tier_of
from .utils import get_master

_INDENT = " " * 4
#: Names that mean something in what is written: at its top, and in the definitions of parts.
_TAKEN = {"dj", "schema", "self", "master", "definition", "database", "declaration_context"}

_PYTHON_HEADER = '''\
"""The tables of the schema `{schema}`, written by DataJoint from the database.

Not in here: the `make` of computed tables, which the database does not have, and the contents of
lookup tables, which it keeps.
"""

import datajoint as dj

schema = dj.Schema({name!r})
'''
_MUTUAL = """\
# Tables of the schema `{schema}` refer to tables of this one, and tables below refer to them.
# On an empty database, this stops here: run the source of `{schema}` then, and this one again.
"""
# Names of modules hide no class: a table can be called `any`, and its class `Any`.
_STUBS_HEADER = '''\
"""The tables of the schema `{schema}` for editors and type checkers, written by DataJoint."""

import collections.abc
import datetime
import decimal
import typing
import uuid

import datajoint as dj

schema: dj.Schema
'''
_METHODS = """\
def __iter__(self) -> collections.abc.Iterator[{row}]: ...  # type: ignore[override]
@typing.overload
def fetch1(self) -> {row}: ...
@typing.overload
def fetch1(self, *attrs: typing.Any, **options: typing.Any) -> typing.Any: ...
"""

#: Category of an attribute's type → what is fetched, as an annotation.
_ANNOTATIONS = {
    "integer": "int",
    "bool": "int",
    "year": "int",
    "float": "float",
    "decimal": "decimal.Decimal",
    "string": "str",
    "enum": "str",
    "date": "datetime.date",
    "datetime": "datetime.datetime",
    "timestamp": "datetime.datetime",
    "time": "datetime.timedelta",
    "uuid": "uuid.UUID",
    "attachment": "str",
}


@dataclass
class _Node:
    """A class to be written."""

    spec: TableSpec
    path: tuple[str, ...]
    tier: str
    parts: list[_Node] = field(default_factory=list)

    @property
    def specs(self) -> list[TableSpec]:
        return [self.spec, *(part.spec for part in self.parts)]


def write_python(connection: Connection, schema: str, tables: Iterable[str]) -> str:
    """Write Python source that declares the tables of a schema.

    Parameters
    ----------
    connection : Connection
    schema : str
        Its name.
    tables : iterable of str
        The names of its tables, parents first.
    """
    return _Module(connection, schema, tables, declarable=True).python()


def write_stubs(connection: Connection, schema: str, tables: Iterable[str]) -> str:
    """Write a stub file with the tables of a schema; parameters as :func:`write_python`."""
    return _Module(connection, schema, tables, declarable=False).stubs()


class _Module:
    """The source of a module in the making."""

    def __init__(
        self, connection: Connection, schema: str, tables: Iterable[str], *, declarable: bool
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._specs = {name: connection.table(TableName(schema, name)) for name in tables}
        names = name_classes(self._specs)
        self._names = _declarable(names, self._specs) if declarable else names
        self._others = {
            other: name_classes(connection.tables(other)) for other in self._referred_schemas()
        }
        self._modules = self._name_modules()

    def _referred_schemas(self) -> list[str]:
        return sorted(
            {
                foreign_key.parent.schema
                for table in self._names.paths
                for foreign_key in self._specs[table].foreign_keys
                if not foreign_key.parent.table.startswith("~")
            }
            - {self._schema}
        )

    def _name_modules(self) -> dict[str, str]:
        """Name the virtual modules of the other schemas, as these are called if possible."""
        modules: dict[str, str] = {}
        taken = _TAKEN | {path[0] for path in self._names.paths.values()}
        for schema in self._others:
            name = re.sub(r"\W", "_", schema, flags=re.ASCII)
            if keyword.iskeyword(name) or not name[0].isalpha():
                name = f"vmod_{name}"
            while name in taken:
                name += "_"
            taken.add(name)
            modules[schema] = name
        return modules

    # -- Python -------------------------------------------------------------------------------

    def python(self) -> str:
        header = _PYTHON_HEADER.format(schema=_escaped(self._schema), name=self._schema)
        mutual = self._mutual_schemas()
        first = [schema for schema in self._modules if schema not in mutual]
        if first:
            header += "\n" + "".join(map(self._module, first))
        adapted = {
            attribute.type
            for table in self._names.paths
            for attribute in self._specs[table].heading.attributes.values()
            if isinstance(attribute.attribute_type, Adapted)
        }
        if adapted:
            header += f"\n# Import the adapters of these types here: {', '.join(sorted(adapted))}\n"
        blocks = [header, *self._without_class()]
        for node in self._nodes():
            used = mutual & {fk.parent.schema for spec in node.specs for fk in spec.foreign_keys}
            blocks += [
                _MUTUAL.format(schema=_escaped(schema)) + self._module(schema)
                for schema in sorted(used)
            ]
            mutual -= used
            late = len(node.path) > 1
            blocks.append(self._late_part(node) if late else f"@schema\n{self._class(node)}")
        return "\n\n".join(blocks)

    def _module(self, schema: str) -> str:
        """Write the virtual module of another schema."""
        module = self._modules[schema]
        return f"{module} = dj.VirtualModule({module!r}, {schema!r})\n"

    def _mutual_schemas(self) -> set[str]:
        """Name the schemas that this one refers to and that refer to it, by whatever way."""
        graph = self._connection.dependencies.load(force=False)
        names = [TableName(self._schema, table).full for table in self._specs]
        below = {full for name in names for full in graph.descendants(name)}
        return {graph.tables[full].name.schema for full in below} & set(self._modules)

    def _nodes(self) -> list[_Node]:
        """Group parts with their masters, except those that must come later.

        A part can refer to a table that refers to its master.
        """
        nodes: list[_Node] = []
        for table, spec in self._specs.items():
            path, tier = self._names.paths.get(table), tier_of(table)
            if path is None or tier is None:
                continue
            node = _Node(spec, path, tier.__name__)
            if nodes and nodes[-1].path == path[:-1]:
                nodes[-1].parts.append(node)
            else:
                nodes.append(node)
        return nodes

    def _class(self, node: _Node) -> str:
        body = f'definition = """\n{_escaped(self._definition(node))}"""\n'
        body += "".join("\n" + self._class(part) for part in node.parts)
        return f"class {node.path[-1]}(dj.{node.tier}):\n{indent(body, _INDENT)}"

    def _late_part(self, node: _Node) -> str:
        """Write a part that is added to its master when that is declared."""
        master, name = node.path
        definition = _escaped(self._definition(node))
        return (
            f"# A part that depends on what depends on its master.\n"
            f'{master}.{name} = type({name!r}, (dj.Part,), {{"definition": """\n'
            f'{indent(definition, _INDENT)}"""}})\n'
            f"schema({master})\n"
        )

    def _definition(self, node: _Node) -> str:
        return describe(node.spec, self._connection.table, self._namer(node.path))

    def _namer(self, path: tuple[str, ...]) -> Callable[[TableName], str]:
        """Name tables as a definition inside the class of a path can."""
        siblings = {
            other[1] for other in self._names.paths.values() if path[:-1] == other[:-1] != ()
        }

        def name(table: TableName) -> str:
            if table.schema == self._schema:
                target = self._names.paths.get(table.table)
                if target == path[:-1]:
                    return "master"
            else:
                module = self._modules[table.schema]
                other = self._others[table.schema].paths.get(table.table)
                target = None if other is None else (module, *other)
            # Parts hide what else is called as they are.
            return table.full if target is None or target[0] in siblings else ".".join(target)

        return name

    def _without_class(self) -> Iterator[str]:
        for table, reason in self._names.others.items():
            name = TableName(self._schema, table)
            yield f"# Not here: {_escaped(str(name))}, because {_escaped(reason)}.\n"

    # -- stubs --------------------------------------------------------------------------------

    def stubs(self) -> str:
        header = _STUBS_HEADER.format(schema=_escaped(self._schema))
        nodes = self._nodes()
        masters = {node.path[0]: node for node in nodes if len(node.path) == 1}
        for node in nodes:
            if len(node.path) > 1:
                masters[node.path[0]].parts.append(node)
        return "\n".join([header, *map(self._stub, masters.values())])

    def _stub(self, node: _Node) -> str:
        row = "Row_" if any(part.path[-1] == "Row" for part in node.parts) else "Row"
        attributes = ", ".join(
            f'"{attribute.name}": {_annotation(attribute)}'
            for attribute in node.spec.heading.attributes.values()
        )
        body = f'"""\n{_escaped(self._definition(node))}"""\n\n'
        body += f'{row} = typing.TypedDict("{row}", {{{attributes}}})\n\n{_METHODS.format(row=row)}'
        body += "".join("\n" + self._stub(part) for part in node.parts)
        return f"class {node.path[-1]}(dj.{node.tier}):\n{indent(body, _INDENT)}"


def _declarable(names: ClassNames, specs: Mapping[str, TableSpec]) -> ClassNames:
    """Leave out the tables of other programs that no definition declares."""
    paths: dict[str, tuple[str, ...]] = {}
    others = dict(names.others)
    for table, path in names.paths.items():
        reason = _undeclarable(specs[table])
        if reason is None and path[:-1] and path[:-1] not in paths.values():
            reason = "its master is not here either"
        if reason is None:
            paths[table] = path
        else:
            others[table] = reason
    return ClassNames(paths, others)


def _undeclarable(spec: TableSpec) -> str | None:
    """Say why no definition declares a table, if so."""
    heading = spec.heading
    if not any(attribute.in_key for attribute in heading.all_attributes):
        return "it has no primary key"
    master = get_master(spec.name.full)
    parents = [fk.parent.full for fk in spec.foreign_keys]
    if master and not any(master in (parent, get_master(parent)) for parent in parents):
        return "it is named as a part but does not refer to its master"
    for attribute in heading.attributes.values():
        if attribute.attribute_type is not None and attribute.attribute_type.category == "other":
            return f"no definition has the type `{attribute.type}` of `{attribute.name}`"
    return None


def _annotation(attribute: Attribute) -> str:
    category = attribute.attribute_type.category if attribute.attribute_type else ""
    annotation = _ANNOTATIONS.get(category, "typing.Any")
    return f"{annotation} | None" if attribute.nullable else annotation


def _escaped(text: str) -> str:
    """Write a text as it stands between triple quotes."""
    text = text.replace("\\", "\\\\").replace('"""', r"\"\"\"")
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
