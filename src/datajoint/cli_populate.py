"""Commands that compute: populate, worker, progress and jobs."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from textwrap import indent
from typing import Any, TypeVar

import click

from .classes import name_classes
from .cli_shared import Connect, open_module
from .distributing import RemoteStack
from .errors import DataJointError
from .making import Maker
from .schemas import progress
from .utils import did_you_mean
from .worker import find_module, find_tables, work

_Command = TypeVar("_Command", bound=Callable[..., Any])

_TABLES = click.argument("names", metavar="MODULE[:TABLE] ...", nargs=-1, required=True)


def _how(command: _Command) -> _Command:
    """Add the options that populate and worker have in common."""
    options = [
        click.option(
            "--processes",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            help="Processes of this computer that share the keys.",
        ),
        click.option(
            "--retries",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="How often a key is tried again after an error that its table lists as transient.",
        ),
        click.option(
            "--backoff",
            type=click.FloatRange(min=0),
            default=1.0,
            show_default=True,
            help="Seconds before the first of the retries; each waits twice as long as the last.",
        ),
        click.option("--quiet", is_flag=True, help="Show no progress bar."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _open(connect: Connect) -> None:
    """Connect before modules are imported, which use the connection that they find."""
    connect(create=True)
    _look_here()


def _look_here() -> None:
    """Let modules of the working folder be imported, as with ``python -m``."""
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.insert(0, os.getcwd())


@click.command(short_help="Fill computed tables.")
@_TABLES
@click.option(
    "-r",
    "--restriction",
    "restrictions",
    multiple=True,
    metavar="CONDITION",
    help="Only keys that meet the condition, such as 'subject_id > 5'. Can be repeated.",
)
@click.option("--reserve-jobs", is_flag=True, help="Share the keys with other processes.")
@click.option("--suppress-errors", is_flag=True, help="Go on after an error.")
@click.option(
    "--order",
    type=click.Choice(["original", "reverse", "random"]),
    default="original",
    show_default=True,
    help="The order of the keys.",
)
@click.option("--limit", type=click.IntRange(min=0), help="Look at so many keys at the most.")
@click.option("--max-calls", type=click.IntRange(min=0), help="Make so many keys at the most.")
@click.option(
    "--refresh",
    type=click.Choice(["stale"]),
    help="Make those anew as well whose code or inputs have changed since they were made.",
)
@_how
@click.pass_obj
def populate(
    connect: Connect,
    /,
    names: Sequence[str],
    restrictions: Sequence[str],
    quiet: bool,
    **options: Any,
) -> None:
    """Fill computed and imported tables with what is missing, parents first.

    MODULE is the name of a Python module, as for import; it is looked for in this folder too.
    Without TABLE, all its tables are filled that compute themselves.

    It ends with exit code 1 if a key could not be made.

    \b
    Examples:
      dj populate pipeline:FilteredImage
      dj populate pipeline --reserve-jobs --suppress-errors
      dj populate lab.ephys:Spikes -r 'session_date > "2024-01-01"' --processes 4
    """  # noqa: D301 - \b keeps click from filling the lines that follow
    _open(connect)
    failed = False
    for table in find_tables(names):
        try:
            result = table.populate(*restrictions, display_progress=not quiet, **options)
        except DataJointError as error:
            if _is_of_make(error):  # where in the user's code, as for all other errors
                traceback.print_exception(error)
            raise
        errors = result["error_list"]
        click.echo(f"{table.class_name}: {result['success_count']} made, {len(errors)} errors")
        for key, message in errors:
            click.echo(f"  {key}: {message}")
        failed |= bool(errors)
    if failed:
        raise click.exceptions.Exit(1)


def _is_of_make(error: BaseException) -> bool:
    """Tell whether an error has come out of a ``make``, here or in another process."""
    codes = (frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__))
    return Maker.make.__code__ in codes or isinstance(error.__cause__, RemoteStack)


@click.command(short_help="Work on tables of modules, with other workers.")
@_TABLES
@click.option(
    "--until-done/--forever",
    "until_done",
    default=True,
    help="End when nothing is left to do (the default), or wait for new keys for ever.",
)
@click.option(
    "--interval",
    type=click.FloatRange(min=0.01),
    default=10.0,
    show_default=True,
    help="Seconds to wait before looking again where there was nothing to do.",
)
@_how
@click.pass_obj
def worker(
    connect: Connect,
    /,
    names: Sequence[str],
    until_done: bool,
    interval: float,
    quiet: bool,
    **options: Any,
) -> None:
    """Fill all computed and imported tables of modules, parents first, again and again.

    Any number of workers on any number of computers share the keys; what a worker was at that is
    killed, another makes. Errors are noted in the jobs of the schema: see dj jobs. With
    --until-done, a worker ends when no key is left that can be made and no other worker is at one,
    with exit code 1 if there were errors.

    \b
    Examples:
      dj worker pipeline --until-done
      dj worker lab.ephys lab.behavior --forever --processes 4
    """  # noqa: D301 - \b keeps click from filling the lines that follow
    _open(connect)
    total = work(
        find_tables(names),
        forever=not until_done,
        interval=interval,
        display_progress=not quiet and sys.stderr.isatty(),
        **options,
    )
    click.echo(f"{total['made']} made, {total['errors']} errors")
    if total["errors"]:
        raise click.exceptions.Exit(1)


@click.command("progress", short_help="Show how far computed tables are.")
@click.argument("names", metavar="SCHEMA|MODULE ...", nargs=-1, required=True)
@click.pass_obj
def show_progress(connect: Connect, names: Sequence[str]) -> None:
    """Show how many keys are done, reserved, in error and left, for each table.

    SCHEMA is the name of a schema in the database. Tables whose key source is not that of their
    foreign keys are counted as their code says only if their MODULE is given instead.

    \b
    Examples:
      dj progress lab_ephys
      dj progress lab.ephys
    """  # noqa: D301 - \b keeps click from filling the lines that follow
    known = connect().list_schemas()
    _look_here()
    found = [open_module(n, n).schema if n in known else _module_or_schema(n, known) for n in names]
    frame = progress(found)
    if frame.empty:
        click.echo("There are no computed or imported tables.")
    else:
        click.echo(frame.to_string())


def _module_or_schema(name: str, schemas: Sequence[str]) -> Any:
    """Import a module; where there is none, say what schemas there are."""
    try:
        return find_module(name)
    except DataJointError as error:
        hint = did_you_mean(name, schemas) or "; schemas are listed by: dj schemas"
        raise DataJointError(f"There is neither a schema nor a module `{name}`{hint}") from error


@click.command(short_help="Show, or clear, reservations and errors.")
@click.argument("schema")
@click.option("--errors", is_flag=True, help="Show the errors alone, with what led to each.")
@click.option("--clear", is_flag=True, help="Forget the errors: their keys are tried again.")
@click.option("-t", "--table", help="Only those of one table: the name of its class.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before clearing.")
@click.pass_obj
def jobs(
    connect: Connect, schema: str, errors: bool, clear: bool, table: str | None, yes: bool
) -> None:
    """Show which keys of a schema are reserved by workers, in error or ignored.

    Reservations are not cleared by --clear, and need not be: those of workers that are gone are
    taken over by the next.

    \b
    Examples:
      dj jobs lab_ephys
      dj jobs lab_ephys --errors --table Spikes
      dj jobs lab_ephys --clear
    """  # noqa: D301 - \b keeps click from filling the lines that follow
    if errors and clear:
        raise click.UsageError("--errors shows errors, --clear forgets them: give one of the two.")
    connect()
    module = open_module(schema, schema)
    labels = {
        name: ".".join(path)
        for name, path in name_classes(module.schema.list_tables()).paths.items()
    }
    entries = module.schema.jobs
    if table is not None:
        wanted = [name for name, label in labels.items() if table in (name, label)]
        if not wanted:
            raise DataJointError(
                f"There is no table `{table}` in the schema `{schema}`"
                f"{did_you_mean(table, labels.values())}"
            )
        entries &= {"table_name": wanted[0]}
    if errors or clear:
        entries &= {"status": "error"}
    if clear:
        _clear(entries, yes)
        return
    attributes = [
        "table_name",
        "key_hash",
        "status",
        "key",
        "error_message",
        "host",
        "pid",
        "timestamp",
    ]
    attributes += ["error_stack"] if errors else []
    for row in entries.fetch(*attributes, as_dict=True, order_by="table_name, timestamp, key_hash"):
        where = f"{row['host']} (process {row['pid']}), {row['timestamp']:%Y-%m-%d %H:%M:%S}"
        label = labels.get(row["table_name"], row["table_name"])
        key = row["key"] if row["key"] is not None else f"(key of hash {row['key_hash']})"
        click.echo(f"{label} {key}: {row['status']}, {where}")
        if row["status"] == "error":
            stack = row["error_stack"] if errors else None
            click.echo(indent(stack or row["error_message"], "    "))


def _clear(entries: Any, yes: bool) -> None:
    """Delete entries in error, after asking."""
    count = len(entries)
    if not count:
        click.echo("There are no errors.")
        return
    if not yes:
        click.confirm(f"Forget {count} errors, so that their keys are tried again?", abort=True)
    entries.delete()
    click.echo(f"{count} errors forgotten.")


#: What the command line adds to its group.
COMMANDS = (populate, worker, show_progress, jobs)
