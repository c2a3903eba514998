"""Objects in stores, as their rows in the tracking tables tell of them: storage formats 3.3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from ..hash import uuid_from_buffer
from .base import Metadata
from .paths import object_path


@dataclass(frozen=True)
class Tracked:
    """An object as its row tells of it.

    Attributes
    ----------
    hash : UUID
        Of the contents of a blob, of the name and contents of an attached file, or of the path of
        a file.
    size : int
        In bytes.
    attachment_name : str or None
        The name of an attached file.
    filepath : str or None
        The path of a file, or of a blob that DataJoint 0.11 stored.
    contents_hash : UUID or None
        Of the contents of a file; None when it was not computed.
    """

    hash: UUID
    size: int
    attachment_name: str | None = None
    filepath: str | None = None
    contents_hash: UUID | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is a file of type ``filepath@store``, which belongs to the user."""
        return self.filepath is not None and self.hash == uuid_from_buffer(b"", self.filepath)

    @property
    def prefix(self) -> str:
        """What is hashed before the contents: the name of an attached file."""
        return "" if self.attachment_name is None else f"{self.attachment_name}\0"

    @property
    def checksum(self) -> UUID | None:
        """The hash of prefix and contents, if it is known."""
        return self.hash if self.filepath is None else self.contents_hash

    @property
    def metadata(self) -> Metadata:
        """What a store keeps with the object, if it can."""
        return {} if self.filepath is None else {"contents_hash": str(self.contents_hash or "")}

    def path(self, schema: str, subfolding: Sequence[int]) -> str:
        """Name the object below the location of its store."""
        if self.filepath is not None:
            return self.filepath
        return object_path(schema, self.hash, subfolding, self.attachment_name)
