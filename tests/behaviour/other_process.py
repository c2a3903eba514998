"""Another process of a program, which a test tells what to do, and can kill or halt."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

#: Runs requests, one per line, in one namespace; replies with what they leave in `result`.
SCRIPT = """
import json, sys
import datajoint as dj
from datajoint.leases import lease

replies, sys.stdout = sys.stdout, sys.stderr
space = {"dj": dj, "lease": lease}
for line in sys.stdin:
    try:
        exec(json.loads(line), space)
        reply = {"result": space.pop("result", None)}
    except Exception as error:
        reply = {"error": type(error).__name__, "text": str(error)}
    print(json.dumps(reply), file=replies, flush=True)
"""
SECONDS = 60.0


class Failed(Exception):
    """What was raised in the other process: the name of its class, and its text."""


class OtherProcess:
    """A process that runs statements.

    Parameters
    ----------
    folder : Path
        Where it works.
    **options
        Of its connection.
    """

    def __init__(self, folder: Path, **options: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            text=True,
        )
        self.run(f"connection = dj.Connection(**{options!r})")

    def run(self, source: str) -> Any:
        """Run statements, and give what they leave in `result`."""
        self.start(source)
        return self.finish()

    def start(self, source: str) -> None:
        """Begin to run statements; nothing else can be asked before `finish`."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(source) + "\n")
        self.process.stdin.flush()

    def finish(self) -> Any:
        """Wait for what was begun."""
        stdout = self.process.stdout
        assert stdout is not None
        assert select.select([stdout], [], [], SECONDS)[0], "the other process does not answer"
        reply = json.loads(stdout.readline())
        if "error" in reply:
            raise Failed(reply["error"], reply["text"])
        return reply["result"]

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it without warning."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it whatever it does; harmless when it has ended."""
        self.thaw()
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
