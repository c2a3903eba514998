"""Runs under the Python that has the other client installed, and obeys the tests.

Reads one request per line from stdin, writes one reply per line to stdout:

    {"command": "run", "source": "...", "values": "..."}  →  {"value": "null"}
    {"command": "value", "source": "...", "values": "..."}  →  {"value": "..."}
    {"command": "reset", "values": "..."}  →  {"value": "null"}
    any of them  →  {"error": {"type": "...", "text": "..."}}

Values are texts of ``wire``. Sources run in one namespace, which has ``dj``, ``schema(name)`` and
``values`` of the request as variables; it lasts until it is reset.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any, TextIO

import wire  # type: ignore[import-not-found]  # beside this script, which is run by its path


def private_stdout() -> TextIO:
    """Keep stdout for replies: whatever else is written to it goes to stderr."""
    replies = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    return replies


def connect(arguments: argparse.Namespace) -> Any:
    import datajoint as dj

    dj.config["safemode"] = False
    dj.config["loglevel"] = "ERROR"
    dj.config["database.use_tls"] = False
    dj.config["database.host"] = arguments.host
    dj.config["database.port"] = arguments.port
    dj.config["database.user"] = arguments.user
    dj.config["database.password"] = arguments.password
    sys.excepthook = report_uncaught
    dj.logger.setLevel("ERROR")
    # a lock that the tests hold by mistake shall be an error, not a standstill
    dj.conn().query("SET SESSION lock_wait_timeout = 20, SESSION innodb_lock_wait_timeout = 20")
    return dj


def failure(error: BaseException) -> dict[str, Any]:
    """Say what was raised, and nothing about where: tracebacks would show the client's source."""
    return {"error": {"type": type(error).__name__, "text": str(error)}}


def report_uncaught(_type: Any, error: BaseException, _traceback: Any) -> None:
    print(json.dumps(failure(error)), file=sys.stderr)


def fresh_namespace(dj: Any) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "pipeline", "dj": dj}
    namespace["schema"] = lambda name: dj.Schema(name, context=namespace)
    return namespace


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", default="")
    replies = private_stdout()
    arguments = parser.parse_args()
    try:
        dj = connect(arguments)
    except Exception as error:
        print(json.dumps(failure(error)), file=replies)
        return
    print(json.dumps({"value": wire.dumps(dj.__version__)}), file=replies)

    namespace = fresh_namespace(dj)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            value = None
            namespace.update(wire.loads(request["values"]))
            if request["command"] == "reset":
                namespace = fresh_namespace(dj)
            elif request["command"] == "run":
                exec(request["source"], namespace)
            else:
                value = eval(request["source"], namespace)
            reply: dict[str, Any] = {"value": wire.dumps(value)}
        except Exception as error:
            reply = failure(error)
        print(json.dumps(reply), file=replies)


if __name__ == "__main__":
    main()
