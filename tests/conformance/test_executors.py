"""Populating by other processes, on this machine and on clusters."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import datajoint as dj
from datajoint.errors import DataJointError

from .executors import KEYS, ExecutorSuite, assert_complete
from .executors import pipeline as pipeline

on_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


class TestProcesses(ExecutorSuite):
    @pytest.fixture
    def workers(self) -> dict[str, Any]:
        return {"processes": 2}

    def test_a_killed_worker_is_replaced(self, pipeline: Any) -> None:
        done = pipeline.Square.populate(
            processes=2, reserve_jobs=True, make_kwargs={"mode": "killed"}
        )
        assert done == {"success_count": KEYS, "error_list": []}
        assert_complete(pipeline, set(range(KEYS)))


class PoolSuite(ExecutorSuite):
    method: str

    @pytest.fixture(scope="class")
    @classmethod
    def pool(cls) -> Iterator[ProcessPoolExecutor]:
        with ProcessPoolExecutor(2, multiprocessing.get_context(cls.method)) as pool:
            yield pool

    @pytest.fixture
    def workers(self, pool: ProcessPoolExecutor) -> dict[str, Any]:
        return {"executor": pool}


class TestFork(PoolSuite):
    """The workers inherit an open session, and must not use it."""

    method = "fork"


@on_sqlite
class TestSpawn(PoolSuite):
    method = "spawn"

    def test_a_broken_executor_says_so(self, pipeline: Any) -> None:
        with (
            ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
            pytest.raises(DataJointError, match="The executor is broken: one of its workers"),
        ):
            pipeline.Square.populate(executor=pool, make_kwargs={"mode": "killed"})


@on_sqlite
class TestForkServer(PoolSuite):
    method = "forkserver"


@pytest.mark.filterwarnings("ignore")  # of the cluster
@pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
class TestDask(ExecutorSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def client(cls) -> Iterator[Any]:
        distributed = pytest.importorskip("distributed")
        options = {"processes": True, "threads_per_worker": 2, "dashboard_address": "127.0.0.1:0"}
        with (
            distributed.LocalCluster(2, host="127.0.0.1", **options) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client

    @pytest.fixture
    def workers(self, client: Any) -> dict[str, Any]:
        return {"executor": client}

    def test_a_killed_worker_loses_nothing(self, pipeline: Any, client: Any) -> None:
        done = pipeline.Square.populate(
            executor=client.get_executor(), reserve_jobs=True, make_kwargs={"mode": "killed"}
        )
        assert done == {"success_count": KEYS, "error_list": []}
        assert_complete(pipeline, set(range(KEYS)))


# -- MPI ------------------------------------------------------------------------------------------

MPI = """
import os
import datajoint as dj
from mpi4py.futures import MPIPoolExecutor

if __name__ == "__main__":
    schema = dj.Schema("lab")

    @schema
    class Number(dj.Manual):
        definition = "number : int"

    @schema
    class Square(dj.Computed):
        definition = '''
        -> Number
        ---
        square : int
        pid : int unsigned
        '''

        def make(self, key):
            self.insert1({**key, "square": key["number"] ** 2, "pid": os.getpid()})

    Number.insert([[number] for number in range(8)])
    with MPIPoolExecutor() as executor:
        print(Square.populate(executor=executor, reserve_jobs=True))
    squares = Square.to_dicts()
    print(sum(row["square"] for row in squares), os.getpid() in {row["pid"] for row in squares})
"""


def test_mpi(tmp_path: Path) -> None:
    mpiexec = Path(sys.executable).with_name("mpiexec")
    if not mpiexec.exists():
        pytest.skip("mpich is not installed")
    (tmp_path / "script.py").write_text(MPI)
    command = [str(mpiexec), "-n", "3", sys.executable, "-m", "mpi4py.futures", "script.py"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=100)
    assert run.stdout.splitlines() == ["{'success_count': 8, 'error_list': []}", "140 False"], (
        run.stderr
    )


# -- what cannot be done --------------------------------------------------------------------------


@on_sqlite
def test_threads_are_refused(pipeline: Any, connection: dj.Connection) -> None:
    class Here:
        """An executor that does all at once, in this process."""

        def submit(self, function: Any, *arguments: Any) -> Any:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(function, *arguments)

    with ThreadPoolExecutor(1) as pool, pytest.raises(DataJointError, match="Threads share"):
        pipeline.Square.populate(executor=pool)
    with pytest.raises(DataJointError, match="runs its tasks in this very process"):
        pipeline.Square.populate(executor=Here())
    with pytest.raises(TypeError, match="must have the methods of"):
        pipeline.Square.populate(executor=4)
    assert len(pipeline.Square()) == 0


@on_sqlite
def test_numbers_of_processes(pipeline: Any, connection: dj.Connection) -> None:
    with pytest.raises(DataJointError, match="at least one process is needed, not 0"):
        pipeline.Square.populate(processes=0)
    with pytest.raises(TypeError, match="processes must be an integer or None, not '2'"):
        pipeline.Square.populate(processes="2")
    with pytest.raises(DataJointError, match="either `processes` or an `executor`"):
        pipeline.Square.populate(processes=2, executor=object())


def test_a_database_in_memory_is_refused() -> None:
    connection = dj.Connection(backend="sqlite", path=":memory:")
    schema = dj.Schema("lab", connection=connection)

    @schema
    class Number(dj.Manual):
        definition = "number : int"

    @schema
    class Copy(dj.Computed):
        definition = "-> Number"

        def make(self, key: Any) -> None:
            self.insert1(key)

    with pytest.raises(DataJointError, match="A database in memory belongs to one process"):
        Copy.populate(processes=2)
    connection.close()


@on_sqlite
def test_what_cannot_be_sent_is_said(pipeline: Any, connection: dj.Connection) -> None:
    with pytest.raises(DataJointError, match=r"Cannot send the class .* move the class"):
        pipeline.Square.populate(processes=2, make_kwargs={"mode": threading.Lock()})


@on_sqlite
def test_classes_of_virtual_modules_have_no_make(pipeline: Any, connection: dj.Connection) -> None:
    lab = dj.VirtualModule("lab", pipeline.schema.database, connection=connection)
    with pytest.raises(NotImplementedError, match="populate it with the class that has its `make`"):
        lab.Square.populate(processes=2)


@on_sqlite
def test_without_reservations_a_killed_worker_is_replaced(pipeline: Any, capsys: Any) -> None:
    done = pipeline.Square.populate(
        processes=2, display_progress=True, make_kwargs={"mode": "killed"}
    )
    assert f"{KEYS}/{KEYS}" in capsys.readouterr().err
    assert done == {"success_count": KEYS, "error_list": []}
    assert_complete(pipeline, set(range(KEYS)))


@on_sqlite
@pytest.mark.parametrize("method", ["fork", "spawn", None])
def test_make_may_start_processes(pipeline: Any, schema: dj.Schema, method: str | None) -> None:
    @schema
    class Absolute(dj.Computed):
        definition = """
        -> pipeline.Number
        ---
        absolute : int
        """

        def make(self, key: dict[str, Any]) -> None:
            with multiprocessing.get_context(method).Pool(1) as pool:
                absolute = pool.apply_async(abs, [-key["number"]]).get(timeout=30)
            self.insert1({**key, "absolute": absolute})

    done = Absolute.populate("number < 2", processes=2)
    assert done == {"success_count": 2, "error_list": []}
    assert sorted(Absolute.to_arrays("absolute")) == [0, 1]


@on_sqlite
def test_a_key_that_kills_its_workers_is_an_error(pipeline: Any, schema: dj.Schema) -> None:
    @schema
    class Fatal(dj.Computed):
        definition = "-> pipeline.Number"

        def make(self, key: dict[str, Any]) -> None:
            if key["number"] == 1:
                os.abort()
            self.insert1(key)

    done = Fatal.populate("number < 4", processes=2, reserve_jobs=True, suppress_errors=True)
    assert done["success_count"] == 3
    ((key, text),) = done["error_list"]
    assert key == {"number": 1}
    assert "The worker that was to make the key ended, 3 times" in text
    (job,) = schema.jobs.to_dicts()
    assert (job["status"], job["key"]["number"]) == ("error", 1)
