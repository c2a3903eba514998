"""The other client beside this package, on one MariaDB server.

The other client, ``datajoint==0.14.10`` from PyPI, has a virtual environment of its own, since
both packages have the same name. ``DJ_TEST_INCUMBENT`` names its Python; without it, it is looked
for in the folder ``incumbent`` of the environment that runs the tests.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest

import datajoint as dj
from conftest import TARGETS, required_backends

from .sides import Here, Incumbent, Side

DEVELOPMENT_SERVER = "DJ_INTEROP_SERVER"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give the options of connections to the server that both clients use."""
    if DEVELOPMENT_SERVER in os.environ:
        host, port = os.environ[DEVELOPMENT_SERVER].split(":")
        return {"host": host, "port": int(port), "user": "root", "password": ""}
    return None
