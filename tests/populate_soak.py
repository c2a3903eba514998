"""Several processes populate, insert and read tables of one SQLite file.

``run`` starts them, kills some in the middle of what they do, and gathers what they counted. A
process is this file run as a program; an error of any kind ends it.
"""

from __future__ import annotations

import json
import random
import sys
import time
import traceback
from collections import Counter
from types import SimpleNamespace
from typing import Any

import datajoint as dj
import soak
from datajoint.errors import IntegrityError
from datajoint.hash import key_hash

#: So many keys are waiting at the most.
WAITING = 60


def declare(schema: dj.Schema) -> SimpleNamespace:
    @schema
    class Recording(dj.Manual):
        definition = """
        recording : bigint
        ---
        value : int
        """

    @schema
    class Made(dj.Manual):
        definition = """
        made : bigint auto_increment
        ---
        name : varchar(16)
        recording : bigint
        """

    class Counted(dj.Computed):
        """Notes each commit of `make`."""

        def make(self, key: dict[str, Any]) -> None:
            self.compute(key)
            Made.insert1({"name": type(self).__name__, **key})

        def compute(self, key: dict[str, Any]) -> None:
            raise NotImplementedError

    @schema
    class Filtered(Counted):
        definition = """
        -> Recording
        ---
        value : int
        """

        class Part(dj.Part):
            definition = """
            -> master
            part : int
            ---
            data : longblob
            """

        def compute(self, key: dict[str, Any]) -> None:
            value = (Recording & key).fetch1("value")
            time.sleep(random.choice([0, 0.01, 0.05]))
            self.insert1({**key, "value": value})
            self.Part.insert({**key, "part": i, "data": bytes([value]) * 2000} for i in range(3))

    @schema
    class Summary(Counted):
        definition = """
        -> Filtered
        ---
        total : int
        """

        def compute(self, key: dict[str, Any]) -> None:
            total = sum(row["data"][0] for row in Filtered.Part & key)
            self.insert1({**key, "total": total})

    @schema
    class Chained(Counted):
        """How many entities it had: if they had come one after another, each number once."""

        definition = """
        -> Recording
        ---
        before : int
        """

        def compute(self, key: dict[str, Any]) -> None:
            before = len(Chained())
            time.sleep(random.choice([0, 0, 0.01]))
            self.insert1({**key, "before": before})

    return SimpleNamespace(
        Recording=Recording, Made=Made, computed=[Filtered, Summary, Chained], Filtered=Filtered
    )


class Worker:
    """One process."""

    def __init__(self, number: int, options: dict[str, Any], schema: str) -> None:
        self.number = number
        self.inserted = 0
        self.connection = dj.Connection(**options)
        self.schema = dj.Schema(schema, connection=self.connection)
        self.tables = declare(self.schema)
        self.counts: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        actions = [self.populate] * 4 + [self.insert, self.read, self.iterate, self.delete]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            action = random.choice(actions)
            action()
            self.counts[action.__name__] += 1

    def populate(self) -> None:
        table = random.choice(self.tables.computed)
        result = table.populate(
            reserve_jobs=True,
            suppress_errors=True,
            return_exception_objects=True,
            max_calls=random.choice([1, 5, 20]),
            order=random.choice(["original", "reverse", "random"]),
        )
        self.counts["keys made"] += result["success_count"]
        for key, error in result["error_list"]:
            if not isinstance(error, IntegrityError):
                raise error
            self.counts["keys deleted meanwhile"] += 1
            jobs = self.schema.jobs & {"table_name": table.table_name, "key_hash": key_hash(key)}
            jobs.delete()

    def insert(self) -> None:
        recording = self.tables.Recording
        if len(recording - self.tables.computed[1]) > WAITING:
            return
        rows = []
        for _ in range(random.choice([1, 10])):
            self.inserted += 1
            rows.append((self.number * 10**9 + self.inserted, random.randrange(200)))
        start = time.monotonic()
        recording.insert(rows)
        self.counts["inserts that took a second"] += time.monotonic() - start > 1

    def read(self) -> None:
        filtered = self.tables.Filtered
        parts = filtered.aggr(filtered.Part, n="count(*)").fetch("n")
        assert set(parts.tolist()) <= {3}

    def iterate(self) -> None:
        """Read slowly, which keeps nobody from writing."""
        for row in self.tables.Filtered.Part & "part = 0":
            assert len(row["data"]) == 2000
            if random.random() < 0.01:
                time.sleep(0.01)

    def delete(self) -> None:
        """Delete an entity with all that depends on it, which is then made anew."""
        keys = self.tables.Filtered.fetch("KEY", limit=10, order_by="KEY DESC")
        if random.random() < 0.2 and keys:
            with self.connection.transaction:  # so that what is counted fits
                key = random.choice(keys)
                (self.tables.Made & key & "name <> 'Chained'").delete_quick()
                (self.tables.Filtered & key).delete()


def check(schema: dj.Schema) -> None:
    """Make what is left, and look whether all is there, exactly once."""
    tables = declare(schema)
    for table in tables.computed:
        assert table.populate(reserve_jobs=True)["error_list"] == []
    assert len(schema.jobs) == 0
    keys = tables.Recording.fetch("recording", order_by="recording").tolist()
    for table in tables.computed:
        assert table.fetch("recording", order_by="recording").tolist() == keys
        made = (tables.Made & {"name": table.__name__}).fetch("recording", order_by="recording")
        assert made.tolist() == keys
    filtered, summary, chained = tables.computed
    values = dict(zip(*tables.Recording.fetch("recording", "value"), strict=True))
    for row in filtered * summary:
        assert row["value"] == values[row["recording"]]
        assert row["total"] == 3 * row["value"]
    assert len(filtered.Part()) == 3 * len(keys)
    assert sorted(chained.fetch("before").tolist()) == list(range(len(keys)))


def run(
    options: dict[str, Any], schema: str, seconds: float, processes: int = 8, kills: int = 3
) -> Counter[str]:
    """Run the processes, and count what they did; see :func:`soak.run`."""

    def given(number: int, seconds: float) -> list[Any]:
        return [number, options, schema, seconds]

    return soak.run(__file__, given, seconds, processes, kills)


def main() -> None:
    number, options, schema, seconds = json.loads(sys.argv[1])
    dj.config["safemode"] = False
    dj.config["loglevel"] = "WARNING"
    dj.config["database.timeout"] = 60.0
    try:
        worker = Worker(number, options, schema)
        worker.run(seconds)
    except BaseException:
        traceback.print_exc()
        sys.exit(1)
    print(json.dumps(worker.counts))


if __name__ == "__main__":
    main()
