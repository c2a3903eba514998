"""A program that populates until nothing is left: ``python -m faults.worker '{…}'``."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress

import datajoint as dj
from datajoint.errors import LostConnectionError

from . import pipeline


def main() -> None:
    given = json.loads(sys.argv[1])
    dj.config.update(given["settings"])
    connection = dj.Connection(**given["options"])
    tables = pipeline.declare(dj.Schema(given["schema"], connection=connection))
    make_kwargs = {"pause": given["pause"], "halt": given["halt"]}
    print("ready", flush=True)
    while True:
        tables.Result.populate(reserve_jobs=True, make_kwargs=make_kwargs, **given["populate"])
        with suppress(LostConnectionError):  # which is only to be told, other than in populate
            if not tables.Result.progress(display=False)[0]:
                return
        time.sleep(0.05)


if __name__ == "__main__":
    main()
