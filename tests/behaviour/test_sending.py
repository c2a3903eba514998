"""Classes of all kinds reach other processes: those of scripts, notebooks and modules."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import datajoint as dj

#: What users write at the top of a program; nothing of it can be imported, some not even sent.
PIPELINE = """
import os, threading
import datajoint as dj

lock = threading.Lock()
schema = dj.Schema("lab")

class Sum(dj.AttributeAdapter):
    attribute_type = "varchar(20)"

    def put(self, value):
        return "+".join(map(str, value))

    def get(self, text):
        return [int(part) for part in text.split("+")]

sums = Sum()

@schema
class Number(dj.Manual):
    definition = '''
    number : int
    ---
    parts : <sums>
    '''

class Outer:
    @schema
    class Total(dj.Computed):
        definition = '''
        -> Number
        ---
        total : int
        pid : int unsigned
        '''

        class Part(dj.Part):
            definition = '''
            -> master
            part : int
            '''

        def make(self, key):
            parts = (Number & key).fetch1("parts")
            self.insert1(dict(key, total=added(parts), pid=os.getpid()))
            self.Part.insert([dict(key, part=part) for part in parts])

def added(parts):
    return sum(parts)
"""
RUN = """
Number.insert([(n, [0, n]) for n in range(1, 7)])
print(Outer.Total.populate(processes=2, reserve_jobs=True))
rows = Outer.Total.to_dicts()
print(sum(row["total"] for row in rows), len(Outer.Total.Part()), len(schema.jobs))
print(os.getpid() in {row["pid"] for row in rows})
"""
EXPECTED = ["{'success_count': 6, 'error_list': []}", "21 12 0", "False"]


def run(*command: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=folder, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_script_without_a_main_guard(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(PIPELINE + RUN)
    assert run("script.py", folder=tmp_path) == EXPECTED


def test_a_command(tmp_path: Path) -> None:
    assert run("-c", PIPELINE + RUN, folder=tmp_path) == EXPECTED


def test_a_script_with_a_main_guard_and_an_executor_that_imports_it(tmp_path: Path) -> None:
    guarded = "".join(f"    {line}\n" for line in RUN.splitlines()).replace(
        "processes=2", "executor=ProcessPoolExecutor(2, get_context('spawn'))"
    )
    imports = (
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
    )
    script = f"{imports}{PIPELINE}\nif __name__ == '__main__':\n{guarded}"
    (tmp_path / "script.py").write_text(script)
    assert run("script.py", folder=tmp_path) == EXPECTED


@pytest.mark.filterwarnings("ignore")  # of the kernel's client
def test_a_notebook(tmp_path: Path) -> None:
    manager = pytest.importorskip("jupyter_client.manager")
    kernel, client = manager.start_new_kernel(cwd=str(tmp_path))
    printed: list[str] = []

    def hear(message: Any) -> None:
        content = message["content"]
        if content.get("name") == "stdout":
            printed.append(content["text"])
        assert message["msg_type"] != "error", content

    try:
        client.execute_interactive(PIPELINE, timeout=60, output_hook=hear)
        client.execute_interactive(RUN, timeout=60, output_hook=hear)
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    assert "".join(printed).splitlines() == EXPECTED


# -- modules --------------------------------------------------------------------------------------

#: A module whose schema somebody else activates, and gives what it needs.
ELEMENT = """
import datajoint as dj

schema = dj.Schema()
offset = None

def activate(name, given):
    global offset
    offset = given
    schema.activate(name)

@schema
class Number(dj.Manual):
    definition = "number : int"

@schema
class Shifted(dj.Computed):
    definition = '''
    -> Number
    ---
    shifted : int
    '''

    def make(self, key):
        self.insert1(dict(key, shifted=key["number"] + offset))
"""


def test_a_module_that_another_one_activates(tmp_path: Path) -> None:
    (tmp_path / "element.py").write_text(ELEMENT)
    (tmp_path / "pipeline.py").write_text("import element\n\nelement.activate('lab', 100)\n")
    (tmp_path / "script.py").write_text(
        "import pipeline\nfrom element import Number, Shifted\n"
        "Number.insert([[n] for n in range(4)])\n"
        "print(Shifted.populate(processes=2), sum(Shifted.to_arrays('shifted')))\n"
    )
    (printed,) = run("script.py", folder=tmp_path)
    assert printed == "{'success_count': 4, 'error_list': []} 406"


def test_a_module_that_the_script_activates(tmp_path: Path) -> None:
    element = ELEMENT.replace("offset = None", "offset = 10")
    (tmp_path / "element.py").write_text(element)
    (tmp_path / "script.py").write_text(
        "from element import Number, Shifted, schema\n"
        "schema.activate('lab')\n"
        "Number.insert([[n] for n in range(4)])\n"
        "print(Shifted.populate(processes=2), sum(Shifted.to_arrays('shifted')))\n"
    )
    (printed,) = run("script.py", folder=tmp_path)
    assert printed == "{'success_count': 4, 'error_list': []} 46"


# -- interruptions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "of_all"),
    [
        (signal.SIGINT, False),
        (signal.SIGINT, True),  # as a terminal does
        (signal.SIGTERM, False),
        (signal.SIGKILL, False),
    ],
)
def test_workers_end_with_the_program(tmp_path: Path, number: signal.Signals, of_all: bool) -> None:
    seconds = 3 if number == signal.SIGKILL else 600  # what is made is finished then
    pause = f"open(f'worker{{os.getpid()}}', 'w'); import time; time.sleep({seconds})"
    slow = PIPELINE.replace("parts = (Number", f"{pause}; parts = (Number")
    (tmp_path / "script.py").write_text(slow + RUN)
    program = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(lambda: len(list(tmp_path.glob("worker*"))) == 2)
        workers = [int(path.name.removeprefix("worker")) for path in tmp_path.glob("worker*")]
        if of_all:
            os.killpg(program.pid, number)
        else:
            program.send_signal(number)
        assert program.wait(60) != 0
        wait_for(lambda: not any(map(is_running, workers)))
    finally:
        program.kill()
    connection = dj.Connection(backend="sqlite", path=str(tmp_path / "datajoint.db"))
    jobs = dj.Schema("lab", connection=connection).jobs
    if number != signal.SIGKILL:  # after which the next populate looks for what was left
        assert jobs.fetch("status", "error_message", "error_stack", as_dict=True) == []
    connection.close()


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


# -- what travels by itself -----------------------------------------------------------------------


def test_connections_are_the_same_in_one_process(connection: dj.Connection) -> None:
    assert pickle.loads(pickle.dumps(connection)) is connection


def test_virtual_modules_travel(connection: dj.Connection, schema: dj.Schema) -> None:
    @schema
    class Number(dj.Manual):
        definition = "number : int"

    Number.insert1({"number": 4})
    module = dj.VirtualModule("lab", schema.database, connection=connection)
    arrived = pickle.loads(pickle.dumps(module))
    assert arrived.Number.to_dicts() == [{"number": 4}]
    assert pickle.loads(pickle.dumps(schema)) is connection.schemas[schema.database]
