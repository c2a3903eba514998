"""What goes wrong while workers populate, and what must be there in the end all the same."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import datajoint as dj
from datajoint.storage.paths import is_temporary
from servers import Server

from . import pipeline
from .fleet import Fleet, environment
from .proxy import Proxy


@dataclass(frozen=True)
class Scale:
    """How much is done, and how fast.

    Attributes
    ----------
    keys, workers : int
    pause : tuple of float
        The least and the most seconds of a ``make``; a few take longer than the lease.
    interval : float
        The seconds between two kills.
    kills : int
        How many workers are killed at the most.
    outage : float
        The seconds that a server, the network or the disk is away.
    lease : float
        The seconds after which a reservation that nobody renews is free.
    patience : float
        The seconds after which workers that go on are taken for stuck.
    times : int
        How many times the server is killed; the network is cut thrice as often.
    """

    keys: int = 300
    workers: int = 4
    pause: tuple[float, float] = (0.01, 0.3)
    interval: float = 1.0
    kills: int = 1000
    outage: float = 2.0
    lease: float = 2.0
    patience: float = 600.0
    times: int = 2
    seed: int = field(default_factory=lambda: random.randrange(10**6))


#: For the suite of tests; still each worker is hit.
SHORT = Scale(
    keys=20,
    workers=2,
    pause=(0.01, 0.2),
    interval=0.6,
    kills=3,
    outage=0.5,
    lease=1.0,
    patience=120.0,
    times=1,
    seed=1,
)


@dataclass(frozen=True)
class Figures:
    """What came of it; all but the first three are zero when nothing is wrong."""

    faults: int
    keys: int
    seconds: float
    #: Keys without their entity, or without their part of the audit.
    lost: int
    #: Commits beyond the first one of a key.
    duplicated: int
    #: Entities whose parts or contents are not what they must be.
    partial: int
    #: What is left in ``~jobs`` and of leases.
    stale: int
    #: Objects that no entity refers to.
    orphans: int
    #: What workers wrote that failed or did not end.
    failures: list[str]

    @property
    def wrong(self) -> dict[str, Any]:
        """What is not as it should be."""
        fine = ("faults", "keys", "seconds")
        return {name: value for name, value in asdict(self).items() if name not in fine and value}


@dataclass
class Trial:
    """Workers on one schema of one database."""

    scale: Scale
    #: How the database is reached by the verifier, and by workers unless they have a way of theirs.
    options: dict[str, Any]
    schema: str
    folder: Path
    server: Server | None = None
    detour: dict[str, Any] | None = None
    #: More arguments of ``populate``.
    populate: dict[str, Any] = field(default_factory=dict)
    #: The moment of its ``make`` at which whoever has the last key halts itself, if at all.
    halt: str | None = None

    def __post_init__(self) -> None:
        self.chance = random.Random(self.scale.seed)
        self.store = self.folder / "store"
        self.store.mkdir(exist_ok=True)
        self.halted = self.folder / "halted"
        self.settings = {
            "stores": {pipeline.STORE: {"protocol": "file", "location": str(self.store)}},
            "loglevel": "WARNING",
            "populate.lease": self.scale.lease,
        }
        self.fleet = Fleet(
            {
                "settings": self.settings,
                "options": self.detour or self.options,
                "schema": self.schema,
                "pause": (*self.scale.pause, 1.5 * self.scale.lease),
                "halt": self.halt and [self.scale.keys - 1, self.halt, str(self.halted)],
                "populate": self.populate,
            },
            self.folder,
        )
        self._connection: dj.Connection | None = None

    def run(self, faults: Callable[[Trial], int]) -> Figures:
        """Let workers populate while there are faults; count what is there in the end."""
        started = time.monotonic()
        settings = {**self.settings, "loglevel": "ERROR"}
        with dj.config(**{name.replace(".", "__"): each for name, each in settings.items()}):
            self._connection = dj.Connection(**self.options)
            try:
                schema = dj.Schema(self.schema, connection=self._connection)
                self.tables = pipeline.declare(schema)
                items = range(self.scale.keys)
                self.tables.Item.insert((item, pipeline.value(item)) for item in items)
                with self.fleet:
                    self.fleet.start(self.scale.workers)
                    count = faults(self)
                    failures = self.fleet.finish(self.scale.patience)
                seconds = time.monotonic() - started
                return verify(schema, self.tables, self.scale.keys, count, seconds, failures)
            finally:
                self._connection.close()

    def wait_for(self, share: float) -> bool:
        """Wait until a share of the keys is made; False if the workers have ended before."""
        wanted = share * self.scale.keys
        self.fleet.wait_until(
            lambda: self.made() >= wanted or self.fleet.is_done, self.scale.patience
        )
        return not self.fleet.is_done

    def made(self) -> int:
        with suppress(dj.errors.LostConnectionError):
            return len(self.tables.Attempt())
        return 0


# -- faults ---------------------------------------------------------------------------------------


def kill_workers(trial: Trial) -> int:
    """Kill a random worker again and again, and start new ones."""
    fleet, scale = trial.fleet, trial.scale
    deadline = time.monotonic() + scale.patience
    while fleet.kills < scale.kills and time.monotonic() < deadline:
        if fleet.wait_until(lambda: fleet.is_done, scale.interval):
            break
        fleet.kill_one(trial.chance)
    return fleet.kills


def kill_server(trial: Trial) -> int:
    """Kill the server, and start it again."""
    assert trial.server is not None
    for number in range(trial.scale.times):
        trial.wait_for((number + 1) / (trial.scale.times + 1))
        trial.server.kill()
        time.sleep(trial.scale.outage)
        trial.server.restart()
    return trial.scale.times


def cut_network(proxy: Proxy) -> Callable[[Trial], int]:
    """Close all connections; let nothing through before that; or do not tell the server."""

    def cut(trial: Trial) -> int:
        count = 3 * trial.scale.times
        for number in range(count):
            trial.wait_for((number + 1) / (count + 1))
            if number % 3 == 1:
                proxy.stall()
                time.sleep(trial.scale.outage)
            proxy.cut(is_told=number % 3 != 2)
            time.sleep(trial.scale.outage)
            proxy.restore()
        return count

    return cut


def fill_disk(trial: Trial) -> int:
    """Fill the disk of the store, and make room again."""
    for number in range(trial.scale.times):
        trial.wait_for((number + 1) / (trial.scale.times + 1))
        ballast = trial.store / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 12))
        time.sleep(trial.scale.outage)
        ballast.unlink()
    return trial.scale.times


def freeze_workers(trial: Trial) -> int:
    """Halt workers past their leases, and let them go on; the last one when all else is done."""
    fleet, scale = trial.fleet, trial.scale
    for number in range(scale.times):
        trial.wait_for((number + 1) / (scale.times + 2))
        if ready := fleet.ready():
            with fleet.frozen(trial.chance.choice(ready)):
                time.sleep(2.5 * scale.lease)
    with fleet.halted(trial.halted, scale.patience):
        if not fleet.wait_until(lambda: trial.made() == scale.keys, scale.patience):
            raise RuntimeError("nobody took over what a worker had reserved that is frozen")
    return scale.times + 1


# -- what must be there ---------------------------------------------------------------------------


def verify(
    schema: dj.Schema,
    tables: SimpleNamespace,
    keys: int,
    faults: int,
    seconds: float,
    failures: list[str],
) -> Figures:
    """Count what is missing, and what should not be there."""
    commits = Counter(tables.Attempt.fetch("item").tolist())
    made = set(tables.Result.fetch("item").tolist())
    return Figures(
        faults=faults,
        keys=keys,
        seconds=seconds,
        lost=sum(1 for item in range(keys) if item not in made or not commits[item]),
        duplicated=sum(count - 1 for count in commits.values() if count > 1),
        partial=sum(1 for item in made if not is_whole(tables, item)),
        stale=len(schema.jobs) + leases(schema),
        orphans=orphans(schema),
        failures=failures,
    )


def is_whole(tables: SimpleNamespace, item: int) -> bool:
    """Tell whether an entity has all its contents and parts."""
    try:
        entity = (tables.Result & {"item": item}).fetch1()
        pieces = (tables.Result.Piece & {"item": item}).fetch(as_dict=True, order_by="piece")
    except dj.DataJointError:
        return False
    return (
        entity["total"] == pipeline.total(pipeline.value(item))
        and np.array_equal(entity["movie"], pipeline.movie(item))
        and [each["piece"] for each in pieces] == list(range(pipeline.PIECES))
        and all(
            np.array_equal(each["image"], pipeline.image(item, each["piece"])) for each in pieces
        )
    )


def leases(schema: dj.Schema) -> int:
    """Count the leases: all workers have ended."""
    tables = schema.connection.tables(schema.database)
    schema.connection.forget_catalog(schema.database)
    if "~lease" not in tables:
        return 0
    return len(dj.FreeTable(schema.connection, f"`{schema.database}`.`~lease`"))


def orphans(schema: dj.Schema) -> int:
    """Count what nothing refers to in the store and in its tracking table.

    What a worker was writing when it was killed has a temporary name, and is no object.
    """
    tracked = schema.external[pipeline.STORE]
    used = {str(path) for _, path in tracked.used().fetch_external_paths()}
    store = tracked.store
    stored = {store.locate(each.path) for each in store.list("") if not is_temporary(each.path)}
    return len(stored ^ used) + len(tracked.unused())


def account(server: Server) -> dict[str, Any]:
    """Give the options of connections to a server."""
    return {part: getattr(server, part) for part in ("host", "port", "user", "password")}


# -- all of it -------------------------------------------------------------------------------------


def workers_killed(**given: Any) -> Figures:
    """SIGKILL to a random worker every second, and new ones start."""
    return Trial(**given).run(kill_workers)


def server_killed(**given: Any) -> Figures:
    """SIGKILL to the server, which is started again."""
    return Trial(**given).run(kill_server)


def network_cut(**given: Any) -> Figures:
    """Connections are closed, and refused for a while; or nothing comes through before that."""
    options = given["options"]
    with Proxy(options["host"], options["port"]) as proxy:
        detour = {**options, "host": "127.0.0.1", "port": proxy.port}
        return Trial(detour=detour, **given).run(cut_network(proxy))


def disk_full(**given: Any) -> Figures:
    """The disk of the store is full for a while.

    Runs in a namespace of its own, so that nobody else sees the disk, and nothing of it stays.
    """
    given["scale"] = asdict(given["scale"])
    given["folder"] = str(given["folder"])
    del given["server"]
    command = [*NAMESPACE, sys.executable, "-m", "faults.scenarios", json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    if done.returncode:
        raise RuntimeError(done.stderr)
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def worker_frozen(**given: Any) -> Figures:
    """SIGSTOP to a worker past its lease, and SIGCONT; the last one where that is worst."""
    is_file = given["options"]["backend"] == "sqlite"  # which an insert locks as a whole
    halt = "computing" if is_file else "inserting"
    return Trial(halt=halt, **given).run(freeze_workers)


Scenario = Callable[..., Figures]

SCENARIOS: tuple[Scenario, ...] = (
    workers_killed,
    server_killed,
    network_cut,
    disk_full,
    worker_frozen,
)
#: What only a server can suffer.
OF_SERVERS = (server_killed, network_cut)

#: Where a disk can be mounted without being root.
NAMESPACE = ("unshare", "--map-root-user", "--mount")


def unavailable(scenario: Scenario) -> str | None:
    """Say why a scenario cannot be had here; None if it can."""
    if scenario is disk_full:
        if shutil.which("unshare") is None:
            return "there is no program unshare, of util-linux"
        command = [*NAMESPACE, "sh", "-c", "mount -t tmpfs none /tmp"]
        if subprocess.run(command, capture_output=True).returncode:
            return "this user may not mount a disk in a namespace"
    return None


def main() -> None:
    """Try a full disk, in a namespace of its own."""
    given = json.loads(sys.argv[1])
    trial = Trial(
        **{
            **given,
            "scale": Scale(**given["scale"]),
            "folder": Path(given["folder"]),
            "populate": {"retries": 8, "backoff": 0.1},
        }
    )
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", trial.store], check=True)
    print(json.dumps(asdict(trial.run(fill_disk))))


if __name__ == "__main__":
    main()
