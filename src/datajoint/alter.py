"""What changes from the table that the database has to the one that a definition says.

Storage formats 2.10.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from .declare import SINGLETON, ForeignKey, TableSpec
from .errors import DataJointError
from .grammar import parse_json_path, unquote
from .heading import Attribute, Heading, Index
from .types import (
    Adapted,
    AttributeType,
    Blob,
    DateTime,
    Decimal,
    Enum,
    External,
    Float,
    Integer,
    Other,
    String,
    Time,
    time_text,
)

#: What the values of the categories of types are; from one kind to another only texts lead.
_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("integer", "bool", "float", "decimal", "year"), "number"),
    "string": "text",
    "enum": "member",
    **dict.fromkeys(("date", "datetime", "timestamp"), "moment"),
    "time": "time",
    "blob": "blob",
}


@dataclass(frozen=True)
class Alteration:
    """The change of a table; false when nothing changes.

    Attributes
    ----------
    old : TableSpec
        What the database has.
    new : TableSpec
        What it is to have, hidden attributes included. What stays the same is as in ``old``, even
        where the definition writes it in another way.
    renamed : mapping
        Names of attributes → their former names.
    added_indexes, dropped_indexes : tuple of Index
        By the names that attributes have afterwards.
    """

    old: TableSpec
    new: TableSpec
    renamed: Mapping[str, str]
    added_indexes: tuple[Index, ...] = ()
    dropped_indexes: tuple[Index, ...] = ()

    def __bool__(self) -> bool:
        return self.attributes_change or self.columns_change or self.indexes_change

    @cached_property
    def sources(self) -> dict[str, Attribute]:
        """What the attributes that are kept were, by their new names, in the new order."""
        old = {attribute.name: attribute for attribute in self.old.heading.all_attributes}
        names = (
            (a.name, self.renamed.get(a.name, a.name)) for a in self.new.heading.all_attributes
        )
        return {name: old[source] for name, source in names if source in old}

    @cached_property
    def added(self) -> tuple[Attribute, ...]:
        """The attributes that are new."""
        return tuple(a for a in self.new.heading.all_attributes if a.name not in self.sources)

    @cached_property
    def removed(self) -> tuple[Attribute, ...]:
        """The attributes that are lost."""
        kept = {attribute.name for attribute in self.sources.values()}
        return tuple(a for a in self.old.heading.all_attributes if a.name not in kept)

    @cached_property
    def changed(self) -> tuple[tuple[Attribute, Attribute], ...]:
        """The attributes that are kept but not as they are: before and after."""
        pairs = ((self.sources.get(a.name), a) for a in self.new.heading.all_attributes)
        return tuple((old, new) for old, new in pairs if old is not None and old != new)

    @cached_property
    def moved(self) -> tuple[str, ...]:
        """The attributes that come to stand elsewhere among those that are kept, in new order."""
        names = [self.formerly.get(a.name) for a in self.old.heading.all_attributes]
        current = [name for name in names if name is not None]
        moved = []
        for position, name in enumerate(self.sources):
            if current[position] != name:
                current.remove(name)
                current.insert(position, name)
                moved.append(name)
        return tuple(moved)

    @cached_property
    def formerly(self) -> dict[str, str]:
        """Former names of the attributes that are kept → their new names."""
        return {attribute.name: name for name, attribute in self.sources.items()}

    @cached_property
    def added_foreign_keys(self) -> tuple[ForeignKey, ...]:
        kept = {self.as_named(foreign_key) for foreign_key in self.old.foreign_keys}
        return tuple(fk for fk in dict.fromkeys(self.new.foreign_keys) if fk not in kept)

    @cached_property
    def dropped_foreign_keys(self) -> tuple[ForeignKey, ...]:
        """The foreign keys that go, by the former names of their attributes."""
        return tuple(
            fk for fk in self.old.foreign_keys if self.as_named(fk) not in self.new.foreign_keys
        )

    @property
    def comment_changes(self) -> bool:
        """Whether the comment of the table changes."""
        return self.old.heading.comment != self.new.heading.comment

    @property
    def attributes_change(self) -> bool:
        """Whether anything of the attributes or the comment of the table changes."""
        return bool(self.comment_changes or self.changed or self.added or self.removed)

    @property
    def columns_change(self) -> bool:
        """Whether anything but comments and indexes changes."""
        return bool(
            self.added
            or self.removed
            or self.moved
            or self.added_foreign_keys
            or self.dropped_foreign_keys
            or any(old != replace(new, comment=old.comment) for old, new in self.changed)
        )

    @property
    def indexes_change(self) -> bool:
        return bool(self.added_indexes or self.dropped_indexes)

    def as_named(self, foreign_key: ForeignKey) -> ForeignKey:
        """Write a foreign key of the old table with the new names of its attributes."""
        pairs = ((self.formerly.get(child, child), key) for child, key in foreign_key.attributes)
        return replace(foreign_key, attributes=tuple(pairs))

    def as_indexed(self, index: Index) -> Index:
        """Write an index of the old table with the new names of its attributes."""
        return _renamed_index(index, self.formerly)


def diff(old: TableSpec, new: TableSpec) -> Alteration:
    """Find what changes from one specification of a table to another.

    Parameters
    ----------
    old : TableSpec
        What the database has.
    new : TableSpec
        What the definition says, with the indexes that the database would tell. A secondary
        attribute whose comment begins with ``{name}`` is the attribute of that name, renamed, if
        only the old table has that.

    Returns
    -------
    Alteration

    Raises
    ------
    DataJointError
        When the primary key would change, or a type become one that no value can be brought to.
    """
    _check_key(old, new)
    renamed = _renamed(old, new)
    before = {attribute.name: attribute for attribute in old.heading.all_attributes}
    merged = []
    for attribute in new.heading.all_attributes:
        source = before.get(renamed.get(attribute.name, attribute.name))
        merged.append(_merged(source, attribute, old))
    attributes = _with_hidden(old.heading.all_attributes, merged, renamed)
    kept = _kept_foreign_keys(old, attributes)
    foreign_keys = (*new.foreign_keys, *(fk for fk in kept if fk not in new.foreign_keys))
    added, dropped, indexes = _indexes(old, new, renamed)
    heading = Heading(attributes, new.heading.comment, indexes)
    return Alteration(old, TableSpec(old.name, heading, foreign_keys), renamed, added, dropped)


# -- the primary key ------------------------------------------------------------------------------


def _check_key(old: TableSpec, new: TableSpec) -> None:
    """Refuse changes of the primary key."""
    before, after = old.heading.stored_key, new.heading.stored_key
    if before != after:
        own, wanted = (", ".join(spec.heading.primary_key) for spec in (old, new))
        raise _fixed(old, f"it is ({own}); the definition says ({wanted})")
    for name in old.heading.primary_key:
        one, other = old.heading[name], new.heading[name]
        if not _same_type(one.attribute_type, other.attribute_type):
            raise _fixed(
                old, f"the type of `{name}` is `{one.type}`; the definition says `{other.type}`"
            )
    gone, come = (
        {fk for fk in spec.foreign_keys if set(fk.child_attributes) <= set(before)}
        for spec in (old, new)
    )
    for foreign_key in sorted(gone ^ come, key=str):
        verb = "loses its" if foreign_key in gone else "has no"
        columns = ", ".join(foreign_key.child_attributes)
        raise _fixed(old, f"({columns}) {verb} foreign key to {foreign_key.parent}")


def _fixed(spec: TableSpec, difference: str) -> DataJointError:
    return DataJointError(
        f"Table {spec.name} cannot be altered in its primary key: {difference}",
        "Entities are identified by the primary key, and other tables refer to it. Declare a new "
        "table and insert a query of this one into it, or drop this one and declare it anew",
    )


# -- attributes -----------------------------------------------------------------------------------

_FORMER_NAME = re.compile(r"\{(\w+)\}")


def former_name(attribute: Attribute) -> str:
    """Read what the comment of an attribute says that it was, or nothing."""
    match = _FORMER_NAME.match(attribute.comment)
    return match[1] if match else ""


def _renamed(old: TableSpec, new: TableSpec) -> dict[str, str]:
    """Find the attributes whose comments name what they were: new name → former name."""
    renamed: dict[str, str] = {}
    for name in new.heading.secondary_attributes:
        former = former_name(new.heading[name])
        if (
            former in old.heading.secondary_attributes
            and former not in new.heading
            and name not in old.heading
        ):
            if former in renamed.values():
                raise DataJointError(
                    f"{old.name}: two attributes cannot both be what `{former}` was; only one "
                    f"comment can begin with {{{former}}}"
                )
            renamed[name] = former
    return renamed


def _same_type(one: AttributeType | None, other: AttributeType | None) -> bool:
    return one is not None and other is not None and one.same_as(other)


def _merged(old: Attribute | None, new: Attribute, spec: TableSpec) -> Attribute:
    """Take over from an attribute what only is written in another way."""
    if (old is not None and old.autoincrement) != new.autoincrement:
        raise DataJointError(
            f"{spec.name}: `{new.name}` cannot become or cease to be auto_increment; declare a new "
            "table and insert a query of this one into it"
        )
    if old is None:
        return new
    _check_store(old, new, spec)
    if not _same_type(old.attribute_type, new.attribute_type):
        _check_kinds(old, new, spec)
        return new
    _check_stored(old, new, spec)
    same = _same_default(old, new)
    default = old.default if same else new.default
    adapted = isinstance(new.attribute_type, Adapted)  # of which the database knows the name only
    type_ = new.attribute_type if adapted else old.attribute_type
    return replace(new, attribute_type=type_, default=default)


def _check_stored(old: Attribute, new: Attribute, spec: TableSpec) -> None:
    """Refuse an adapter that stores another type than the table has."""
    one, other = old.stored_type, new.stored_type
    if isinstance(new.attribute_type, Adapted) and not (
        _same_type(one, other) or isinstance(one, Other)
    ):
        raise DataJointError(
            f"{spec.name}: the adapter of `{new.name} : {new.type}` stores `{other}` now, but the "
            f"table has `{one}`",
            "Give the adapter its former attribute_type; or add an attribute of another name and "
            "adapter, alter, and give it values with `update1`",
        )


def _check_kinds(old: Attribute, new: Attribute, spec: TableSpec) -> None:
    one, other = (
        None if a.attribute_type is None else _KINDS.get(a.attribute_type.category)
        for a in (old, new)
    )
    from_or_to_text = "text" in (one, other) and "blob" not in (one, other)
    if one is None or other is None or not (one == other or from_or_to_text):
        raise DataJointError(
            f"{spec.name}: the values of `{old.name}` cannot be brought from type `{old.type}` to "
            f"`{new.type}`",
            "Add an attribute of another name and alter; give it values with `update1`; then "
            "remove the former one and alter again",
        )


def _check_store(old: Attribute, new: Attribute, spec: TableSpec) -> None:
    """Refuse another store, which does not have the objects."""
    keys = [fk for fk in spec.foreign_keys if fk.child_attributes == (old.name,)]
    stores = [fk.parent.store for fk in keys if fk.parent.store is not None]
    one, other = old.stored_type, new.stored_type
    if not (stores and isinstance(other, External)) or other.store in stores:
        return
    if isinstance(one, External) and one.kind != other.kind:  # which no value can be brought to
        return
    raise DataJointError(
        f"{spec.name}: the objects of `{old.name}` are in the store `{stores[0]}`, and no "
        f"alteration moves them to `{other.store}`",
        f"Call datajoint.migrate.migrate_store(schema, '{stores[0]}', '{other.store}'), which "
        "copies the objects and then alters the tables",
    )


def _same_default(old: Attribute, new: Attribute) -> bool:
    """Compare defaults of one type by what they mean."""
    one, other, type_ = old.default, new.default, new.stored_type
    if one == other or one is None or other is None or type_ is None:
        return one == other
    if "null" in (one, other):
        return False
    now = [default.upper().startswith("CURRENT_TIMESTAMP") for default in (one, other)]
    if any(now):  # the type says how many digits it has
        return all(now)
    try:
        return bool(type_.encode(unquote(one)) == type_.encode(unquote(other)))
    except ValueError:
        return False


def _with_hidden(
    old: Iterable[Attribute], new: list[Attribute], renamed: Mapping[str, str]
) -> tuple[Attribute, ...]:
    """Keep hidden attributes, which no definition names, each behind the one that it follows."""
    names = {attribute.name for attribute in new}
    formerly = {former: name for name, former in renamed.items()}
    hidden = {attribute.name for attribute in old if attribute.is_hidden}
    result: list[Attribute] = [a for a in new if not a.is_hidden]
    result += [a for a in new if a.is_hidden and a.name not in hidden]
    previous = None
    for attribute in old:
        name = formerly.get(attribute.name, attribute.name)
        if attribute.is_hidden and (attribute.name in names or attribute.name != SINGLETON):
            position = next((i for i, a in enumerate(result, start=1) if a.name == previous), 0)
            result.insert(position, attribute)
            previous = attribute.name
        elif name in names:
            previous = name
    return tuple(result)


# -- values ---------------------------------------------------------------------------------------


def widens(old: AttributeType, new: AttributeType) -> bool:
    """Tell whether a type admits all values of another, as they are."""
    if isinstance(old, Integer) and isinstance(new, Integer):
        return new.low <= old.low and old.high <= new.high
    if isinstance(old, String) and isinstance(new, String):
        return old.length <= new.length and (old.fixed or not new.fixed)
    if isinstance(old, Decimal) and isinstance(new, Decimal):
        digits = old.precision - old.scale <= new.precision - new.scale
        return digits and old.scale <= new.scale and (old.unsigned or not new.unsigned)
    if isinstance(old, Float) and isinstance(new, Float):
        return (old.single or not new.single) and (old.unsigned or not new.unsigned)
    if isinstance(old, Enum) and isinstance(new, Enum):
        return set(old.members) <= set(new.members)
    if isinstance(old, Blob) and isinstance(new, Blob):
        return old.size <= new.size
    if isinstance(old, (DateTime, Time)) and old.category == new.category:
        return bool(old.digits <= getattr(new, "digits", -1))
    if isinstance(old, External) and isinstance(new, External):
        return old.kind == new.kind  # the hash of an object is the same in whichever store
    return False


def brought(value: Any, old: AttributeType, new: AttributeType) -> Any:
    """Bring a value of one type to another.

    Raises
    ------
    ValueError
        Says why the other type does not admit it.
    """
    return new.encode(_text(value, old) if new.is_string else value)


def survives(value: Any, old: AttributeType, new: AttributeType) -> bool:
    """Tell whether a value that is brought to another type could be brought back."""
    try:
        return bool(brought(brought(value, old, new), new, old) == value)
    except ValueError:
        return False


def _text(value: Any, type_: AttributeType) -> str:
    """Write a value as text, as databases do."""
    digits = getattr(type_, "digits", 0)
    if isinstance(value, dt.timedelta):
        return time_text(value, digits)
    if isinstance(value, dt.datetime):
        return value.isoformat(" ", "microseconds")[: 20 + digits if digits else 19]
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if type_.category == "year":
        return f"{value:04d}"
    if isinstance(value, float):
        return str(value + 0.0).removesuffix(".0")  # no negative zero
    return str(value)


# -- foreign keys and indexes ---------------------------------------------------------------------


def _kept_foreign_keys(old: TableSpec, attributes: Iterable[Attribute]) -> list[ForeignKey]:
    """List what a definition does not say: the foreign keys of hidden attributes."""
    kept = {attribute.name: attribute.type for attribute in attributes}
    before = {attribute.name: attribute.type for attribute in old.heading.all_attributes}
    return [
        fk
        for fk in old.foreign_keys
        if any(name.startswith("_") and name != SINGLETON for name in fk.child_attributes)
        and all(kept.get(name) == before[name] for name in fk.child_attributes)
    ]


def _renamed_index(index: Index, formerly: Mapping[str, str]) -> Index:
    return replace(index, attributes=tuple(_renamed_item(i, formerly) for i in index.attributes))


def _renamed_item(text: str, formerly: Mapping[str, str]) -> str:
    path = parse_json_path(text)
    if path is None:
        return formerly.get(text, text)
    return str(replace(path, attribute=formerly.get(path.attribute, path.attribute)))


def _indexes(
    old: TableSpec, new: TableSpec, renamed: Mapping[str, str]
) -> tuple[tuple[Index, ...], tuple[Index, ...], tuple[Index, ...]]:
    """Compare the indexes: those added, those dropped, and all that there will be."""
    formerly = {former: name for name, former in renamed.items()}
    before = [_renamed_index(index, formerly) for index in old.heading.secondary_indexes]
    hidden = [index for index in before if any(name.startswith("_") for name in index.attributes)]
    after = [*new.heading.secondary_indexes, *hidden]
    added = (Counter(after) - Counter(before)).elements()
    dropped = (Counter(before) - Counter(after)).elements()
    return tuple(added), tuple(dropped), tuple(after)
