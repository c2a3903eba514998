"""What the workers compute: contents follow from the key, so that they can be checked."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import datajoint as dj

STORE = "faults"
PIECES = 3
#: One key of so many takes longer than the lease of a worker.
LONG = 25

#: The least and the most seconds of a ``make``, and those of a long one.
Pause = tuple[float, float, float]


def declare(schema: dj.Schema) -> SimpleNamespace:
    """Declare the tables, or find them."""

    @schema
    class Item(dj.Manual):
        definition = """
        item : int
        ---
        value : int
        """

    @schema
    class Attempt(dj.Manual):
        definition = """  # a row for each make that was committed, whatever becomes of its rows
        attempt : uuid
        ---
        item : int
        pid : int
        """

    @schema
    class Result(dj.Computed):
        definition = f"""
        -> Item
        ---
        total : int
        movie : blob@{STORE}
        """

        class Piece(dj.Part):
            definition = f"""
            -> master
            piece : tinyint
            ---
            image : blob@{STORE}
            """

        transient_errors = (OSError,)  # a disk may be full for a while

        def make(self, key: dict[str, Any], pause: Pause, pid: int, marks: str) -> None:
            item = key["item"]
            value = (Item & key).fetch1("value")
            seconds = pause[-1] if item % LONG == 7 else random.uniform(*pause[:2])
            with marked(Path(marks), "computing", pid):
                time.sleep(seconds * 0.9)
            self.insert1({**key, "total": total(value), "movie": movie(item)})
            with marked(Path(marks), "inserting", pid):
                time.sleep(seconds * 0.1)
            self.Piece.insert({**key, "piece": n, "image": image(item, n)} for n in range(PIECES))
            Attempt.insert1({"attempt": uuid.uuid4(), "item": item, "pid": pid})

    return SimpleNamespace(Item=Item, Attempt=Attempt, Result=Result)


def mark_of(folder: Path, what: str, pid: int) -> Path:
    """Name the file that is there while a worker is at something.

    While it is ``computing``, it has changed nothing yet; while ``inserting``, it holds locks.
    """
    return folder / f"{what}-{pid}"


@contextmanager
def marked(folder: Path, what: str, pid: int) -> Iterator[None]:
    """Tell the other processes what a worker is at."""
    mark = mark_of(folder, what, pid)
    mark.touch()
    yield
    mark.unlink()


def value(item: int) -> int:
    return item * item


def total(value: int) -> int:
    return 3 * value + 1


def movie(item: int) -> np.ndarray:
    """Give what only this key has."""
    return np.random.default_rng(item).integers(256, size=4000, dtype=np.uint8)


def image(item: int, piece: int) -> np.ndarray:
    """Give what this key has; the first piece is shared with other keys."""
    seed = (item % 5, 0) if piece == 0 else (item, piece)
    return np.random.default_rng([1, *seed]).integers(256, size=1000, dtype=np.uint8)
