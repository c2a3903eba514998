"""Unpacks hostile blobs: ``make fuzz EXAMPLES=1000000``.

Each case is made from the seed and its number alone: from a golden vector, or from a payload that
follows the grammar of the format with lies here and there; then damaged, nested, and compressed.
A case fails if anything but a value or a `DataJointError` comes of it, a warning too; if it takes
longer than some seconds, or much more memory than it was allowed; or if the value that comes of it
cannot be packed other than for a `DataJointError`. Failing cases are written as files of hex
digits, whose names tell the seed and the number.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import secrets
import signal
import struct
import sys
import time
import tracemalloc
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib

import datajoint.blob as blob
from datajoint.errors import DataJointError

GOLDEN = Path(__file__).parents[1] / "golden" / "blob-vectors.json"
SECONDS = 10  # for one case
ADDRESS_SPACE = 2 << 30  # bytes, for one process
TRACED = 25  # one case in so many is watched by tracemalloc
HEADERS = (b"dj0\0", b"mYm\0")
EXTREMES = [
    *(0, 1, 2, 3, 7, 8, 64, 65, 255, 256, 1000, 65535, 65536, 65548, 65549, 10**6, 10**9),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**60, 2**61, 2**62),
    *(2**63 - 1, 2**63, 2**64 - 8, 2**64 - 1),
]
TYPE_IDS = [*range(17), *range(65536, 65550), 2**31, 2**32 - 1]
ITEM_SIZES = {3: 1, 4: 2, 6: 8, 7: 4, 8: 1, 9: 1, 10: 2, 11: 2, 12: 4, 13: 4}  # others have 8


# --- payloads by the grammar ------------------------------------------------------------------


class Grammar:
    """Payloads of every code, honest but for some of their numbers."""

    def __init__(self, rng: random.Random, dim: struct.Struct, lies: float) -> None:
        self.rng, self.dim, self.lies = rng, dim, lies
        self.makers: list[Callable[[int], bytes]] = [
            *(self.array, self.array, self.objects, self.records, self.cell, self.structs),
            *(self.sequence, self.sequence, self.mapping, self.text, self.integer, self.fixed),
        ]

    def payload(self, depth: int) -> bytes:
        """Make one with up to `depth` levels of payloads in it."""
        if self.rng.random() < self.lies / 2:
            return self.rng.randbytes(self.rng.randrange(12))
        return self.rng.choice(self.makers if depth else self.makers[-3:])(depth - 1)

    def number(self, honest: int) -> bytes:
        """Write a length, count or dimension."""
        if self.rng.random() < self.lies:
            honest = self.rng.choice([*EXTREMES, honest + 1, honest - 1])
        return self.dim.pack(honest & (1 << 8 * self.dim.size) - 1)

    def element(self, depth: int) -> bytes:
        """Make a payload after its length."""
        payload = self.payload(depth)
        return self.number(len(payload)) + payload

    def elements(self, count: int, depth: int) -> bytes:
        """Make several."""
        return b"".join(self.element(depth) for _ in range(count))

    def shape(self) -> tuple[bytes, int]:
        """Make a shape; give the number of elements, too."""
        dims = self.rng.choices([0, 1, 2, 3], [1, 6, 3, 2], k=self.rng.choice([0, 1, 1, 2, 2, 3]))
        return self.number(len(dims)) + b"".join(map(self.number, dims)), int(np.prod(dims))

    def array(self, _depth: int = 0) -> bytes:
        shape, count = self.shape()
        return b"A" + shape + self.contents(count)

    def contents(self, count: int) -> bytes:
        type_id = self.rng.choice(TYPE_IDS)
        is_complex = self.rng.choice([0, 0, 0, 1, 2**32 - 1])
        size = ITEM_SIZES.get(type_id, 8) * count * (2 if is_complex else 1)
        return struct.pack("<II", type_id, is_complex) + self.rng.randbytes(size)

    def objects(self, depth: int) -> bytes:
        shape, count = self.shape()
        return b"A" + shape + struct.pack("<II", 5, 0) + self.elements(count, depth)

    def names(self) -> tuple[bytes, int]:
        names = self.rng.sample(
            ["a", "b", "é", "", "x" * 300, "f0", "dtype"], self.rng.randrange(4)
        )
        count = self.rng.choice(EXTREMES) if self.rng.random() < self.lies else len(names)
        return struct.pack("<I", count & 0xFFFFFFFF) + "".join(n + "\0" for n in names).encode(), (
            len(names)
        )

    def records(self, depth: int) -> bytes:
        names, count = self.names()
        shape, size = self.shape()
        fields = [
            self.records(depth - 1)
            if depth > 0 and self.rng.random() < 0.2
            else b"A" + shape + self.contents(size)
            for _ in range(count)
        ]
        return b"F" + names + b"".join(fields)

    def cell(self, depth: int) -> bytes:
        shape, count = self.shape()
        if self.rng.random() < 0.3:  # of one string each, perhaps
            text = b"A" + self.dim.pack(2) + self.dim.pack(1) + self.number(3)
            text += struct.pack("<II", 4, 0) + self.rng.choice(
                [b"a\0b\0c\0", self.rng.randbytes(6)]
            )
            return b"C" + shape + (self.number(len(text)) + text) * count
        return b"C" + shape + self.elements(count, depth)

    def structs(self, depth: int) -> bytes:
        shape, size = self.shape()
        names, count = self.names()
        return b"S" + shape + names + self.elements(size * count, depth)

    def sequence(self, depth: int) -> bytes:
        count = self.rng.randrange(4)
        return (
            self.rng.choice([b"\1", b"\2", b"\3"])
            + self.number(count)
            + (self.elements(count, depth))
        )

    def mapping(self, depth: int) -> bytes:
        count = self.rng.randrange(3)
        pairs = [self.element(min(depth, self.rng.randrange(3))) + self.element(depth)] * count
        return b"\4" + self.number(count) + b"".join(pairs)

    def text(self, _depth: int) -> bytes:
        rng = self.rng
        data = rng.choice([b"", b"abc", "é€😀".encode(), b"1e999999999", b"-0.1", b"NaN", b"sNaN"])
        if rng.random() < 0.2:
            data = rng.randbytes(rng.randrange(20))
        return rng.choice([b"\5", b"\6", b"d"]) + self.number(len(data)) + data

    def integer(self, _depth: int) -> bytes:
        data = self.rng.randbytes(self.rng.choice([0, 1, 8, 9, 300]))
        size = self.rng.choice([len(data)] * 9 + [65535])
        return b"\x0a" + struct.pack("<H", size) + data

    def fixed(self, _depth: int) -> bytes:
        day = self.rng.choice([-1, 20200131, 20201331, 99999999, -(2**31), 10101, 0])
        clock = self.rng.choice([-1, 0, 235959999999, 240000000000, -(2**63), 2**63 - 1])
        code, size = self.rng.choice([(b"\x0b", 1), (b"\x0c", 16), (b"\x0d", 8), (b"u", 16)])
        return self.rng.choice(
            [b"\xff", b"P", b"t" + struct.pack("<iq", day, clock), code + self.rng.randbytes(size)]
        )


# --- damage -----------------------------------------------------------------------------------


def damaged(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Damage a blob in one place; `other` is another one."""
    at = rng.randrange(len(data) + 1)
    to = min(at + rng.choice([1, 2, 8, 9, 17, 40]), len(data))
    kind = rng.randrange(9)
    if kind == 0:  # truncated
        return data[:at]
    if kind == 1:  # one bit
        flipped = bytes([data[at] ^ 1 << rng.randrange(8)]) if at < len(data) else b""
        return data[:at] + flipped + data[at + 1 :]
    if kind == 2:  # left out
        return data[:at] + data[to:]
    if kind == 3:  # repeated
        return data[:to] + data[at:to] * rng.choice([1, 1, 2, 100]) + data[to:]
    if kind == 4:  # spliced
        return data[:at] + other[rng.randrange(len(other) + 1) :]
    if kind == 5:  # put in
        return data[:at] + rng.randbytes(rng.randrange(9)) + data[at:]
    if kind == 6:  # another code
        return (
            data[:at]
            + rng.choice(b"AFCSP\xff\1\2\3\4\5\6\x0a\x0b\x0c\x0ddtu").to_bytes(1, "little")
            + data[at + 1 :]
        )
    return lying(rng, data)


def lying(rng: random.Random, data: bytes) -> bytes:
    """Overwrite what looks like a length, count or dimension, being small."""
    size = rng.choice([8, 8, 4])
    places = [at for at in range(4, len(data) - size + 1) if not any(data[at + 2 : at + size])] or [
        0
    ]
    at = rng.choice(places)
    number = rng.choice(
        [*EXTREMES, len(data), len(data) - at, data[at : at + 1][0] + 1 if data[at:] else 1]
    )
    return data[:at] + (number & (1 << 8 * size) - 1).to_bytes(size, "little") + data[at + size :]


def nested(rng: random.Random, payload: bytes, dim: struct.Struct) -> bytes:
    """Put a payload into many others, with honest lengths."""
    levels = rng.choice([3, 30, 300, 900, 1000, 3000, 10_000])
    wraps = rng.sample(range(6), rng.choice([1, 1, 2, 6]))
    one = dim.pack(1)
    parts, size = [payload], len(payload)
    for _ in range(levels):
        length = dim.pack(size & (1 << 8 * dim.size) - 1)
        part = (
            b"\2" + one + length,
            rng.choice([b"\1", b"\3"]) + one + length,
            b"\4" + one + dim.pack(1) + b"\xff" + length,
            b"C" + one + one + length,
            b"A" + one + one + struct.pack("<II", 5, 0) + length,
            b"F\1\0\0\0a\0",
        )[rng.choice(wraps)]
        parts.append(part)
        size += len(part)
    return b"".join(reversed(parts))


def bomb(rng: random.Random, dim: struct.Struct) -> bytes:
    """Make a large payload that compresses to almost nothing."""
    count = rng.choice([1_000, 30_000, 300_000])
    item = rng.choice([b"\xff", b"\3" + dim.pack(0), b"\2" + dim.pack(0), b"\x0a\1\0\1"])
    shape = dim.pack(1) + dim.pack(count)
    return rng.choice(
        [
            b"A" + shape + struct.pack("<II", 6, 0) + bytes(8 * count),
            b"A" + shape + struct.pack("<II", 9, 1) + bytes(2 * count),
            b"A" + shape + struct.pack("<II", 4, 0) + bytes(2 * count),
            b"\2" + dim.pack(count) + (dim.pack(len(item)) + item) * count,
            b"C" + shape + (dim.pack(len(item)) + item) * count,
            b"F" + struct.pack("<I", count) + b"".join(b"%d\0" % n for n in range(count)),
            b"\6" + dim.pack(count) + bytes(count),
        ]
    )


def compressed(rng: random.Random, data: bytes, dim: struct.Struct) -> bytes:
    """Compress a blob, perhaps damaged, perhaps with a lie about its size."""
    size = rng.choice([len(data)] * 20 + [len(data) + 1, len(data) - 1, *rng.sample(EXTREMES, 2)])
    stream = rng.choice([zlib.compress, isal_zlib.compress])(data)
    if rng.random() < 0.2:
        stream = damaged(rng, stream, stream)
    return b"ZL123\0" + dim.pack(size & (1 << 8 * dim.size) - 1) + stream


# --- cases ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """What is unpacked, and how."""

    data: bytes
    squeeze: bool
    dims32: bool
    limit: int
    recursion: int


def golden() -> list[bytes]:
    """Give the golden vectors, as they are stored and as they are before they are compressed."""
    vectors: list[dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    texts = {v[key] for v in vectors for key in ("hex", "stored_hex") if key in v}
    return [bytes.fromhex(text) for text in sorted(texts) if len(text) < 40_000]


VECTORS = golden()


def make(seed: int, number: int) -> Case:
    """Make a case."""
    rng = random.Random(seed << 48 | number)
    dims32 = rng.random() < 0.2
    dim = struct.Struct("<I" if dims32 else "<Q")
    lies = rng.choice([0, 0, 0.02, 0.2])
    kind = rng.random()
    if kind < 0.4 and not dims32:
        data = rng.choice(VECTORS)
    elif kind < 0.99:
        data = rng.choice(HEADERS) + Grammar(rng, dim, lies).payload(rng.randrange(5))
    else:
        data = rng.choice(HEADERS) + bomb(rng, dim)
    if rng.random() < 0.02:
        data = data[:4] + nested(rng, data[4:], dim)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 4]) if len(data) < 100_000 else 0):
        spared = rng.choice([4] * 19 + [0])  # the header
        data = data[:spared] + damaged(rng, data[spared:], rng.choice(VECTORS))
    for _ in range(rng.choice([0] * 19 + [1] * 10 + [2])):
        data = compressed(rng, data, dim)
    return Case(
        data,
        squeeze=rng.random() < 0.4,
        dims32=dims32 or rng.random() < 0.02,
        limit=rng.choice([1_000, 10_000, 100_000, 1_000_000, 10_000_000]),
        recursion=rng.choice([1000] * 9 + [20_000]),
    )


class Failure(Exception):
    """What must not come of a case."""


class Hang(BaseException):
    """A case takes too long; it is no Exception, so that nothing handles it."""


@contextmanager
def circumstances(case: Case) -> Iterator[None]:
    """Set what is set for the whole process, and have an alarm."""

    def ring(*_: Any) -> None:
        raise Hang(f"more than {SECONDS} seconds")

    recursion = sys.getrecursionlimit()
    handler = signal.signal(signal.SIGALRM, ring)
    blob.use_32bit_dims = case.dims32
    sys.setrecursionlimit(case.recursion)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.setrecursionlimit(recursion)
        blob.use_32bit_dims = False
        signal.signal(signal.SIGALRM, handler)


def run(case: Case) -> bool:
    """Unpack a case and pack the value again; tell if it was accepted."""
    try:
        value = blob.unpack(case.data, case.squeeze, limit=case.limit)
    except DataJointError as error:
        if isinstance(error.__cause__, MemoryError):
            raise Failure("too much memory, in spite of the limit") from error
        return False
    with suppress(DataJointError):
        blob.pack(value)
    return True


def check(case: Case, traced: bool) -> bool:
    """Run a case; raise what must not be."""
    with circumstances(case), warnings.catch_warnings():
        warnings.simplefilter("error")
        if not traced:
            return run(case)
        tracemalloc.start()
        try:
            accepted = run(case)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        if peak > 4 * case.limit + 4 * len(case.data) + 1_000_000:
            raise Failure(f"{peak} bytes of memory, with a limit of {case.limit}")
        return accepted


# --- many of them -----------------------------------------------------------------------------


def work(seed: int, numbers: range, current: Any, results: Any, folder: Path) -> None:
    """Check cases, in a process of its own; say in `current` which one it is at."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    counts: Counter[str] = Counter()
    for number in numbers:
        current.value = number
        # its signal ends the process, also from within NumPy or zlib
        signal.setitimer(signal.ITIMER_PROF, 3 * SECONDS)
        case = make(seed, number)
        try:
            accepted = check(case, traced=number % TRACED == 0)
        except (Exception, Hang) as error:
            counts["failed"] += 1
            report(case, f"{seed}-{number}", f"{type(error).__name__}: {error}", folder)
        else:
            counts["accepted" if accepted else "refused"] += 1
    results.put(counts)


def report(case: Case, name: str, reason: str, folder: Path) -> None:
    """Tell of a failing case, and write it down."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.hex").write_text(case.data.hex())
    print(f"case {name} fails: {reason[:300]}", flush=True)
    print(
        f"    {len(case.data)} bytes, squeeze={case.squeeze}, dims32={case.dims32}, "
        f"limit={case.limit}, recursion={case.recursion}",
        flush=True,
    )


def main() -> None:
    """Check as many cases as are asked for; exit with 1 if any fails."""
    parser = argparse.ArgumentParser(description="Unpack hostile blobs.")
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=None, help="of a run that is to be repeated")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"))
    options = parser.parse_args()
    seed = secrets.randbits(32) if options.seed is None else options.seed
    print(f"{options.cases} cases, seed {seed}", flush=True)
    context, start = multiprocessing.get_context("spawn"), time.monotonic()
    results, counts = context.SimpleQueue(), Counter()
    workers = []
    for first in range(options.processes):
        current = context.Value("q", first)
        numbers = range(first, options.cases, options.processes)
        arguments = (seed, numbers, current, results, options.failures)
        workers.append((context.Process(target=work, args=arguments), current))
        workers[-1][0].start()
    for process, current in workers:
        process.join()
        if process.exitcode:
            counts["failed"] += 1
            name = f"{seed}-{current.value}"
            report(
                make(seed, current.value), name, f"exit code {process.exitcode}", options.failures
            )
        else:
            counts += results.get()
    print(
        f"{counts['accepted']} accepted, {counts['refused']} refused, {counts['failed']} failed, "
        f"{time.monotonic() - start:.0f} s"
    )
    sys.exit(1 if counts["failed"] else 0)


if __name__ == "__main__":
    main()
