"""The pickles of CIFAR's python batches, read as data: nothing is imported, looked up or called.

Only what Python 2 wrote for a dictionary of byte strings, whole numbers, lists and uint8 arrays is understood; every
other instruction is refused. Arrays are views of the file.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from traces.tape import Tape

Value = bytes | int | list["Value"] | NDArray[np.uint8] | None

_MOST_MEMO = 1 << 20
_MOST_DIMENSIONS = 4
_MOST_MARKS = 8
_MOST_NAME_BYTES = 200


@dataclass(frozen=True)
class _Name:
    """A name of a module, which stands for itself: it is never looked up."""

    text: bytes


@dataclass(eq=False)
class _Array:
    """An array of uint8, which gets its values after it was announced."""

    values: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class _Uint8:
    """The type of the arrays' values."""


_RECONSTRUCT = _Name(b"numpy.core.multiarray _reconstruct")
_NDARRAY = _Name(b"numpy ndarray")
_DTYPE = _Name(b"numpy dtype")
_NAMES = {name.text: name for name in (_RECONSTRUCT, _NDARRAY, _DTYPE)}


@dataclass
class _Tape(Tape):
    memo: dict[int, object] = field(default_factory=dict)

    def text(self, count: int) -> memoryview:
        return memoryview(self.take(count, len(self.raw)))


def read_pickled(raw: bytes) -> dict[bytes, Value]:
    """Return the dictionary in a pickle of CIFAR's kind.

    Raises ValueError for anything else: other instructions, other names than the three of a numpy array, damage.
    """
    tape = _Tape(memoryview(raw))
    while (code := bytes(tape.take(1, 1))) != b".":
        _step(tape, code)
    if not tape.is_read():
        message = f"its end at byte {tape.place:,} of {len(raw):,} is not one value"
        raise ValueError(message)
    found = tape.stack[0]
    if not isinstance(found, dict):
        message = f"holds a {type(found).__name__}, not a dictionary"
        raise ValueError(message)
    return {key: _finished(value) for key, value in found.items()}


def _step(tape: _Tape, code: bytes) -> None:
    match code:
        case b"\x80":
            if (version := tape.number(1)) != 2:
                message = f"pickle protocol {version}; the official files have 2"
                raise ValueError(message)
        case b"(":
            tape.mark(_MOST_MARKS)
        case b"}":
            tape.stack.append({})
        case b"]":
            tape.stack.append([])
        case b"N":
            tape.stack.append(None)
        case b"\x88" | b"\x89":
            tape.stack.append(code == b"\x88")
        case b"K":
            tape.stack.append(tape.number(1))
        case b"M":
            tape.stack.append(tape.number(2))
        case b"J":
            tape.stack.append(tape.number(4, signed=True))
        case b"U":
            tape.stack.append(tape.text(tape.number(1)))
        case b"T":
            tape.stack.append(tape.text(tape.number(4, signed=True)))
        case b"q" | b"r":
            key = tape.number(1 if code == b"q" else 4)
            if len(tape.memo) >= _MOST_MEMO:
                message = f"more than {_MOST_MEMO:,} values are kept"
                raise ValueError(message)
            tape.memo[key] = tape.last()
        case b"h" | b"j":
            key = tape.number(1 if code == b"h" else 4)
            if key not in tape.memo:
                message = f"value {key} is used at byte {tape.place:,} and was never kept"
                raise ValueError(message)
            tape.stack.append(tape.memo[key])
        case b"t":
            tape.stack.append(tuple(tape.since_mark()))
        case b"\x85" | b"\x86" | b"\x87":
            tape.stack.append(tuple(tape.pop(code[0] - 0x84)))
        case b"e" | b"u":
            _extend(tape, tape.since_mark())
        case b"a" | b"s":
            _extend(tape, tape.pop(1 if code == b"a" else 2))
        case b"c":
            text = tape.line(_MOST_NAME_BYTES) + b" " + tape.line(_MOST_NAME_BYTES)
            if text not in _NAMES:
                message = f"names {ascii(text.decode('latin-1'))[:80]}, which is none of CIFAR's; nothing was run"
                raise ValueError(message)
            tape.stack.append(_NAMES[text])
        case b"R":
            tape.stack.append(_announced(*tape.pop(2)))
        case b"b":
            (state,) = tape.pop(1)
            _fill(tape.last(), state)
        case _:
            message = f"instruction {code.hex()} at byte {tape.place - 1:,} is none of CIFAR's; nothing was run"
            raise ValueError(message)


def _extend(tape: _Tape, values: list[object]) -> None:
    """Append to the list below, or set in the dictionary below."""
    whole = tape.last()
    if isinstance(whole, list):
        whole.extend(values)
        return
    if not isinstance(whole, dict) or len(values) % 2:
        message = f"values at byte {tape.place:,} belong to no list or dictionary"
        raise ValueError(message)
    for key, value in zip(values[::2], values[1::2], strict=True):
        if not isinstance(key, memoryview):
            message = f"a key at byte {tape.place:,} is no byte string"
            raise ValueError(message)
        whole[bytes(key)] = value


def _announced(function: object, arguments: object) -> _Array | _Uint8:
    """Return the array or type that a call would make."""
    if function is _RECONSTRUCT and arguments == (_NDARRAY, (0,), b"b"):
        return _Array()
    if function is _DTYPE and arguments == (b"u1", 0, 1):
        return _Uint8()
    message = "makes something that is neither an array nor the type uint8; nothing was run"
    raise ValueError(message)


def _fill(whole: object, state: object) -> None:
    """Give an array its shape and values; a type has nothing to be given."""
    if isinstance(whole, _Uint8) and isinstance(state, tuple):
        return
    if isinstance(whole, _Array) and isinstance(state, tuple) and len(state) == 5:
        _, shape, kind, by_columns, values = state
        if (
            isinstance(shape, tuple)
            and 1 <= len(shape) <= _MOST_DIMENSIONS
            and all(type(size) is int and size >= 0 for size in shape)
            and isinstance(kind, _Uint8)
            and by_columns is False
            and isinstance(values, memoryview)
            and math.prod(shape) == len(values)
        ):
            whole.values = np.frombuffer(values, dtype=np.uint8).reshape(shape)
            return
    message = "gives values to something that is no array of uint8 of that size"
    raise ValueError(message)


def _finished(value: object) -> Value:
    """Return what a dictionary's value is, one level of lists deep, which is all that CIFAR has."""
    if isinstance(value, list):
        return [_single(each) for each in value]
    return _single(value)


def _single(value: object) -> Value:
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, _Array) and value.values is not None:
        return value.values
    if value is None or type(value) is int:
        return value
    message = f"holds a {type(value).__name__.strip('_')} where CIFAR has none"
    raise ValueError(message)
