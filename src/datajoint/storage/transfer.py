"""Several objects at a time, to a store or from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

from ..settings import config

#: After so many seconds it is looked whether one worker has done so many items. Threads that wait
#: for nothing but each other, as with small files on the computer's own disk, make it take longer.
_LOOK, _BRISK = 0.002, 2
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
    results: list[Any] = [None] * len(items)
    left = deque(range(len(items)))

    def work() -> None:
        # A task for each worker: one for each item would cost more than to read a small file.
        while True:
            try:
                position = left.popleft()
            except IndexError:
                return
            try:
                results[position] = function(items[position])
            except BaseException:
                left.clear()
                raise

    # A pool for each call takes a millisecond, and leaves nothing for a fork to break.
    with ThreadPoolExecutor(workers, thread_name_prefix="datajoint-transfer") as pool:
        futures = [pool.submit(work)]
        try:
            while left and len(futures) < workers:
                before = len(left)
                wait(futures, _LOOK)
                if before - len(left) < _BRISK:
                    futures += [pool.submit(work) for _ in range(workers - len(futures))]
            wait(futures)
        except BaseException:
            left.clear()
            raise
    for future in futures:
        future.result()
    return results
