"""A worker: it fills the computed tables of modules, side by side with other workers.

Manual 9.5.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

from .autopopulate import AutoPopulate
from .errors import DataJointError, LostConnectionError
from .logging import logger
from .making import Patience, steps_of
from .progressing import Counts, count_keys, parents_first
from .settings import config
from .user_tables import UserTable
from .utils import did_you_mean


def find_tables(names: Iterable[str]) -> list[AutoPopulate]:
    """Find the computed and imported tables of modules, parents first.

    Parameters
    ----------
    names : iterable of str
        ``package.module`` for all of a module, or ``package.module:Table`` for one table.

    Returns
    -------
    list of AutoPopulate
        Each table once.

    Raises
    ------
    DataJointError
        When a module or a table cannot be found, or is not computed.
    """
    classes = dict.fromkeys(class_ for name in names for class_ in _classes(name))
    return parents_first(class_() for class_ in classes)


def find_module(name: str) -> ModuleType:
    """Import a module.

    Raises
    ------
    DataJointError
        When there is no such module.
    """
    if not name or name.startswith("."):
        raise DataJointError(f"`{name}` is no name of a module: give it as for `import`")
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # of something that the module imports
        raise DataJointError(
            f"There is no module `{name}`: give its name as for `import`, and run the command in "
            "the folder that it is in"
        ) from error


def _classes(name: str) -> Iterator[type[Any]]:
    """List the classes that a name of the command line stands for."""
    module_name, colon, path = name.partition(":")
    module = find_module(module_name)
    if colon:
        class_ = _named(module, path)
        if reason := _why_not_made(class_):
            raise DataJointError(reason)
        yield class_
        return
    found = []
    for class_ in filter(_is_computed, vars(module).values()):
        if reason := _why_not_made(class_):
            logger.warning("A table of the module `%s` is left out: %s", module_name, reason)
        else:
            found.append(class_)
    if not found:
        raise DataJointError(
            f"The module `{module_name}` has no computed or imported tables that are decorated "
            "with a schema and have a method `make`"
        )
    yield from found


def _why_not_made(class_: type[Any]) -> str:
    """Say what a class lacks to make its keys, if anything."""
    table = class_()
    try:
        steps_of(table, {})
        table._jobs_to_do(())
    except LostConnectionError:
        raise
    except (NotImplementedError, DataJointError) as error:
        return str(error)
    return ""


def _named(module: ModuleType, path: str) -> type[Any]:
    found: Any = module
    for part in path.split("."):
        known = getattr(found, "__dict__", {})
        if part not in known:
            raise DataJointError(
                f"There is no table `{path}` in the module `{module.__name__}`"
                f"{did_you_mean(part, [name for name in known if _is_computed(known[name])])}"
            )
        found = known[part]
    if not _is_computed(found):
        raise DataJointError(
            f"`{path}` of the module `{module.__name__}` is no computed or imported table that is "
            "decorated with a schema"
        )
    return found  # type: ignore[no-any-return]


def _is_computed(value: object) -> bool:
    """Tell whether something is the class of a table that computes itself."""
    return (
        isinstance(value, type)
        and issubclass(value, AutoPopulate)
        and issubclass(value, UserTable)
        and getattr(value, "database", None) is not None
    )


@dataclass(frozen=True)
class Pass:
    """What one pass over all tables has done, and what it has left."""

    made: int
    errors: int
    counts: list[Counts]

    @property
    def reserved(self) -> int:
        """How many keys other workers are at."""
        return sum(counts.reserved for counts in self.counts)


def work(
    tables: Sequence[AutoPopulate],
    *,
    forever: bool = False,
    interval: float = 10.0,
    **options: Any,
) -> Counter[str]:
    """Populate tables again and again, until nothing is left to do or for ever.

    Keys are reserved, so that any number of workers share them. Errors are noted in the jobs of
    the schema, and what is noted there is passed over. For a database that is away it waits as
    long as `populate.patience` says, or for ever.

    Parameters
    ----------
    tables : sequence of AutoPopulate
        Parents first.
    forever : bool
        Wait for new keys when all are done; otherwise it ends when no key is left that can be
        made, and no other worker is at one.
    interval : float
        Seconds to wait before looking again where there was nothing to do.
    **options
        For ``populate``.

    Returns
    -------
    Counter
        ``made`` and ``errors``.
    """
    total: Counter[str] = Counter(made=0, errors=0)
    before: Pass | None = None
    while True:
        try:
            done = _pass(tables, options)
        except LostConnectionError as error:
            if not (forever and config["database.reconnect"]):
                raise
            logger.error("The database is away; looking again in %g s: %s", interval, error)
            time.sleep(interval)
            continue
        total.update(made=done.made, errors=done.errors)
        # A make that inserts nothing leaves its key, and would be called for ever.
        idle = not (done.made or done.errors) or (
            before is not None and done.counts == before.counts
        )
        if idle and not forever and not done.reserved:
            return total
        before = done
        if idle:
            logger.log(
                logging.INFO if done.reserved else logging.DEBUG,
                "Nothing to do for %g s: %d keys are reserved by others",
                *(interval, done.reserved),
            )
            time.sleep(interval)


def _pass(tables: Sequence[AutoPopulate], options: dict[str, Any]) -> Pass:
    made = errors = 0
    for table in tables:
        populate = partial(table.populate, reserve_jobs=True, suppress_errors=True, **options)
        result = Patience(table.connection).run(populate)
        made += result["success_count"]
        errors += len(result["error_list"])
    counts = Patience(tables[0].connection).run(lambda: count_keys(tables))
    return Pass(made, errors, [each for each in counts if each is not None])
