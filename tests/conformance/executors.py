"""What every executor must do that `populate` gives keys to; one passes by subclassing."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import datajoint as dj

KEYS = 12


class OddError(Exception):
    """Cannot be unpickled: its arguments are not those of its class."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"number {number} is odd: {reason}")


@pytest.fixture
def pipeline(schema: dj.Schema, tmp_path: Path) -> Any:
    """Tables whose classes no worker can import: they go with their code."""

    @schema
    class Number(dj.Manual):
        definition = "number : int"

    @schema
    class Square(dj.Computed):
        definition = """
        -> Number
        ---
        square : int
        pid : int unsigned
        """

        class Digit(dj.Part):
            definition = """
            -> master
            place : int
            ---
            digit : char(1)
            """

        def make(self, key: dict[str, Any], mode: str = "", seconds: float = 0.0) -> None:
            number = (Number & key).fetch1("number")
            time.sleep(seconds)
            if mode == "odd" and number == 3:
                raise OddError(number, "it is")
            if mode == "value" and number == 3:
                raise ValueError("three")
            square = number**2
            self.insert1({**key, "square": square, "pid": os.getpid()})
            digits = enumerate(str(square))
            Square.Digit.insert([{**key, "place": i, "digit": digit} for i, digit in digits])
            if mode == "killed" and number == 3 and not (tmp_path / "killed").exists():
                (tmp_path / "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)

    Number.insert({"number": n} for n in range(KEYS))
    return SimpleNamespace(schema=schema, Number=Number, Square=Square, Digit=Square.Digit)


def assert_complete(pipeline: Any, numbers: set[int]) -> None:
    squares = pipeline.Square.to_dicts()
    assert {row["number"]: row["square"] for row in squares} == {n: n * n for n in numbers}
    assert os.getpid() not in {row["pid"] for row in squares}
    assert len(pipeline.Digit()) == sum(len(str(n * n)) for n in numbers)
    assert len(pipeline.schema.jobs) == 0


class ExecutorSuite:
    """A subclass gives the arguments of `populate` as the fixture `workers`."""

    @pytest.fixture
    def workers(self) -> dict[str, Any]:
        raise NotImplementedError

    def test_keys_are_made_elsewhere(self, pipeline: Any, workers: dict[str, Any]) -> None:
        done = pipeline.Square.populate(max_calls=3, **workers)
        assert done == {"success_count": 3, "error_list": []}
        assert len(pipeline.Square()) == 3
        done = pipeline.Square.populate(
            "number < 10", reserve_jobs=True, make_kwargs={"mode": "none"}, **workers
        )
        assert done == {"success_count": 7, "error_list": []}
        assert_complete(pipeline, set(range(10)))

    def test_errors_come_home(self, pipeline: Any, workers: dict[str, Any]) -> None:
        done = pipeline.Square.populate(
            reserve_jobs=True, suppress_errors=True, make_kwargs={"mode": "odd"}, **workers
        )
        text = "OddError: number 3 is odd: it is"
        assert done == {"success_count": KEYS - 1, "error_list": [({"number": 3}, text)]}
        (job,) = pipeline.schema.jobs.to_dicts()
        assert (job["status"], job["error_message"]) == ("error", text)
        assert "in make" in job["error_stack"]
        pipeline.schema.jobs.delete()
        with pytest.raises(ValueError, match="three") as raised:
            pipeline.Square.populate(make_kwargs={"mode": "value"}, **workers)
        assert "in make" in str(raised.value.__cause__)
        assert_complete(pipeline, set(range(KEYS)) - {3})
