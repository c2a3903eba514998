"""Python values as JSON, without loss of type: how the tests and the other client talk.

Two values have the same text if and only if they are equal in value and in type, down to the
dtype of arrays, the sign of zero and the order of the items of dicts. So tests compare texts.

Runs on both sides, hence imports only what both have.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np

TAG = "$"


def dumps(value: Any) -> str:
    """Write a value as one line of text."""
    return json.dumps(_encode(value))


def loads(text: str) -> Any:
    """Read what `dumps` wrote."""
    return _decode(json.loads(text))


def _tagged(tag: str, value: Any, **more: Any) -> dict[str, Any]:
    return {TAG: tag, "value": value, **more}


def _encode(value: Any) -> Any:
    type_ = type(value)
    if value is None or type_ in (bool, int, float, str):
        return value
    if type_ is list:
        return [_encode(item) for item in value]
    if isinstance(value, Mapping):
        return _tagged("dict", [[_encode(key), _encode(item)] for key, item in value.items()])
    if type_ is tuple:
        return _tagged("tuple", [_encode(item) for item in value])
    if type_ in (set, frozenset):
        return _tagged(type_.__name__, sorted((_encode(item) for item in value), key=json.dumps))
    if type_ in (bytes, bytearray):
        return _tagged(type_.__name__, value.hex())
    if type_ is complex:
        return _tagged("complex", [value.real, value.imag])
    if type_ in (dt.datetime, dt.date, dt.time):
        return _tagged(type_.__name__, value.isoformat())
    if type_ is dt.timedelta:
        return _tagged("timedelta", [value.days, value.seconds, value.microseconds])
    if type_ in (Decimal, uuid.UUID):
        return _tagged(type_.__name__, str(value))
    if isinstance(value, np.ndarray):
        return _encode_array(value)
    if isinstance(value, np.generic):
        return _tagged("scalar", _encode_array(np.asarray(value)))
    # what neither side should give is shown in the comparison, and never decoded
    return _tagged("unknown", repr(value), type=f"{type_.__module__}.{type_.__qualname__}")


def _encode_array(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    data: Any
    if array.dtype.names is not None:
        data = {name: _encode(np.asarray(array[name])) for name in array.dtype.names}
        dtype = ""
    elif array.dtype == object:
        # not `ravel`: it fails for arrays in which arrays of the same shape are nested
        data = [_encode(array[index]) for index in np.ndindex(array.shape)]
        dtype = "object"
    else:
        dtype = array.dtype.str
        data = base64.b64encode(np.asarray(array).tobytes()).decode()
    return _tagged("array", data, dtype=dtype, shape=list(array.shape), type=type(array).__name__)


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    return _DECODERS[value[TAG]](value)


def _decode_array(tagged: dict[str, Any]) -> Any:
    shape, data = tuple(tagged["shape"]), tagged["value"]
    array: np.ndarray[Any, Any]
    if isinstance(data, dict):
        fields = {name: _decode(item) for name, item in data.items()}
        array = np.empty(shape, [(name, item.dtype) for name, item in fields.items()])
        for name, item in fields.items():
            array[name] = item
    elif isinstance(data, list):
        array = np.empty(shape, object)
        for index, item in zip(np.ndindex(shape), data, strict=True):
            array[index] = _decode(item)
    else:
        array = np.frombuffer(base64.b64decode(data), tagged["dtype"]).reshape(shape).copy()
    if tagged["type"] in ("MatCell", "MatStruct"):
        import datajoint

        view: Any = array.view(getattr(datajoint, tagged["type"]))
        return view
    return array.view(np.recarray) if tagged["type"] == "recarray" else array


def _refuse(tagged: dict[str, Any]) -> Any:
    raise TypeError(f"a value that has no text: {tagged['type']} {tagged['value']}")


_DECODERS: dict[str, Any] = {
    "dict": lambda t: {_decode(key): _decode(item) for key, item in t["value"]},
    "tuple": lambda t: tuple(_decode(item) for item in t["value"]),
    "set": lambda t: {_decode(item) for item in t["value"]},
    "frozenset": lambda t: frozenset(_decode(item) for item in t["value"]),
    "bytes": lambda t: bytes.fromhex(t["value"]),
    "bytearray": lambda t: bytearray.fromhex(t["value"]),
    "complex": lambda t: complex(*t["value"]),
    "datetime": lambda t: dt.datetime.fromisoformat(t["value"]),
    "date": lambda t: dt.date.fromisoformat(t["value"]),
    "time": lambda t: dt.time.fromisoformat(t["value"]),
    "timedelta": lambda t: dt.timedelta(*t["value"]),
    "Decimal": lambda t: Decimal(t["value"]),
    "UUID": lambda t: uuid.UUID(t["value"]),
    "array": _decode_array,
    "scalar": lambda t: _decode_array(t["value"])[()],
    "unknown": _refuse,
}
