"""Blobs that one client writes, the other one reads; the golden vectors say what is stored."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import datajoint as dj

from .conftest import Pair, Sql
from .sides import Here, Incumbent, IncumbentError, Side

pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")

GOLDEN = Path(__file__).parent.parent / "golden" / "blob-vectors.json"
VECTORS: list[dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
# None is not serialized: it is NULL
WRITTEN = {v["name"]: v for v in VECTORS if v["mode"] == "write+read" and v["name"] != "none"}
ONLY_READ = {v["name"]: v for v in VECTORS if v["mode"] == "read" and v["dims_bits"] == 64}
MALFORMED = ["trailing_garbage", "unknown_code", "sparse", "bad_element_length"]
# name → how what this package reads compares with what the other client reads, squeezed
DIFFERENT: dict[str, Callable[[Any, Any], bool]] = {
    # the other client adds real and imaginary parts, which loses the sign of zero
    "matlab_3D_complex_array": np.array_equal,
    # and makes numbers beside strings strings
    "matlab_cell_mixed": lambda ours, theirs: (
        ours.tolist() == [1.0, "abc"] and theirs.tolist() == ["1.0", "abc"]
    ),
}
COMPRESSED = b"ZL123\0"

IMPORTS = "import numpy, datetime, decimal, uuid, collections\nimport datajoint\n"
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
    if stored.startswith(COMPRESSED):
        return zlib.decompress(stored[len(COMPRESSED) + 8 :])
    return stored


def stored(sql: Sql, schema_name: str, sample_id: int) -> bytes:
    ((text,),) = sql(
        f"SELECT HEX(value) FROM `{schema_name}`.`sample` WHERE sample_id = %s", sample_id
    )
    return bytes.fromhex(text)


@pytest.mark.parametrize("name", WRITTEN)
def test_written(pair: Pair, sql: Sql, name: str) -> None:
    """Both store the golden bytes, and read the same from what either stored."""
    vector = WRITTEN[name]
    pair.run(IMPORTS + TABLE)
    for sample_id, side in enumerate((pair.maker, pair.user)):
        side.run(f"Sample.insert1((sample_id, {vector['python']}))", sample_id=sample_id)
    first, second = (stored(sql, pair.schema_name, sample_id) for sample_id in (0, 1))
    assert plain(first).hex() == vector["hex"]
    assert plain(second).hex() == vector["hex"]
    assert first.startswith(COMPRESSED) == second.startswith(COMPRESSED)
    for sample_id in (0, 1):
        assert_read(pair.maker, pair.user, sample_id)


@pytest.mark.parametrize(
    "name", [n for n in ONLY_READ if n not in MALFORMED and n not in DIFFERENT]
)
def test_read(here: Here, incumbent: Incumbent, schema_name: str, sql: Sql, name: str) -> None:
    """Both read the same from blobs that MATLAB and old clients stored."""
    store(here, incumbent, schema_name, sql, name)
    assert_read(incumbent, here, 0)


@pytest.mark.parametrize("name", DIFFERENT)
def test_read_differently(
    here: Here, incumbent: Incumbent, schema_name: str, sql: Sql, name: str
) -> None:
    store(here, incumbent, schema_name, sql, name)
    expression = "(Sample & dict(sample_id=0)).fetch1('value', squeeze=True)"
    assert DIFFERENT[name](here.value(expression), incumbent.value(expression))


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(here: Here, incumbent: Incumbent, schema_name: str, sql: Sql, name: str) -> None:
    store(here, incumbent, schema_name, sql, name)
    for side in (here, incumbent):
        with pytest.raises((dj.DataJointError, IncumbentError)):
            side.text("Sample.fetch1('value')")


def store(here: Here, incumbent: Incumbent, schema_name: str, sql: Sql, name: str) -> None:
    for side in (incumbent, here):
        side.run(TABLE, name=schema_name)
    sql(f"INSERT INTO `{schema_name}`.`sample` VALUES (0, X'{ONLY_READ[name]['hex']}')")


def assert_read(first: Side, second: Side, sample_id: int) -> None:
    for squeeze in (False, True):
        expression = f"(Sample & dict(sample_id={sample_id})).fetch1('value', squeeze={squeeze})"
        texts = []
        for side in (first, second):
            # what the other client writes or is given, it cannot always read; this package can
            with contextlib.suppress(IncumbentError):
                texts.append(side.text(expression))
        assert texts
        assert texts[0] == texts[-1]
