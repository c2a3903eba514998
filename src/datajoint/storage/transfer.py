"""Several objects at a time, to a store or from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from ..settings import config

Item = TypeVar("Item")
Result = TypeVar("Result")


def transfer(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> list[Result]:
    """Call a function with each of some items, several at a time.

    The first failure is raised, as is KeyboardInterrupt, when what had begun has ended; what had
    not begun never does.

    Parameters
    ----------
    function : callable
        Is called in threads; with one item or one worker, in that of the caller.
    items : iterable
    workers : int, optional
        How many at a time; by default the setting ``external.transfers``.

    Returns
    -------
    list
        The results, in the order of the items.
    """
    items = list(items)
    workers = min(config["external.transfers"] if workers is None else workers, len(items))
    if workers <= 1:
        return [function(item) for item in items]
    # A pool for each call takes a millisecond, and leaves nothing for a fork to break.
    with ThreadPoolExecutor(workers, thread_name_prefix="datajoint-transfer") as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(cancel_futures=True)
    for future in futures:
        if future in done and (error := future.exception()):
            raise error
    return [future.result() for future in futures]
