"""The commands that compute: populate, worker, progress and jobs."""

import datetime as dt
import importlib
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

import datajoint as dj
from datajoint.errors import LostConnectionError
from datajoint.worker import find_tables, work

from .test_command_line import environment, run

__all__ = ["environment", "run"]  # fixtures

PIPELINE = '''
import os
import time
from pathlib import Path

import datajoint as dj

schema = dj.Schema("{schema}")
failing = set()
HERE = Path(__file__).parent


@schema
class Image(dj.Manual):
    definition = """
    image_id : int
    """


@schema
class Doubled(dj.Computed):
    definition = """
    -> Threshold
    ---
    doubled : int
    """

    def make(self, key):
        self.insert1({{**key, "doubled": 2 * key["image_id"]}})


# declared after what depends on it is written, as tables of several modules are
@schema
class Threshold(dj.Imported):
    definition = """
    -> Image
    ---
    threshold : int
    """

    key_source = Image & "image_id < 100"

    class Bin(dj.Part):
        definition = """
        -> master
        bin : int
        """

    def make(self, key):
        if key["image_id"] in failing:
            raise ValueError(f"image {{key['image_id']}} is black")
        if (HERE / "slow").exists():
            (HERE / f"started-{{key['image_id']}}").touch()
            time.sleep(60)
        self.insert1({{**key, "threshold": 5}})
        self.Bin.insert({{**key, "bin": n}} for n in range(2))
'''


@pytest.fixture
def pipeline(connection, make_schema, tmp_path, monkeypatch):
    """A module with a pipeline in the working folder."""
    monkeypatch.setattr(dj.conn, "connection", connection)
    name = make_schema().database
    module = f"pipeline_{name}"
    text = PIPELINE.format(schema=name)
    # Doubled refers to Threshold: it is declared last, but stands first in the file.
    start, end = text.index("@schema\nclass Doubled"), text.index("# declared after")
    doubled, text = text[start:end], text[:start] + text[end:]
    (tmp_path / f"{module}.py").write_text(text + "\n\n" + doubled)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    loaded = importlib.import_module(module)
    loaded.Image.insert([(i,) for i in (1, 2, 3, 200)])
    yield SimpleNamespace(name=module, schema=name, module=loaded, folder=tmp_path)
    sys.modules.pop(module, None)


# -- populate -------------------------------------------------------------------------------------


def test_one_table(run, pipeline):
    result = run("populate", f"{pipeline.name}:Threshold", "--quiet")
    assert (result.exit_code, result.stdout) == (0, "Threshold: 3 made, 0 errors\n")
    assert pipeline.module.Threshold.fetch("image_id", order_by="image_id").tolist() == [1, 2, 3]
    assert len(pipeline.module.Threshold.Bin()) == 6
    assert len(pipeline.module.Doubled()) == 0


def test_all_tables_of_a_module(run, pipeline):
    result = run("populate", pipeline.name, "--quiet")
    assert result.exit_code == 0
    assert result.stdout == "Threshold: 3 made, 0 errors\nDoubled: 3 made, 0 errors\n"
    assert pipeline.module.Doubled.fetch("doubled", order_by="doubled").tolist() == [2, 4, 6]


def test_options(run, pipeline):
    table = f"{pipeline.name}:Threshold"
    run("populate", table, "-r", "image_id > 1", "-r", "image_id < 3", "--quiet")
    assert pipeline.module.Threshold.fetch("image_id").tolist() == [2]
    run("populate", table, "--max-calls", "1", "--order", "reverse", "--reserve-jobs", "--quiet")
    assert pipeline.module.Threshold.fetch("image_id", order_by="image_id").tolist() == [2, 3]
    assert len(pipeline.module.schema.jobs) == 0


def test_an_error_ends_it(run, pipeline):
    pipeline.module.failing.add(1)
    result = run("populate", pipeline.name, "--quiet")
    assert result.exit_code == 1
    assert str(result.exception) == "image 1 is black"


def test_an_error_of_datajoint_in_make_tells_where(run, pipeline, monkeypatch, capfd):
    def make(self, key):
        (pipeline.module.Image & "image_id = 77").fetch1("image_id")

    monkeypatch.setattr(pipeline.module.Threshold, "make", make)
    result = run("populate", pipeline.name, "--quiet")
    assert result.exit_code == 1
    shown = result.output + capfd.readouterr().err
    assert '(pipeline.module.Image & "image_id = 77").fetch1("image_id")' in shown
    assert "Error: fetch1" in shown


def test_where_is_told_with_several_processes(run, pipeline, monkeypatch, capfd):
    pipeline.module.failing.add(1)
    text = (pipeline.folder / f"{pipeline.name}.py").read_text()
    text = text.replace("failing = set()", "failing = {1}").replace(
        "ValueError", "dj.DataJointError"
    )
    (pipeline.folder / f"{pipeline.name}.py").write_text(text)
    result = run("populate", pipeline.name, "--quiet", "--processes", "2")
    assert result.exit_code == 1
    shown = result.output + capfd.readouterr().err
    assert "in make" in shown
    assert "image 1 is black" in shown


def test_errors_are_listed(run, pipeline):
    pipeline.module.failing.add(2)
    result = run("populate", pipeline.name, "--suppress-errors", "--quiet")
    assert result.exit_code == 1
    assert result.stdout == (
        "Threshold: 2 made, 1 errors\n"
        "  {'image_id': 2}: ValueError: image 2 is black\n"
        "Doubled: 2 made, 0 errors\n"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module_xyz", "There is no module `no_such_module_xyz`: give its name as for"),
        ("no_such_package_xyz.part", "There is no module `no_such_package_xyz.part`"),
        (
            "{}:Treshold",
            "There is no table `Treshold` in the module `{}`; did you mean `Threshold`",
        ),
        ("{}:Image", "`Image` of the module `{}` is no computed or imported table"),
        ("{}:Threshold.Bin", "`Threshold.Bin` of the module `{}` is no computed or imported table"),
        ("{}:Threshold.make.x", "There is no table `Threshold.make.x` in the module `{}`"),
        ("{}:", "There is no table `` in the module `{}`"),
        (":Threshold", "`` is no name of a module"),
        ("./{}", "`./{}` is no name of a module"),
        ("json", "The module `json` has no computed or imported tables"),
    ],
)
@pytest.mark.parametrize("command", ["populate", "worker"])
def test_wrong_names(run, pipeline, command, name, message):
    result = run(command, name.format(pipeline.name), "--quiet")
    assert result.exit_code == 1
    assert message.format(pipeline.name) in result.output


def test_an_error_of_the_module_itself_is_shown(run, pipeline):
    (pipeline.folder / "broken_pipeline.py").write_text("import no_such_module_xyz\n")
    result = run("populate", "broken_pipeline")
    assert isinstance(result.exception, ModuleNotFoundError)
    assert result.exception.name == "no_such_module_xyz"


@pytest.mark.parametrize("command", ["populate", "worker"])
def test_a_table_without_make(run, pipeline, monkeypatch, command, caplog):
    """It keeps nobody from filling the others."""
    monkeypatch.delattr(pipeline.module.Threshold, "make")
    with caplog.at_level("WARNING", "datajoint"):
        result = run(command, pipeline.name, "--quiet")
    assert result.exit_code == 0
    assert "is left out: The class `Threshold` must have a method `make" in caplog.text
    result = run(command, f"{pipeline.name}:Threshold")
    assert result.exit_code == 1
    assert "The class `Threshold` must have a method `make" in result.output
    monkeypatch.delattr(pipeline.module.Doubled, "make")
    assert "has no computed or imported tables" in run(command, pipeline.name).output


def test_a_table_without_a_key_source(run, pipeline, caplog):
    """It keeps nobody from filling the others, and from seeing how far they are."""

    @pipeline.module.schema
    class Sourceless(dj.Imported):
        definition = "number : int"

        def make(self, key):
            self.insert1(key)

    pipeline.module.Sourceless = Sourceless
    with caplog.at_level("WARNING", "datajoint"):
        result = run("worker", pipeline.name)
    assert result.stdout == "6 made, 0 errors\n"
    assert "`_sourceless` has no foreign key in its primary key" in caplog.text
    assert run("populate", f"{pipeline.name}:Sourceless").exit_code == 1
    frame = dj.progress(pipeline.module)
    assert frame.loc["Doubled"].tolist() == [3, 0, 0, 0, 0]
    assert frame.loc["Sourceless"].isna().all()
    assert "Sourceless" in run("progress", pipeline.name).stdout


def test_tables_in_topological_order_each_once(pipeline):
    names = [f"{pipeline.name}:Doubled", pipeline.name, f"{pipeline.name}:Threshold"]
    tables = find_tables(names)
    assert [table.class_name for table in tables] == ["Threshold", "Doubled"]


# -- worker ---------------------------------------------------------------------------------------


def test_worker_until_done(run, pipeline):
    result = run("worker", pipeline.name, "--until-done", "--interval", "0.01")
    assert (result.exit_code, result.stdout) == (0, "6 made, 0 errors\n")
    assert len(pipeline.module.Doubled()) == 3
    assert len(pipeline.module.schema.jobs) == 0
    result = run("worker", pipeline.name)
    assert (result.exit_code, result.stdout) == (0, "0 made, 0 errors\n")


def test_worker_notes_errors(run, pipeline):
    pipeline.module.failing.add(3)
    result = run("worker", pipeline.name)
    assert (result.exit_code, result.stdout) == (1, "4 made, 1 errors\n")
    (entry,) = pipeline.module.schema.jobs.fetch(as_dict=True)
    assert (entry["status"], entry["key"]) == ("error", {"image_id": 3})
    # what is in error is passed over
    assert run("worker", pipeline.name).stdout == "0 made, 0 errors\n"


def test_worker_ends_though_a_make_inserts_nothing(run, pipeline, monkeypatch):
    calls = []
    monkeypatch.setattr(pipeline.module.Threshold, "make", lambda self, key: calls.append(key))
    result = run("worker", f"{pipeline.name}:Threshold")
    assert result.exit_code == 0
    assert {key["image_id"] for key in calls} == {1, 2, 3}
    assert len(calls) <= 6


def test_worker_waits_for_what_others_are_at(run, pipeline, connect, monkeypatch):
    """It does not end while a key may come back to it."""
    others = dj.Schema(pipeline.schema, connection=connect()).jobs
    others.reserve("_threshold", {"image_id": 2})
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            others.complete("_threshold", {"image_id": 2})

    monkeypatch.setattr("datajoint.worker.time.sleep", wait)
    result = run("worker", pipeline.name, "--interval", "7")
    assert result.stdout == "6 made, 0 errors\n"
    assert waits == [7, 7]


def test_worker_forever(pipeline, monkeypatch):
    """It goes on when there is something new."""
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt
        pipeline.module.Image.insert1((10 + len(waits),))

    monkeypatch.setattr("datajoint.worker.time.sleep", wait)
    with pytest.raises(KeyboardInterrupt):
        work(find_tables([pipeline.name]), forever=True, interval=5)
    assert waits == [5, 5, 5]
    assert len(pipeline.module.Doubled()) == 5


@pytest.fixture
def away(pipeline, connection, monkeypatch):
    """Let the database be away, for five attempts to connect, when a worker has nothing to do."""
    errors, waits = [], []

    def connect():
        if errors:
            raise errors.pop()
        opened()

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 1:
            pipeline.module.Image.insert1((4,))
            connection.close()
            errors.extend(LostConnectionError("away") for _ in range(5))
        elif seconds == 5 and not errors and len(pipeline.module.Doubled()) == 4:
            raise KeyboardInterrupt

    opened = connection.backend.connect
    monkeypatch.setattr(connection.backend, "connect", connect)
    monkeypatch.setattr("datajoint.worker.time.sleep", wait)
    yield waits
    errors.clear()


@pytest.mark.parametrize("patience", [300, 0])
def test_worker_waits_for_a_database_that_is_away(pipeline, away, patience):
    with dj.config(populate__patience=patience), pytest.raises(KeyboardInterrupt):
        work(find_tables([pipeline.name]), forever=True, interval=5)
    assert len(away) == 7  # until there is nothing to do again
    assert len(pipeline.module.Doubled()) == 4


@pytest.mark.parametrize("patience", [300, 0])
def test_worker_until_done_has_patience(pipeline, away, patience):
    tables = find_tables([pipeline.name])
    time.sleep(0)  # it is away from now on
    with dj.config(populate__patience=patience):
        if patience:
            assert work(tables) == {"made": 8, "errors": 0}
        else:
            with pytest.raises(LostConnectionError):
                work(tables)


def test_killed_worker_is_replaced(environment, pipeline):
    """A worker that is killed in a make leaves nothing that the next one has to be told of."""
    command = [sys.executable, "-m", "datajoint.cli", "worker", pipeline.name]
    (pipeline.folder / "slow").touch()
    first = subprocess.Popen(command, env=environment, cwd=pipeline.folder)
    try:
        deadline = time.monotonic() + 60
        while not list(pipeline.folder.glob("started-*")):
            assert first.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert len(pipeline.module.schema.jobs & {"status": "reserved"}) >= 1
    (pipeline.folder / "slow").unlink()
    second = subprocess.run(
        [*command, "--interval", "0.1"],
        env=environment,
        cwd=pipeline.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 0, second.stderr
    assert second.stdout == "6 made, 0 errors\n"
    assert len(pipeline.module.schema.jobs) == 0
    assert len(pipeline.module.Threshold.Bin()) == 6


# -- progress -------------------------------------------------------------------------------------


def cells(text):
    """Read a table of the command line: each row's words."""
    return [line.split() for line in text.splitlines() if line.strip()]


def test_progress_of_a_schema_and_of_a_module(run, pipeline):
    pipeline.module.failing.add(3)
    run("worker", f"{pipeline.name}:Threshold")
    by_module = cells(run("progress", pipeline.name).stdout)
    by_schema = cells(run("progress", pipeline.schema).stdout)
    header = by_module[0]
    position = {name: number + 1 for number, name in enumerate(header)}
    rows = {row[0]: row for row in by_module if len(row) == len(header) + 1}

    def numbers(row):
        return [int(row[position[name]]) for name in ("done", "reserved", "error", "left")]

    (threshold,) = (row for name, row in rows.items() if "Threshold" in name)
    (doubled,) = (row for name, row in rows.items() if "Doubled" in name)
    assert numbers(threshold) == [2, 0, 1, 0]
    assert numbers(doubled) == [0, 0, 0, 2]
    # without the code, the key source is the parent: image 200 too
    (threshold,) = (row for row in by_schema if "Threshold" in row[0])
    assert numbers(threshold) == [2, 0, 1, 1]


def test_progress_of_nothing(run, pipeline):
    result = run("progress", f"{pipeline.schema}x")
    assert result.exit_code == 1
    assert f"There is neither a schema nor a module `{pipeline.schema}x`" in result.output
    assert f"did you mean `{pipeline.schema}`" in result.output


# -- jobs -----------------------------------------------------------------------------------------


@pytest.fixture
def entries(pipeline):
    jobs = pipeline.module.schema.jobs
    jobs.reserve("_threshold", {"image_id": 1})
    jobs.error("_threshold", {"image_id": 2}, "ValueError: black", "Traceback\n  line 7\n")
    jobs.error("__doubled", {"image_id": 3}, "KeyError: 'x'", "Traceback\n  line 9\n")
    jobs.ignore("__doubled", {"image_id": 4})
    return jobs


def test_jobs(run, pipeline, entries):
    lines = run("jobs", pipeline.schema).stdout.splitlines()
    assert [line.partition(",")[0] for line in lines if not line.startswith("    ")] == [
        "Doubled {'image_id': 3}: error",
        "Doubled {'image_id': 4}: ignore",
        "Threshold {'image_id': 1}: reserved",
        "Threshold {'image_id': 2}: error",
    ] or len(lines) == 6
    assert "    ValueError: black" in lines
    assert "    KeyError: 'x'" in lines


def test_errors_with_what_led_to_them(run, pipeline, entries):
    text = run("jobs", pipeline.schema, "--errors", "--table", "Threshold").stdout
    assert text.startswith("Threshold {'image_id': 2}: error, ")
    assert text.endswith("\n    Traceback\n      line 7\n\n")
    assert "Doubled" not in text


def test_errors_that_were_noted_by_hand(run, pipeline):
    jobs = pipeline.module.schema.jobs
    jobs.error("_threshold", {"image_id": 1}, ValueError("by hand"))
    jobs.error("_threshold", {"image_id": dt.timedelta(hours=1)}, "of a key that is not kept")
    jobs.error("_threshold", {"image_id": 2}, "with a stack", "line 7")
    text = run("jobs", pipeline.schema, "--errors").stdout
    assert "Threshold {'image_id': 1}: error, " in text
    assert "\n    by hand\n" in text
    assert "Threshold (key of hash " in text
    assert "\n    line 7\n" in text


def test_clear_forgets_errors_alone(run, pipeline, entries):
    declined = run("jobs", pipeline.schema, "--clear", input="n\n")
    assert declined.exit_code == 1
    assert "Forget 2 errors" in declined.output
    assert len(entries) == 4
    one = run("jobs", pipeline.schema, "--clear", "--table", "Doubled", "--yes")
    assert (one.exit_code, one.stdout) == (0, "1 errors forgotten.\n")
    rest = run("jobs", pipeline.schema, "--clear", input="y\n")
    assert rest.exit_code == 0
    assert "1 errors forgotten." in rest.stdout
    assert sorted(entries.fetch("status").tolist()) == ["ignore", "reserved"]
    assert run("jobs", pipeline.schema, "--clear").stdout == "There are no errors.\n"


def test_wrong_use_of_jobs(run, pipeline):
    assert run("jobs", pipeline.schema, "--errors", "--clear").exit_code == 2
    result = run("jobs", pipeline.schema, "--table", "Treshold")
    assert "There is no table `Treshold`" in result.output
    assert "did you mean `Threshold`" in result.output
    result = run("jobs", f"{pipeline.schema}x")
    assert f"There is no schema `{pipeline.schema}x`" in result.output
