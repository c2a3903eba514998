"""Updates of single entities: manual 7.4."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from .connection import Connection
from .declare import TableSpec
from .errors import DataJointError, DuplicateError, IntegrityError
from .insertion import RowEncoder
from .placing import Placer
from .refusals import explain
from .sql import algebra
from .sql.algebra import Condition
from .sql.select import Writer
from .sql.statements import update
from .storage.outgoing import Outgoing


def update_one(connection: Connection, spec: TableSpec, row: Mapping[str, Any]) -> None:
    """Update the entity whose primary key a row has by the other values of the row.

    A row that is a primary key alone resets all other attributes.

    Raises
    ------
    DataJointError
        When the primary key is incomplete, no such entity exists, or a value is refused.
    """
    heading = spec.heading
    missing = [name for name in heading.primary_key if row.get(name) is None]
    if missing:
        raise DataJointError(
            f"`update1` of {spec.name} needs the whole primary key; missing: {', '.join(missing)}"
        )
    for name in row:
        if name not in heading:
            raise heading.unknown(str(name), f" of {spec.name}")
    encoder = RowEncoder(spec, connection.dialect, False)
    key = {name: encoder.encode_value(name, row[name]) for name in heading.primary_key}
    given = {n: v for n, v in row.items() if n not in key}
    given = given or dict.fromkeys(heading.secondary_attributes)
    values = {name: encoder.encode_value(name, value) for name, value in given.items()}
    condition = algebra.AllOf(
        tuple(algebra.Equal(n, heading.types[n], value) for n, value in key.items())
    )
    stored = _stored(connection, spec, condition)
    if stored is None:
        raise DataJointError(
            f"`update1`: {spec.name} has no entity with "
            + ", ".join(f"{name} = {row[name]!r}" for name in heading.primary_key)
        )
    if not values:
        return
    table = connection.dialect.table(spec.name.schema, spec.name.table)
    stores = any(isinstance(value, Outgoing) for value in values.values())
    transaction = connection.atomic(snapshot=False) if stores else nullcontext()
    try:
        with connection.requiring("UPDATE", "update", spec.name), transaction:
            if stores:
                encoded = tuple(values), tuple(values.values())
                ((names, placed),) = Placer(connection, spec, "update").place([encoded])
                values = dict(zip(names, placed, strict=True))
            connection.execute(update(connection.dialect, table, values, condition))
    except (DuplicateError, IntegrityError) as error:
        updated = stored | values
        rows = [(None, (tuple(updated), tuple(updated.values())))]
        raise explain(connection, spec, rows, error, "replace", "update") from error.__cause__


def _stored(connection: Connection, spec: TableSpec, condition: Condition) -> dict[str, Any] | None:
    """Fetch the entity that is updated, as far as it is part of keys; None if there is none."""
    names = dict.fromkeys(spec.heading.stored_key)
    for index in spec.heading.secondary_indexes:
        names |= {name: None for name in index.attributes if name in spec.heading}
    for foreign_key in spec.foreign_keys:
        names |= dict.fromkeys(foreign_key.child_attributes)
    entity = algebra.Restriction(spec.relation, condition)
    rows = connection.rows(Writer(connection.dialect).select(entity, names))
    return dict(zip(names, rows[0], strict=True)) if rows else None
