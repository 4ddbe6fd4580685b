"""The instructions of FedScale's pickles: what each does to the tape. Nothing is imported, looked up or called.

Those that build trees have a step here, in all of pickle's protocols, and so have those that NumPy's float64 numbers
need; their three names stand for themselves. Another name than those, or a call of something else, is refused.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from traces.tape import Tape

Value: TypeAlias = "dict[int | str, Value] | list[Value] | int | float | str"

_MOST_KEPT = 1 << 20  # names that may be used again; FedScale keeps one for each model of phone
MOST_STACK = 1 << 20  # values on their way into a list or dictionary; Python writes a thousand at a time
_MOST_CONTAINERS = 1 << 21  # empty ones take one byte each here and 60 in memory
_MOST_MARKS = 8
_MOST_TEXT_BYTES = 1 << 10
_MOST_DIGITS = 40


@dataclass(frozen=True)
class _Name:
    """A name of NumPy, which stands for itself: it is never looked up."""

    text: str


class _Float64:
    """The type of a number of NumPy's."""


class _Nothing:
    """None, which only that type's description has."""


SCALAR, _DTYPE = _Name("scalar"), _Name("dtype")
_NAMES = {
    "numpy.core.multiarray scalar": SCALAR,
    "numpy._core.multiarray scalar": SCALAR,  # as NumPy 2 writes it
    "numpy dtype": _DTYPE,
}
_KEEPABLE = {str, _Name, _Float64}
FLOAT64, _NOTHING = _Float64(), _Nothing()
_FLOAT64_STATE = (3, "<", _NOTHING, _NOTHING, _NOTHING, -1, -1, 0)


@dataclass
class TreeTape(Tape):
    """A tape whose values are trees: lists and dictionaries stand in one place each, and only names are kept."""

    kept: dict[int, object] = field(default_factory=dict)
    puts: int = 0
    opened: int = 0

    def text(self, count: int) -> bytes:
        """Return so many bytes of a text."""
        return bytes(self.take(count, _MOST_TEXT_BYTES))

    def text_line(self, most: int = _MOST_TEXT_BYTES) -> bytes:
        """Return the text before the next end of line."""
        return self.line(most)

    def push(self, value: object) -> None:
        """Lay a value aside."""
        if len(self.stack) >= MOST_STACK:
            message = f"lays more than {MOST_STACK:,} values aside by byte {self.place:,}"
            raise ValueError(message)
        self.stack.append(value)

    def open(self, whole: dict[int | str, Value] | list[Value]) -> None:
        """Push a list or dictionary that is still empty."""
        self.opened += 1
        if self.opened > _MOST_CONTAINERS:
            message = f"has more than {_MOST_CONTAINERS:,} lists and dictionaries"
            raise ValueError(message)
        self.push(whole)

    def pair(self, values: list[object]) -> None:
        """Push a tuple, which holds no other."""
        if tuple in map(type, values):
            message = f"has a tuple in a tuple at byte {self.place:,}"
            raise ValueError(message)
        self.push(tuple(values))

    def keep(self, key: int) -> None:
        """Keep the last value for later, if it cannot be changed: a list that stands in two places is no tree."""
        value = self.last()
        self.puts += 1
        if type(value) in _KEEPABLE:
            if len(self.kept) >= _MOST_KEPT:
                message = f"keeps more than {_MOST_KEPT:,} names"
                raise ValueError(message)
            self.kept[key] = value
        elif key in self.kept:
            del self.kept[key]

    def again(self, key: int) -> None:
        """Push what was kept by this name."""
        if key not in self.kept:
            message = f"uses value {key} again at byte {self.place:,}, which is no text or was never kept"
            raise ValueError(message)
        self.push(self.kept[key])


def _push_name(tape: TreeTape, module: object, name: object) -> None:
    text = f"{module} {name}" if isinstance(module, str) and isinstance(name, str) else ""
    if text not in _NAMES:
        message = f"names {ascii(text)[:80]} at byte {tape.place:,}, which no trace needs; nothing was run"
        raise ValueError(message)
    tape.push(_NAMES[text])


def _announced(function: object, arguments: object) -> _Float64 | float:
    """Return what a call would make: the type float64, or a number of it."""
    match arguments:
        case ("f8", 0, 1) if function is _DTYPE:
            return FLOAT64
        case (_Float64(), bytes(value)) if function is SCALAR and len(value) == 8:
            number: float = struct.unpack("<d", value)[0]
            return number
    message = "calls something other than what makes a float64; nothing was run"
    raise ValueError(message)


def _whole(line: bytes) -> int:
    digits = line.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 19 or not -(2**63) <= int(line) < 2**63:
        message = f"has {line[:_MOST_DIGITS]!a} for a whole number of 64 bits"
        raise ValueError(message)
    return int(line)


def _decoded(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        message = f"has a text that is not {encoding}: {raw[:40]!a}"
        raise ValueError(message) from error


def _extend(tape: TreeTape, values: list[object]) -> None:
    """Append to the list below, or set in the dictionary below."""
    whole = tape.last()
    if not set(map(type, values)) <= {dict, list, int, float, str}:
        strange = next(value for value in values if type(value) not in {dict, list, int, float, str})
        message = f"has {word(strange)} in a list or dictionary at byte {tape.place:,}"
        raise ValueError(message)
    if isinstance(whole, list):
        whole.extend(values)
        return
    if not isinstance(whole, dict) or len(values) % 2:
        message = f"has values at byte {tape.place:,} that belong to no list or dictionary"
        raise ValueError(message)
    for key, value in zip(values[::2], values[1::2], strict=True):
        if type(key) is not int and type(key) is not str:
            message = f"has {word(key)} as a key at byte {tape.place:,}"
            raise ValueError(message)
        if key in whole:
            message = f"has the key {ascii(key)[:80]} twice at byte {tape.place:,}"
            raise ValueError(message)
        whole[key] = value


def word(value: object) -> str:
    """Return what a message calls a value's type."""
    if value is _NOTHING:
        return "None"
    return f"a {type(value).__name__.strip('_')}"


def _filled(tape: TreeTape, whole: dict[int | str, Value] | list[Value]) -> None:
    """Push a list or dictionary of what lies since the mark."""
    values = tape.since_mark()
    tape.open(whole)
    _extend(tape, values)


def _protocol(tape: TreeTape) -> None:
    if tape.place != 1 or tape.number(1) > 5:
        message = f"is of an unknown protocol (byte {tape.place:,})"
        raise ValueError(message)


def _whole_line(tape: TreeTape) -> None:
    line = tape.text_line()
    tape.push(line == b"01" if line in (b"00", b"01") else _whole(line))


def _float_line(tape: TreeTape) -> None:
    tape.push(float(_decoded(tape.text_line(_MOST_DIGITS), "ascii")))


def _quoted_line(tape: TreeTape) -> None:
    line = tape.text_line()
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[:1] != line[-1:] or b"\\" in line:
        message = f"has a text without plain quotes at byte {tape.place:,}"
        raise ValueError(message)
    tape.push(_decoded(line[1:-1], "ascii"))


def _built(tape: TreeTape) -> None:
    (state,) = tape.pop(1)
    if not (isinstance(tape.last(), _Float64) and state == _FLOAT64_STATE):
        message = f"gives a state to something that is no float64 at byte {tape.place:,}; nothing was run"
        raise ValueError(message)


def _text(size: int, encoding: str) -> Callable[[TreeTape], None]:
    """Return the step that pushes a text whose length stands before it in so many bytes."""
    return lambda tape: tape.push(_decoded(tape.text(tape.number(size)), encoding))


# By pickle's own codes: see the standard library's pickletools, which says what each does.
STEPS: dict[int, Callable[[TreeTape], object]] = {
    0x80: _protocol,
    0x95: lambda tape: tape.take(8, 8),  # how long the next frame is; what is in it says so itself
    ord("("): lambda tape: tape.mark(_MOST_MARKS),
    ord("}"): lambda tape: tape.open({}),
    ord("]"): lambda tape: tape.open([]),
    ord("e"): lambda tape: _extend(tape, tape.since_mark()),
    ord("u"): lambda tape: _extend(tape, tape.since_mark()),
    ord("a"): lambda tape: _extend(tape, tape.pop(1)),
    ord("s"): lambda tape: _extend(tape, tape.pop(2)),
    ord("l"): lambda tape: _filled(tape, []),
    ord("d"): lambda tape: _filled(tape, {}),
    # What is kept, and used again.
    ord("p"): lambda tape: tape.keep(_whole(tape.text_line())),
    ord("q"): lambda tape: tape.keep(tape.number(1)),
    ord("r"): lambda tape: tape.keep(tape.number(4)),
    0x94: lambda tape: tape.keep(tape.puts),
    ord("g"): lambda tape: tape.again(_whole(tape.text_line())),
    ord("h"): lambda tape: tape.again(tape.number(1)),
    ord("j"): lambda tape: tape.again(tape.number(4)),
    # Numbers.
    ord("I"): _whole_line,
    ord("L"): lambda tape: tape.push(_whole(tape.text_line().removesuffix(b"L"))),
    ord("F"): _float_line,
    ord("J"): lambda tape: tape.push(tape.number(4, signed=True)),
    ord("M"): lambda tape: tape.push(tape.number(2)),
    ord("K"): lambda tape: tape.push(tape.number(1)),
    0x8A: lambda tape: tape.push(int.from_bytes(tape.take(tape.number(1), 8), "little", signed=True)),
    ord("G"): lambda tape: tape.push(struct.unpack(">d", tape.take(8, 8))[0]),
    # Text.
    ord("S"): _quoted_line,
    ord("V"): lambda tape: tape.push(_decoded(tape.text_line(), "raw_unicode_escape")),
    ord("T"): _text(4, "ascii"),
    ord("U"): _text(1, "ascii"),
    ord("X"): _text(4, "utf-8"),
    0x8C: _text(1, "utf-8"),
    0x8D: _text(8, "utf-8"),
    # What a number of NumPy's needs.
    ord("c"): lambda tape: _push_name(tape, _decoded(tape.text_line(), "ascii"), _decoded(tape.text_line(), "ascii")),
    0x93: lambda tape: _push_name(tape, *tape.pop(2)),
    ord("C"): lambda tape: tape.push(tape.text(tape.number(1))),
    ord("N"): lambda tape: tape.push(_NOTHING),
    ord("t"): lambda tape: tape.pair(tape.since_mark()),
    0x85: lambda tape: tape.pair(tape.pop(1)),
    0x86: lambda tape: tape.pair(tape.pop(2)),
    0x87: lambda tape: tape.pair(tape.pop(3)),
    0x88: lambda tape: tape.push(True),
    0x89: lambda tape: tape.push(False),
    ord("R"): lambda tape: tape.push(_announced(*tape.pop(2))),
    ord("b"): _built,
}
