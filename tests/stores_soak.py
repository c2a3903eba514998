"""Several processes insert, update, fetch, delete and collect the same few objects.

``run`` starts them, kills some in the middle of what they do, and gathers what they counted. A
process is this file run as a program. Each keeps to the order of what users do, and an error that
is not one of a documented conflict ends it.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datajoint as dj
import soak
from datajoint.errors import ConflictError
from datajoint.storage.registry import get_store

#: So few contents that the processes always meet.
CONTENTS = range(8)


def declare(schema: dj.Schema) -> Any:
    @schema
    class Recording(dj.Manual):
        definition = """
        recording : bigint
        ---
        version : bigint
        content : int
        movie : blob@soak
        notes = null : attach@soak
        """

    return Recording


class Worker:
    """One process."""

    def __init__(self, number: int, options: dict[str, Any], schema: str, folder: Path) -> None:
        self.random = random.Random()
        self.number = number
        self.folder = folder
        self.connection = dj.Connection(**options)
        self.schema = dj.Schema(schema, connection=self.connection)
        self.table = declare(self.schema)
        slow_down(get_store("soak"), self.random)
        self.inserted = 0
        self.counts: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        actions = [self.insert] * 5 + [self.fetch] * 3 + [self.delete] * 4 + [self.update]
        actions += [self.transaction, self.collect, self.collect, self.clean]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            action = self.random.choice(actions)
            try:
                action()
                self.counts[action.__name__] += 1
            except ConflictError:
                self.counts[f"{action.__name__}: conflicts"] += 1

    def row(self) -> dict[str, Any]:
        self.inserted += 1
        return {"recording": self.number * 10**9 + self.inserted, **self.content()}

    def content(self) -> dict[str, Any]:
        content = self.random.choice(CONTENTS)
        notes = self.folder / "notes" / f"{content}.txt"
        return {
            "version": self.random.getrandbits(60),
            "content": content,
            "movie": value_of(content),
            "notes": self.random.choice([None, notes]),
        }

    def key(self) -> dict[str, Any] | None:
        keys = self.table.fetch("KEY", limit=20)
        return self.random.choice(keys) if keys else None

    def insert(self) -> None:
        self.table.insert([self.row() for _ in range(self.random.choice([1, 1, 2, 5]))])

    def transaction(self) -> None:
        """Insert in two steps, of which half are undone."""
        try:
            with self.connection.transaction:
                self.table.insert1(self.row())
                self.table.insert1(self.row())
                if self.random.random() < 0.5:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass

    def update(self) -> None:
        if key := self.key():
            try:
                self.table.update1({**key, **self.content()})
            except dj.DataJointError as error:
                if "has no entity" not in str(error):
                    raise

    def delete(self) -> None:
        """Delete most entities, one by one, so that contents are in use no more."""
        for key in self.table.fetch("KEY"):
            if self.random.random() < 0.7:
                try:
                    (self.table & key).delete()
                    self.counts["entities deleted"] += 1
                except ConflictError:
                    self.counts["delete: conflicts"] += 1

    def fetch(self) -> None:
        """Fetch an entity; it may be deleted or changed between its row and its object."""
        keys = self.table.proj("version").fetch(as_dict=True, limit=20)
        if not keys:
            return
        entity = self.table & self.random.choice(keys)
        try:
            for row in entity.fetch(as_dict=True, download_path=self.folder):
                check(row)
        except ConflictError:
            raise
        except dj.DataJointError:
            if entity:  # as it was, since no version comes twice
                raise
            self.counts["fetch: deleted meanwhile"] += 1

    def collect(self) -> None:
        report = dj.gc(
            self.schema,
            dry_run=False,
            grace=0,
            batch_size=self.random.choice([1, 3, 100]),
            display_progress=False,
        )
        self.counts["objects removed"] += report.objects.count
        self.counts["orphans removed"] += sum(share.orphans.count for share in report.shares)
        for what, error in report.errors:
            if not isinstance(error, ConflictError):
                raise AssertionError(what) from error
            self.counts["collect: conflicts"] += 1

    def clean(self) -> None:
        self.schema.external["soak"].delete(delete_external_files=True, display_progress=False)


def slow_down(store: Any, random_: random.Random) -> None:
    """Let a store take its time, so that others meet what is half done."""

    def slow(call: Callable[..., Any]) -> Callable[..., Any]:
        def slowed(*args: Any) -> Any:
            time.sleep(random_.choice([0, 0, 0.01, 0.03]))
            return call(*args)

        return slowed

    for name in ("info", "put", "delete"):
        setattr(store, name, slow(getattr(store, name)))


def value_of(content: int) -> dict[str, Any]:
    return {"content": content, "data": bytes([content]) * 2000}


def check(row: dict[str, Any]) -> None:
    assert row["movie"] == value_of(row["content"]), row["recording"]
    if row["notes"] is not None:
        assert Path(row["notes"]).read_text().startswith("notes ")


def run(
    options: dict[str, Any],
    store: dict[str, Any],
    schema: str,
    folder: Path,
    seconds: float,
    processes: int = 8,
    kills: int = 4,
) -> Counter[str]:
    """Run the processes, and count what they did; see :func:`soak.run`."""
    (folder / "notes").mkdir()
    for content in CONTENTS:
        (folder / "notes" / f"{content}.txt").write_text(f"notes {content}\n" * 100)

    def given(number: int, seconds: float) -> list[Any]:
        (folder / str(number)).mkdir()
        return [number, options, store, schema, str(folder), seconds]

    return soak.run(__file__, given, seconds, processes, kills)


def main() -> None:
    number, options, store, schema, folder, seconds = json.loads(sys.argv[1])
    dj.config["stores"] = {"soak": store}
    dj.config["safemode"] = False
    dj.config["loglevel"] = "WARNING"
    os.chdir(Path(folder) / str(number))
    worker = Worker(number, options, schema, Path(folder))
    try:
        worker.run(seconds)
    except BaseException:
        traceback.print_exc()
        sys.exit(1)
    print(json.dumps(worker.counts))


if __name__ == "__main__":
    main()
