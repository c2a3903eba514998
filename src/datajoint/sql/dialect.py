"""What differs between the SQL of the databases, as data: flags, tables and few functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..types import AttributeType
from .fragment import Fragment, Template, Translate
from .json_path import Steps
from .text import SQL, listed, literal


@dataclass(frozen=True)
class Storage:
    """How the values of a category of types are stored.

    Attributes
    ----------
    declaration : callable
        Attribute type → SQL type of the column.
    check : callable
        Attribute type and quoted column name → the condition that the values must meet, or "".
    encode : callable
        Canonical value (see :mod:`datajoint.types`) and its type → what the driver takes.
    decoder : callable
        Attribute type → what makes a canonical value of what the driver gives, which is never
        None; None when they are the same.
    """

    declaration: Callable[[Any], str]
    check: Callable[[Any, str], str] = lambda type_, column: ""
    encode: Callable[[Any, Any], Any] = lambda value, type_: value
    decoder: Callable[[Any], Callable[[Any], Any] | None] = lambda type_: None


#: Table, primary key and other attributes, all quoted → the clause that says what happens when an
#: inserted entity exists.
Conflict = Callable[[str, Sequence[str], Sequence[str]], str]


#: A document, the steps of a path into it, and the type of the value there → the value.
JsonValue = Callable[[SQL, Steps, AttributeType], SQL]


@dataclass(frozen=True)
class Dialect:
    """The SQL of a database.

    Attributes
    ----------
    quote_mark : str
        Encloses identifiers.
    placeholder : str
        Stands for a bound value.
    qualify : callable
        Quoting function, schema and table name → the quoted name of the table.
    translate : Translate or None
        Writes a user's fragment in this dialect; None where fragments are left unchanged.
    unchanged : callable
        What is changed all the same, in the template of a fragment that is left unchanged.
    storage : mapping
        Category of types → how its values are stored.
    encode_literal : callable
        The value of a literal in a fragment, and the type of what it is compared with (None when
        unknown) → what is bound.
    folded : callable
        A text → what all texts have in common that the database takes for equal to it, as nearly
        as can be told outside of it.
    key_set : callable
        Rows of encoded values, and the types of the attributes that they are compared with (None
        when unknown) → a subquery that lists them, carried by few parameters.
    computed : callable
        The SQL of a computed attribute and its type → the same, comparing as stored ones do.
    fetched : callable
        The SQL of an attribute whose values leave the database, and its type → the same, in a form
        that loses nothing.
    assigned : callable
        The quoted name of a column of a query, its type, and the type of the attribute that it is
        inserted into → its SQL.
    retypes : callable
        A value, its type and another one that admits it → whether altering the type of an attribute
        makes of it what Python would.
    json_value : callable
        The SQL of a document, the steps of a path into it, and the type that the value there is
        converted to → its SQL: NULL where there is no value, the null of JSON, or one that has no
        such form.
    json_equals : callable
        The SQL of a document and the text of another → whether they are equal.
    inserts : mapping
        ``insert``, ``replace`` and ``skip`` → what stands before the name of the table, and what
        makes, of the quoted names of the table, of its primary key and of its other attributes,
        what stands after the values.
    row_of_defaults : str
        What stands after the name of the table to insert a row without values.
    null : callable
        Attribute type → the NULL of a column that has no values.
    null_order : tuple of str
        What makes NULL come first in an ascending order, and last in a descending one.
    literal : callable
        Value → the literal that the database reads as this value.
    groups_expressions : bool
        Whether what is selected is known to be the expression, of whatever kind, that is grouped
        by.
    plans_exists : bool
        Whether the planner turns every correlated ``EXISTS`` into a semijoin, with an index or
        without.
    share_lock, exclusive_lock : str
        What stands after a query to keep its rows from being changed by others until the
        transaction ends: with others who do the same, or alone.
    free_lock : str
        As the latter, but rows that others hold are left out.
    by_key : str
        What stands after the name of a table to find its rows by the index of the primary key, so
        that no others are looked at, for which it would have to wait if others hold them.
    delete_keys : callable
        The quoted names of a table and of its only key, and the encoded keys → the statement that
        deletes these rows, and looks at no others.
    now : str
        The time of the server as a timestamp of whole seconds.
    clock : str
        The time of the server in seconds since 1970, with their fractions.
    moment : callable
        The quoted name of an attribute of type timestamp → the same, in seconds since 1970.
    keeps_outer_constants : bool
        Whether aggregates know that a constant of a subquery on the right of a left join is NULL
        where there is no match.
    """

    quote_mark: str
    placeholder: str
    qualify: Callable[[Callable[[str], str], str, str], str]
    translate: Translate | None
    storage: Mapping[str, Storage]
    encode_literal: Callable[[Any, AttributeType | None], Any]
    folded: Callable[[str], str]
    key_set: Callable[[Sequence[tuple[Any, ...]], Sequence[AttributeType | None]], SQL]
    computed: Callable[[SQL, AttributeType | None], SQL]
    json_value: JsonValue
    json_equals: Callable[[SQL, str], SQL]
    inserts: Mapping[str, tuple[str, Conflict]]
    now: str
    clock: str
    moment: Callable[[str], str]
    unchanged: Callable[[Template], Template] = lambda template: template
    row_of_defaults: str = "DEFAULT VALUES"
    fetched: Callable[[SQL, AttributeType | None], SQL] = lambda column, type_: column
    assigned: Callable[[str, AttributeType | None, AttributeType | None], str] = (
        lambda column, source, type_: column
    )
    retypes: Callable[[Any, AttributeType, AttributeType], bool] = lambda value, old, new: True
    null: Callable[[AttributeType | None], str] = lambda type_: "NULL"
    null_order: tuple[str, str] = ("", "")
    literal: Callable[[Any], str] = literal
    groups_expressions: bool = True
    plans_exists: bool = True
    keeps_outer_constants: bool = True
    share_lock: str = ""
    exclusive_lock: str = ""
    free_lock: str = ""
    by_key: str = ""
    delete_keys: Callable[[str, str, Sequence[Any]], SQL] = lambda table, key, values: SQL(
        f"DELETE FROM {table} WHERE {key} IN (", listed(zip(values), "{}"), ")"
    )

    def quote(self, name: str) -> str:
        """Quote an identifier: the only place where names become SQL."""
        return (
            self.quote_mark + name.replace(self.quote_mark, self.quote_mark * 2) + self.quote_mark
        )

    def table(self, schema: str, name: str) -> str:
        """Name a table of a schema, quoted."""
        return self.qualify(self.quote, schema, name)

    def encode(self, value: Any, type_: AttributeType | None) -> Any:
        """Bring a user's value of an attribute into the form that the driver takes.

        Raises
        ------
        ValueError
            Says why the type does not admit the value.
        """
        if value is None or type_ is None:
            return value
        stored = type_.stored
        return self.storage[stored.category].encode(type_.encode(value), stored)

    def decoder(self, type_: AttributeType | None) -> Callable[[Any], Any] | None:
        """Return what decodes the stored values of a type; None when they need no decoding."""
        return None if type_ is None else self.storage[type_.category].decoder(type_)

    def fragment(
        self,
        fragment: Fragment,
        attribute: Callable[[str], SQL],
        types: Mapping[str, AttributeType | None],
        *,
        condition: bool = False,
    ) -> SQL:
        """Write a user's condition or expression.

        Parameters
        ----------
        fragment : Fragment
        attribute : callable
            Attribute name → its SQL.
        types : mapping
            Attribute name → its type.
        condition : bool
            Whether it stands where a condition does.
        """
        template = fragment.template(self.translate, types, condition=condition)
        if self.translate is None:
            template = self.unchanged(template)
        return fragment.render(template, attribute, self.encode_literal)


def on_conflict_skip(table: str, key: Sequence[str], rest: Sequence[str]) -> str:
    """Leave an entity with the same primary key as it is, where the database has ON CONFLICT."""
    return f" ON CONFLICT ({', '.join(key)}) DO NOTHING"


def on_conflict_replace(table: str, key: Sequence[str], rest: Sequence[str]) -> str:
    """Give every attribute but the key its value in the rejected row, given or default."""
    if not rest:
        return on_conflict_skip(table, key, rest)
    assignments = ", ".join(f"{name} = EXCLUDED.{name}" for name in rest)
    return f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {assignments}"
