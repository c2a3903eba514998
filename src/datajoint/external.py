"""What a schema keeps in stores: ``schema.external[store]``.

Manual 2.5.1 and 2.5.3; storage formats 3.3.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

from .collecting import BATCH, Failure, check_outside, remove
from .connection import Connection
from .declare import TableName, external_table
from .errors import DataJointError, IntegrityError
from .hash import uuid_from_buffer
from .jobs import ServiceTable
from .placing import Placer
from .settings import config
from .sql import algebra
from .storage.base import Store
from .storage.handles import Reading, StagedFile, StoredObject, stored_object
from .storage.objects import Tracked
from .storage.outgoing import Outgoing, outgoing
from .storage.paths import object_path
from .storage.registry import get_store
from .trackers import declare_tracker
from .tracking import look_up, references, unreferenced
from .types import External
from .utils import batches, did_you_mean
from .verification import Verification, verify


class ExternalTable(ServiceTable):
    """What a schema keeps in one store: a row for each object.

    It can be queried and restricted as other tables.

    Parameters
    ----------
    connection : Connection
    schema, store : str

    Attributes
    ----------
    store_name : str
    """

    def __init__(self, connection: Connection, schema: str, store: str) -> None:
        super().__init__(connection, schema, external_table(schema, store).table)
        self.store_name = store

    @property
    def store(self) -> Store:
        """The store.

        Raises
        ------
        DataJointError
            When it is not configured as it should be, or cannot be reached.
        """
        return get_store(self.store_name)

    # -- what is in use -------------------------------------------------------------------------

    @property
    def references(self) -> list[dict[str, str]]:
        """The tables and attributes that refer to the objects.

        Dicts of ``referencing_table``, the full name of a table, and ``column_name``.
        """
        self.connection.forget_catalog(self.name.schema)  # others may have declared tables
        return [
            {"referencing_table": spec.name.full, "column_name": attribute}
            for spec, attribute in references(self.connection, self.spec)
        ]

    def used(self) -> ExternalTable:
        """Restrict to the objects that entities of the schema refer to."""
        return self._restricted(algebra.Negation(self._unused), "used()")

    def unused(self) -> ExternalTable:
        """Restrict to the objects that nothing refers to: what :meth:`delete` removes."""
        return self._restricted(self._unused, "unused()")

    @property
    def _unused(self) -> algebra.Condition:
        self.connection.forget_catalog(self.name.schema)  # others may have declared tables
        return unreferenced(self.connection, self.spec)

    def fetch_external_paths(self, **fetch_kwargs: Any) -> list[tuple[UUID, PurePosixPath]]:
        """List the places of the objects.

        Parameters
        ----------
        **fetch_kwargs
            As for ``fetch``: ``limit``, ``offset``, ``order_by``.

        Returns
        -------
        list of (UUID, PurePosixPath)
            The hash, and the path in the file system or the bucket.
        """
        fetched = self.fetch(as_dict=True, **fetch_kwargs)
        names = ("hash", "size", "attachment_name", "filepath", "contents_hash")
        store, schema = self.store, self.name.schema
        objects = (Tracked(*(row[name] for name in names)) for row in fetched)
        return [
            (each.hash, store.place(each.path(schema, store.settings.subfolding)))
            for each in objects
        ]

    # -- removing what is not in use ------------------------------------------------------------

    def delete(  # type: ignore[override]
        self,
        *,
        delete_external_files: bool | None = None,
        limit: int | None = None,
        display_progress: bool = True,
        errors_as_string: bool = True,
    ) -> list[tuple[UUID, str, str | Exception]] | None:
        """Remove the objects that nothing refers to; those in use stay.

        It is safe while others insert: what they are storing or referring to stays.

        Parameters
        ----------
        delete_external_files : bool
            True removes the objects and their rows, files of type ``filepath@store`` too. False
            removes the rows only: what is left in the store can be found by ``dj.gc``.
        limit : int, optional
            Remove so many objects at most.
        display_progress : bool
            Whether to show a progress bar.
        errors_as_string : bool
            Whether errors are given as texts.

        Returns
        -------
        list of (UUID, str, str or Exception), or None
            For each object that the store could not remove, its hash, its place, and the error;
            its row stays. None when only rows were to be removed.

        Raises
        ------
        DataJointError
            When ``delete_external_files`` is not given, inside a transaction, or when the store
            cannot be reached.
        ConflictError
            When others hold what is needed for longer than the database waits.

        Notes
        -----
        Manual 2.5.3.
        """
        if delete_external_files not in (True, False):
            raise DataJointError(
                "The delete_external_files argument must be set to either True or False in delete()"
            )
        check_outside(self.connection, f"delete from {self.name}")
        store = self.store if delete_external_files else None
        hashes = self.unused().fetch("hash", limit=limit).tolist()
        failures: list[Failure] = []
        with progress_bar(len(hashes), self.store_name, display_progress) as bar:
            for part in batches(hashes, BATCH):
                removal = remove(self.connection, self.spec, part, store, files=True)
                failures += removal.failures
                if bar is not None:
                    bar.update(len(part))
        if store is None:
            return None
        return [
            (
                failure.hash,
                store.locate(failure.path),
                str(failure.reason) if errors_as_string else failure.reason,
            )
            for failure in failures
        ]

    def drop(self) -> None:
        """Refuse to forget objects that are in the store.

        Raises
        ------
        IntegrityError
            When tables refer to this one.
        DataJointError
            When there are objects.
        """
        if names := sorted({each["referencing_table"] for each in self.references}):
            raise IntegrityError(f"{self.name} cannot be dropped: {', '.join(names)} refer to it")
        if self:
            raise DataJointError(
                f"{self.name} cannot be dropped while there are objects in the store "
                f"`{self.store_name}`: remove them first, by `delete(delete_external_files=True)`"
            )
        super().drop()

    # -- verification ---------------------------------------------------------------------------

    def verify(self, *, display_progress: bool = True) -> Verification:
        """Read every object back, and compare its size and its hash with those of its row.

        Parameters
        ----------
        display_progress : bool
            Whether to show a progress bar.

        Returns
        -------
        Verification
            True when all is well; tells which objects are missing or damaged, and what refers to
            them.

        Raises
        ------
        DataJointError
            When the store is not configured as it should be, or cannot be reached.
        """
        store = self.store
        self.connection.forget_catalog(self.name.schema)
        hashes = self.fetch("hash").tolist()
        with progress_bar(len(hashes), self.store_name, display_progress) as bar:
            return verify(
                self.connection,
                self.spec,
                store,
                hashes,
                lambda count: None if bar is None else bar.update(count),
            )

    # -- single objects -------------------------------------------------------------------------

    def exists(self, external_filepath: str) -> bool:
        """Tell whether the store has an object, by its path below the location of the store."""
        return self.store.info(str(external_filepath)) is not None

    def put(self, blob: bytes) -> UUID:
        """Store a serialized blob, to which nothing refers yet; its hash is returned."""
        tracked = Tracked(uuid_from_buffer(blob), len(blob))
        return self._place(Outgoing(self._type("blob"), tracked, blob))

    def get(self, uuid: UUID | None) -> bytes | None:
        """Read the stored bytes of an object, and check them; None for no hash.

        Raises
        ------
        MissingExternalFile
            When the store does not have the object.
        DataJointError
            When there is no such row, or the object is damaged.
        """
        return None if uuid is None else self._handle(uuid).read()

    def get_attachment_name(self, uuid: UUID) -> str | None:
        """Return the name of an attached file."""
        return self._tracked(uuid).attachment_name

    def download_attachment(
        self, uuid: UUID, attachment_name: str, download_path: str | Path
    ) -> None:
        """Write an attached file to a path, in place of another file there."""
        path = object_path(self.name.schema, uuid, self.store.settings.subfolding, attachment_name)
        self.store.get_file(path, Path(download_path))

    def download_filepath(
        self, filepath_hash: UUID | None
    ) -> tuple[str, UUID | None] | tuple[None, None]:
        """Bring a file into the stage, unless it is there.

        Returns
        -------
        tuple
            Its path in the stage, and the hash of its contents, if that is known.
        """
        if filepath_hash is None:
            return None, None
        handle = self._handle(filepath_hash)
        if not isinstance(handle, StagedFile):
            raise DataJointError(f"{self.name} has no file with the hash {filepath_hash}")
        return handle.retrieve(), handle.contents_hash

    def _handle(self, hash_: UUID) -> StoredObject:
        tracked = self._tracked(hash_)
        attached = "attach" if tracked.attachment_name is not None else "blob"
        type_ = self._type("filepath" if tracked.is_file else attached)
        return stored_object(self.name.schema, tracked, Reading(type_, origin=str(self.name)))

    def upload_attachment(self, local_path: str | Path) -> UUID:
        """Store a file under its name; its hash is returned."""
        return self._upload("attach", local_path)

    def upload_filepath(self, local_filepath: str | Path) -> UUID:
        """Store a file of the stage; the hash of its path is returned.

        Raises
        ------
        DataJointError
            When it is outside of the stage, or was stored with other contents, and is in use.
        """
        return self._upload("filepath", local_filepath)

    def _upload(self, kind: str, file: str | Path) -> UUID:
        try:
            found = outgoing(self._type(kind), file, native_blobs=True)
        except ValueError as error:
            raise DataJointError(f"{file!s} {error}") from error
        return self._place(found)

    def _type(self, kind: str) -> External:
        return External(f"{kind}@{self.store_name}", kind, self.store_name)

    def _place(self, found: Outgoing) -> UUID:
        with self.connection.atomic(snapshot=False):
            Placer(self.connection, self.spec).place([(("hash",), (found,))])
        return found.object.hash

    def _tracked(self, hash_: UUID) -> Tracked:
        tracked = look_up(self.connection, self.spec, [hash_]).get(hash_)
        if tracked is None:
            raise DataJointError(f"{self.name} has no object with the hash {hash_}")
        return tracked


class ExternalMapping(Mapping[str, ExternalTable]):
    """What a schema keeps in stores, by the name of the store.

    It iterates over the stores that the schema uses; any that is configured can be asked for.

    Parameters
    ----------
    connection : Connection
    schema : str
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema

    def __getitem__(self, store: str) -> ExternalTable:
        """Return the table of a store, which is declared if the store was not used yet.

        Raises
        ------
        DataJointError
            When there is no such store.
        """
        if store not in self:
            configured = config.get("stores") or {}
            if store not in configured:
                raise UnknownStoreError(self._schema, store, {*self, *configured})
            declare_tracker(self._connection, self._schema, store)
        return ExternalTable(self._connection, self._schema, store)

    def __contains__(self, store: object) -> bool:
        return isinstance(store, str) and self._connection.is_declared(
            external_table(self._schema, store)
        )

    def __iter__(self) -> Iterator[str]:
        names = (TableName(self._schema, name) for name in self._connection.tables(self._schema))
        return iter([name.store for name in names if name.store])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        lines = (f'    "{store}" {_place(store)}' for store in self)
        return "\n".join([f"External file tables for schema `{self._schema}`:", *lines])


class UnknownStoreError(DataJointError, KeyError):
    """A store that is neither configured nor used."""

    def __init__(self, schema: str, store: object, known: Iterable[str]) -> None:
        listed = ", ".join(f"`{name}`" for name in sorted(known)) or "none"
        hint = did_you_mean(str(store), known) or "."
        super().__init__(
            f"Storage {store} is requested but not configured{hint} Set "
            f"dj.config['stores']['{store}']; configured, or used by schema `{schema}`: {listed}"
        )


def _place(store: str) -> str:
    """Say where a store is, as the configuration has it."""
    entry = (config.get("stores") or {}).get(store)
    if not isinstance(entry, Mapping):
        return "(not configured)"
    parts = [entry.get("bucket"), entry.get("location")]
    return f"{entry.get('protocol')}:{'/'.join(str(part) for part in parts if part)}"


def progress_bar(total: int, name: str, shown: bool) -> Any:
    """Make a progress bar; as a context it is None where none is shown."""
    if not shown:
        return nullcontext()
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=name, unit="object", file=sys.stderr)
