"""The two clients behind one interface: a test says which one makes and which one uses."""

from __future__ import annotations

import json
import os
import select
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import datajoint as dj

from . import wire

PATIENCE = 120.0
"""Seconds after which a reply is no longer waited for."""


class IncumbentError(Exception):
    """What the other client raised."""

    def __init__(self, type: str, text: str) -> None:
        super().__init__(type, text)
        self.type = type
        self.text = text

    def __str__(self) -> str:
        return f"{self.type}: {self.text}"


#: Without these, the other client refuses some of its types.
_SWITCHES = {"DJ_SUPPORT_ADAPTED_TYPES": "TRUE", "DJ_SUPPORT_FILEPATH_MANAGEMENT": "TRUE"}


class Incumbent:
    """The other client, in a process of its own."""

    name = "incumbent"

    def __init__(self, python: str, log: Path, **options: Any) -> None:
        script = Path(__file__).with_name("incumbent.py")
        arguments = [f"--{name}={options[name]}" for name in ("host", "port", "user", "password")]
        self._log = log
        # which would lead it to this package
        environment = {n: value for n, value in os.environ.items() if n != "PYTHONPATH"}
        with log.open("w") as stderr:
            self._process = subprocess.Popen(
                [python, "-W", "ignore", str(script), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=log.parent,
                env={**environment, **_SWITCHES},
                text=True,
                encoding="utf-8",
            )
        self.version = wire.loads(self._reply())

    def run(self, source: str, **values: Any) -> None:
        """Run statements; `values` are variables for them, and stay."""
        self.start(source, **values)
        self.finish()

    def value(self, expression: str, **values: Any) -> Any:
        """Evaluate an expression."""
        return wire.loads(self.text(expression, **values))

    def text(self, expression: str, **values: Any) -> str:
        """Evaluate an expression and give the exact text of its value."""
        self._request("value", expression, values)
        return self._reply()

    def start(self, source: str, **values: Any) -> None:
        """Start to run statements; nothing else can be asked before `finish`."""
        self._request("run", source, values)

    def finish(self) -> None:
        """Wait for what was started."""
        self._reply()

    def reset(self) -> None:
        """Forget all variables."""
        self._request("reset", "", {})
        self._reply()

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def kill(self) -> None:
        """End the process without warning."""
        self._process.kill()
        self._process.wait()

    def _request(self, command: str, source: str, values: dict[str, Any]) -> None:
        request = {"command": command, "source": source, "values": wire.dumps(values)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def _reply(self) -> str:
        stdout = self._process.stdout
        assert stdout is not None
        # nothing is buffered between requests, so the descriptor tells whether there is a reply
        if not select.select([stdout], [], [], PATIENCE)[0]:
            self._process.kill()
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"the other client died; its last words:\n{self._log.read_text()}")
        reply = json.loads(line)
        if "error" in reply:
            raise IncumbentError(**reply["error"])
        text: str = reply["value"]
        return text


class Here:
    """This package, with the interface of `Incumbent`."""

    name = "here"

    def __init__(self, connection: dj.Connection) -> None:
        self.connection = connection
        self.namespace: dict[str, Any] = {}
        self.reset()

    def reset(self) -> None:
        self.namespace = {"__name__": "pipeline", "dj": dj, "schema": self._schema}

    def _schema(self, name: str) -> dj.Schema:
        return dj.Schema(name, context=self.namespace, connection=self.connection)

    def run(self, source: str, **values: Any) -> None:
        self.namespace.update(values)
        exec(source, self.namespace)

    def value(self, expression: str, **values: Any) -> Any:
        self.namespace.update(values)
        return eval(expression, self.namespace)

    def text(self, expression: str, **values: Any) -> str:
        return wire.dumps(self.value(expression, **values))


Side = Here | Incumbent
