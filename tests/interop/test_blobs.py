"""Blobs that one client writes, the other one reads; the golden vectors say what is stored."""

from __future__ import annotations

import datetime
import decimal
import json
import re
import uuid
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import Pair, Sql
from .sides import Here, Incumbent, IncumbentError

pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")

GOLDEN = Path(__file__).parent.parent / "golden" / "blob-vectors.json"
VECTORS: list[dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
WRITTEN = {v["name"]: v for v in VECTORS if v["mode"] == "write+read"}
ONLY_READ = {v["name"]: v for v in VECTORS if v["mode"] == "read" and "dims_bits" not in v}
COMPRESSED_PREFIX = b"ZL123\0"

IMPORTS = "import numpy, datetime, decimal, uuid, collections\nimport datajoint"
TABLE = """
lab = schema(name)
@lab
class Sample(dj.Manual):
    definition = '''
    sample_id : int
    ---
    value : longblob
    '''
"""


def plain(stored: bytes) -> bytes:
    """Decompress; any zlib stream is valid."""
    if stored.startswith(COMPRESSED_PREFIX):
        return zlib.decompress(stored[len(COMPRESSED_PREFIX) + 8 :])
    return stored


def stored(pair_sql: Sql, schema_name: str, sample_id: int) -> bytes:
    ((text,),) = pair_sql(
        f"SELECT HEX(value) FROM `{schema_name}`.`sample` WHERE sample_id = %s", sample_id
    )
    return bytes.fromhex(text)


@pytest.mark.parametrize("name", WRITTEN)
def test_written(pair: Pair, sql: Sql, name: str) -> None:
    """Both store the golden bytes, and both read the same from what either stored."""
    vector = WRITTEN[name]
    pair.run(IMPORTS + TABLE)
    for sample_id, side in enumerate((pair.maker, pair.user)):
        side.run(f"value = {vector['python']}\nSample.insert1((sample_id, value))", sample_id=sample_id)
    first, second = (stored(sql, pair.schema_name, sample_id) for sample_id in (0, 1))
    assert plain(first).hex() == vector["hex"]
    assert plain(second).hex() == vector["hex"]
    assert first.startswith(COMPRESSED_PREFIX) == second.startswith(COMPRESSED_PREFIX)


def read(side: Here | Incumbent, squeeze: bool) -> str:
    return side.text(f"(Sample & dict(sample_id=0)).fetch1('value', squeeze={squeeze})")


def read_by_both(
    here: Here, incumbent: Incumbent, schema_name: str, sql: Sql, vector: dict[str, Any], squeeze: bool
) -> tuple[str, str | IncumbentError]:
    for side in (incumbent, here):
        side.run(TABLE, name=schema_name)
    sql(f"INSERT INTO `{schema_name}`.`sample` VALUES (0, X'{vector['hex']}')")
    try:
        theirs: str | IncumbentError = read(incumbent, squeeze)
    except IncumbentError as error:
        theirs = error
    if isinstance(theirs, IncumbentError):
        return "", theirs
    return read(here, squeeze), theirs
