"""Blobs made by hand, for the tests of the serializer."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np


def u64(*numbers: int) -> bytes:
    """Encode lengths, counts and dimensions."""
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def element(payload: bytes) -> bytes:
    """Put its length before a payload."""
    return u64(len(payload)) + payload


def array(shape: tuple[int, ...], type_id: int, data: bytes, is_complex: int = 0) -> bytes:
    """Encode an array by hand."""
    return b"A" + u64(len(shape), *shape) + struct.pack("<II", type_id, is_complex) + data


def char(text: str) -> bytes:
    """Encode a MATLAB string by hand."""
    data = text.encode("utf-16-le", "surrogatepass")
    return array((1, len(data) // 2), 4, data)


def cell(shape: tuple[int, ...], *payloads: bytes) -> bytes:
    """Encode a MATLAB cell by hand."""
    return b"mYm\0C" + u64(len(shape), *shape) + b"".join(map(element, payloads))


def objects(*items: Any, shape: tuple[int, ...] | None = None) -> np.ndarray[Any, Any]:
    """Make an array of objects."""
    return np.fromiter(items, object, len(items)).reshape(shape or len(items), order="F")


def peak_memory(act: Callable[[], Any]) -> tuple[Any, int]:
    """Tell what comes out, and the most memory that was taken on the way."""
    tracemalloc.start()
    try:
        return act(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
