"""Populating by other processes: new ones on this machine, or those of an executor.

Each worker process opens its own connection and has its own reservations; what it is sent is the
class and keys. Manual 9.5.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from functools import partial
from typing import Any, TypeVar, cast
from uuid import uuid4

from . import leases
from .errors import DataJointError
from .jobs import JobTable
from .key_source import Key, made_among
from .making import Outcome, Patience, text_of
from .populating import Options, make_keys
from .scheduling import LOST, Batch, Failure, Future, Lane, Losses, Report, Result, Scheduler
from .sending import pack, unpack
from .terminating import Terminated, terminable

_Result = TypeVar("_Result")

#: How many classes a worker keeps at hand.
KEPT = 2


class RemoteStack(Exception):
    """What another process was at when an error occurred there: the cause of the error here."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


# -- in the workers -------------------------------------------------------------------------------

#: Bytes that came before the keys that need them, by name.
_received: dict[str, bytes] = {}
#: What they were opened as.
_opened: dict[str, tuple[Any, Options]] = {}
#: Set when the program that started this process has ended.
_is_orphan = threading.Event()
#: A process has one connection, so it makes one key at a time.
_turn = threading.Lock()


def receive(name: str, parcel: bytes, parent: int, start_method: str | None) -> None:
    """Keep what is sent to a new worker, which is to end with the process that started it.

    Processes that ``make`` starts are started as in that process: the method of loky, which it has
    set here, is none that children of children know.
    """
    multiprocessing.set_start_method(start_method, force=True)
    _received[name] = parcel
    # Ctrl-C reaches all processes of a terminal: the program tells its workers to end.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    _is_orphan.set()
    with _turn:  # after what it is making
        os._exit(1)


def work(name: str, parcel: bytes | None, call: str, keys: list[Key]) -> Report:
    """Make keys in this process, a worker; called by the executor.

    Parameters
    ----------
    name : str
        Of the parcel.
    parcel : bytes or None
        The class and how to make its keys; None where it was received before.
    call : str
        Tells this call from all others: some executors do not repeat what they have done.
    keys : list of dict

    Returns
    -------
    Report
        Whatever happens: what an executor does with errors is its own affair.
    """
    results: list[Result] = []
    try:
        with _turn, terminable():
            for outcome in _outcomes(name, parcel, keys):
                results.append(_result(outcome))
                if _is_orphan.is_set():  # nobody wants to know what comes of the others
                    os._exit(1)
                if outcome.error is not None and not _opened[name][1].suppress_errors:
                    break
    except BaseException as error:
        if isinstance(error, Terminated):  # it is undone; now the signal does what it always does
            signal.raise_signal(signal.SIGTERM)
        return Report(tuple(results), _failure(error))
    return Report(tuple(results))


def _outcomes(name: str, parcel: bytes | None, keys: list[Key]) -> Iterator[Outcome]:
    if name not in _opened:
        while len(_opened) >= KEPT:
            del _opened[next(iter(_opened))]
        table, extra = unpack(parcel or _received[name])
        _opened[name] = table, extra["options"]
    table, options = _opened[name]
    with ExitStack() as stack:
        lease = stack.enter_context(_lease(table)) if options.reserve_jobs else None
        yield from stack.enter_context(closing(make_keys(options.maker(table, lease), keys)))


def _lease(table: Any) -> AbstractContextManager[leases.Lease]:
    """Take the lease by which keys of a table are reserved."""
    return leases.lease(table.connection, table.target.name.schema)


def _result(outcome: Outcome) -> Result:
    failure = None if outcome.error is None else _failure(outcome.error)
    return Result(outcome.status, outcome.seconds, failure, outcome.is_lost)


def _failure(error: BaseException) -> Failure:
    """Write an error so that any process can read it."""
    import cloudpickle

    stack = "".join(traceback.format_exception(error))
    kind, pickled = type(error).__name__, None
    with suppress(Exception):  # whatever the classes of errors, of all packages, may raise
        written = cloudpickle.dumps(error)
        if type(pickle.loads(written)) is type(error):
            pickled = written
    return Failure(kind, text_of(error), stack, pickled)


def error_of(failure: Failure) -> BaseException:
    """Make the error that another process has met, caused by what that was at."""
    error: BaseException | None = None
    if failure.pickled is not None:
        with suppress(Exception):  # a module that is not here
            error = pickle.loads(failure.pickled)
    if error is None:  # one that is called the same, at least
        error = type(failure.kind, (DataJointError,), {})(failure.text)
    if failure.stack:
        error.__cause__ = RemoteStack(failure.stack)
    return error


# -- workers --------------------------------------------------------------------------------------


class _Process(Lane):
    """One process of this machine, which is replaced when it dies, without regard to others."""

    def __init__(self, name: str, parcel: bytes) -> None:
        self._name = name
        self._parcel = parcel
        self._executor: Any = None

    @property
    def width(self) -> int:
        return 1

    def submit(self, keys: list[Key]) -> Future:
        from loky import ProcessPoolExecutor

        if self._executor is None:
            method = multiprocessing.get_start_method(allow_none=True)
            arguments = (self._name, self._parcel, os.getpid(), method)
            self._executor = ProcessPoolExecutor(1, initializer=receive, initargs=arguments)
        return cast(Future, self._executor.submit(work, self._name, None, "", keys))

    def replace(self, error: BaseException) -> None:
        self.close(now=True)

    def interrupt(self) -> bool:
        if self._executor is not None:
            for process in list(self._executor._processes.values()):
                process.terminate()
        return True

    def close(self, now: bool) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, kill_workers=now)


class _Executor(Lane):
    """The executor of the user."""

    def __init__(self, executor: Any, name: str, parcel: bytes) -> None:
        self._executor = executor
        self._name = name
        self._parcel = parcel
        #: Dask gives the tasks of dead workers to others.
        self.repeats_by_itself = hasattr(executor, "_client")

    @property
    def width(self) -> int:
        return max(1, _count_workers(self._executor))

    def submit(self, keys: list[Key]) -> Future:
        call = uuid4().hex
        return cast(Future, self._executor.submit(work, self._name, self._parcel, call, keys))

    def replace(self, error: BaseException) -> None:
        raise DataJointError(
            "The executor is broken: one of its workers has ended. What was made before is there; "
            "populate again, with a new executor, to make the rest"
        ) from error

    def close(self, now: bool) -> None:
        pass  # whoever made it ends it


def _count_workers(executor: Any) -> int:
    """Count the processes of an executor, each of which makes one key at a time."""
    client = getattr(executor, "_client", None)
    if client is not None:  # of Dask, whose workers come and go
        return len(client.scheduler_info(n_workers=-1)["workers"])
    for name in ("_max_workers", "num_workers"):
        if isinstance(count := getattr(executor, name, None), int):
            return count
    return os.cpu_count() or 1


def _as_executor(given: Any) -> Any:
    """Take an executor, or what has one, as the client of a Dask cluster."""
    if isinstance(given, ThreadPoolExecutor):
        raise DataJointError(
            "Threads share one connection and its transactions, and so cannot populate: use an "
            "executor of processes, or `processes=`"
        )
    if isinstance(given, type):
        raise TypeError(f"populate: `executor` must be an executor, not the class {given!r}")
    if hasattr(given, "get_executor"):
        given = given.get_executor()
    if not hasattr(given, "submit"):
        raise TypeError(
            f"populate: `executor` must have the methods of concurrent.futures.Executor, as "
            f"client.get_executor() of Dask has; {given!r} has not"
        )
    return given


# -- here -----------------------------------------------------------------------------------------


class Distribution:
    """Makes keys of a table in other processes; a context manager, which ends their work.

    Parameters
    ----------
    table : AutoPopulate
    options : Options
    processes : int
        How many new processes make them,
    executor : Executor or None
        unless those of an executor do.

    Raises
    ------
    DataJointError
        When the class, or the connection, cannot be sent to other processes.
    """

    def __init__(self, table: Any, options: Options, processes: int, executor: Any) -> None:
        self._table = table
        self._target = table.target
        self._reserves = options.reserve_jobs
        self._losses = Losses()
        self._scheduler: Scheduler | None = None
        parcel = pack(table, options=options)
        name = uuid4().hex  # another time, tables may be others
        if executor is None:
            self._lanes: list[Lane] = [_Process(name, parcel) for _ in range(processes)]
        else:
            self._lanes = [_Executor(executor, name, parcel)]

    def make_keys(
        self, keys: Iterable[Key], max_calls: int | None = None
    ) -> Generator[Outcome, None, None]:
        """Make keys, in whatever order the workers are done with them.

        Parameters
        ----------
        keys : iterable of dict
        max_calls : int, optional
            So many are made, or tried, at the most.

        Yields
        ------
        Outcome
            One for each key.

        Raises
        ------
        DataJointError
            When the workers cannot do anything.
        """
        release = partial(self._patiently, self._release)
        self._scheduler = Scheduler(self._lanes, keys, max_calls, self._losses, release)
        for batch, report in self._scheduler:
            yield from self._outcomes(batch, report)
            if report.problem is not None:
                raise error_of(report.problem)

    def __enter__(self) -> Distribution:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the work: what is being made is finished, unless the program is interrupted."""
        if self._scheduler is not None:
            self._scheduler.end(now=kind is not None and not issubclass(kind, Exception))

    def _patiently(self, operation: Callable[..., _Result], *arguments: Any) -> _Result:
        """Do what may be done twice, whatever becomes of the connection meanwhile."""
        return Patience(self._target.connection).run(partial(operation, *arguments))

    def _release(self, given_up: list[Key]) -> None:
        """Release what a lost worker had reserved, and note which keys are not tried again."""
        if not self._reserves:
            return
        with _lease(self._table) as lease:
            lease.sweep(self._target.table_name)
        jobs = JobTable(self._target.connection, self._target.name.schema)
        for key in given_up:
            jobs.error(self._target.table_name, self._table._job_key(key), LOST)

    def _outcomes(self, batch: Batch, report: Report) -> Iterator[Outcome]:
        pairs = list(zip(batch.keys, report.results))
        skipped = [key for key, result in pairs if batch.again and result.status == "skipped"]
        is_made = self._patiently(made_among, self._target, skipped)
        made = [key for key, each in zip(skipped, is_made) if each]
        for key, result in pairs:
            error = None if result.failure is None else error_of(result.failure)
            status = "made" if key in made and result.status == "skipped" else result.status
            yield Outcome(key, status, result.seconds, error, result.is_lost)


def distribution(
    table: Any, options: Options, processes: int | None, executor: Any
) -> Distribution | None:
    """Choose who makes the keys of a table: other processes, or this one, for which there is None.

    Raises
    ------
    DataJointError
        When that cannot be done.
    TypeError
        When the number of processes is none, or the executor has not the methods of one.
    """
    if executor is not None:
        if processes != 1:
            raise DataJointError("populate: give either `processes` or an `executor`, not both")
        return Distribution(table, options, 1, _as_executor(executor))
    if processes is None:
        from loky import cpu_count

        processes = int(cpu_count())
    if isinstance(processes, bool) or not isinstance(processes, int):
        raise TypeError(f"populate: processes must be an integer or None, not {processes!r}")
    if processes < 1:
        raise DataJointError(f"populate: at least one process is needed, not {processes}")
    return Distribution(table, options, processes, None) if processes > 1 else None
