"""FedScale's pickles, read as data: nothing is imported, looked up or called, and Python's pickle has no part in it.

Understood is what dictionaries of dictionaries, lists, numbers and text need, in all of pickle's protocols, and NumPy's
float64 numbers, which the capacity file is made of; their three names stand for themselves. Everything else is refused.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

Value: TypeAlias = "dict[int | str, Value] | list[Value] | int | float | str"

# A number of NumPy's as Python writes it once both names are kept: ten instructions, three of which keep something.
_NUMBER = re.compile(rb"h(.)h(.)C\x08(.{8})r(.{4})\x86r(.{4})Rr(.{4})", re.DOTALL)
_MOST_BYTES = 64 << 20  # the largest of FedScale's files has 39 MB
_MOST_KEPT = 1 << 20  # names that may be used again; FedScale keeps one for each model of phone
_MOST_STACK = 1 << 20  # values on their way into a list or dictionary; Python writes a thousand at a time
_MOST_CONTAINERS = 1 << 21  # empty ones take one byte each here and 60 in memory
_MOST_MARKS = 8
_MOST_DEPTH = 4  # a dictionary of dictionaries of lists of numbers
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


_SCALAR, _DTYPE = _Name("scalar"), _Name("dtype")
_NAMES = {
    "numpy.core.multiarray scalar": _SCALAR,
    "numpy._core.multiarray scalar": _SCALAR,  # as NumPy 2 writes it
    "numpy dtype": _DTYPE,
}
_DOUBLE = struct.Struct("<d")
_KEEPABLE = {str, _Name, _Float64}
_FLOAT64, _NOTHING = _Float64(), _Nothing()
_FLOAT64_STATE = (3, "<", _NOTHING, _NOTHING, _NOTHING, -1, -1, 0)


@dataclass
class _Tape:
    raw: bytes
    place: int = 0
    stack: list[object] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    kept: dict[int, object] = field(default_factory=dict)
    puts: int = 0
    opened: int = 0

    def take(self, count: int, most: int = _MOST_TEXT_BYTES) -> bytes:
        if not 0 <= count <= min(most, len(self.raw) - self.place):
            message = f"announces {count:,} bytes at byte {self.place:,} of {len(self.raw):,}, where {most:,} is most"
            raise ValueError(message)
        self.place += count
        return self.raw[self.place - count : self.place]

    def line(self, most: int = _MOST_TEXT_BYTES) -> bytes:
        end = self.raw.find(b"\n", self.place, self.place + most)
        if end < 0:
            message = f"has no end of line within {most:,} bytes of byte {self.place:,}"
            raise ValueError(message)
        piece = self.raw[self.place : end]
        self.place = end + 1
        return piece

    def number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def push(self, value: object) -> None:
        if len(self.stack) >= _MOST_STACK:
            message = f"lays more than {_MOST_STACK:,} values aside by byte {self.place:,}"
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

    def pop(self, count: int) -> list[object]:
        # Nothing below the last mark may be taken.
        if len(self.stack) - (self.marks[-1] if self.marks else 0) < count:
            message = f"has too few values at byte {self.place:,}"
            raise ValueError(message)
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def since_mark(self) -> list[object]:
        if not self.marks:
            message = f"has no mark at byte {self.place:,}"
            raise ValueError(message)
        begin = self.marks.pop()
        taken = self.stack[begin:]
        del self.stack[begin:]
        return taken

    def last(self) -> object:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            message = f"has no value at byte {self.place:,}"
            raise ValueError(message)
        return self.stack[-1]

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
        if key not in self.kept:
            message = f"uses value {key} again at byte {self.place:,}, which is no text or was never kept"
            raise ValueError(message)
        self.push(self.kept[key])


def _push_name(tape: _Tape, module: object, name: object) -> None:
    text = f"{module} {name}" if isinstance(module, str) and isinstance(name, str) else ""
    if text not in _NAMES:
        message = f"names {ascii(text)[:80]} at byte {tape.place:,}, which no trace needs; nothing was run"
        raise ValueError(message)
    tape.push(_NAMES[text])


def _announced(function: object, arguments: object) -> _Float64 | float:
    """Return what a call would make: the type float64, or a number of it."""
    match arguments:
        case ("f8", 0, 1) if function is _DTYPE:
            return _FLOAT64
        case (_Float64(), bytes(value)) if function is _SCALAR and len(value) == 8:
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


def _extend(tape: _Tape, values: list[object]) -> None:
    """Append to the list below, or set in the dictionary below."""
    whole = tape.last()
    if not set(map(type, values)) <= {dict, list, int, float, str}:
        strange = next(value for value in values if type(value) not in {dict, list, int, float, str})
        message = f"has {_word(strange)} in a list or dictionary at byte {tape.place:,}"
        raise ValueError(message)
    if isinstance(whole, list):
        whole.extend(values)
        return
    if not isinstance(whole, dict) or len(values) % 2:
        message = f"has values at byte {tape.place:,} that belong to no list or dictionary"
        raise ValueError(message)
    for key, value in zip(values[::2], values[1::2], strict=True):
        if type(key) is not int and type(key) is not str:
            message = f"has {_word(key)} as a key at byte {tape.place:,}"
            raise ValueError(message)
        if key in whole:
            message = f"has the key {ascii(key)[:80]} twice at byte {tape.place:,}"
            raise ValueError(message)
        whole[key] = value


def _word(value: object) -> str:
    if value is _NOTHING:
        return "None"
    return f"a {type(value).__name__.strip('_')}"


def _check_depth(whole: dict[int | str, Value]) -> None:
    """Refuse deep trees, level by level; each list and dictionary stands in one place, so this ends."""
    level: list[object] = [whole]
    for _ in range(_MOST_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)  # type: ignore[attr-defined]
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return
    message = f"is nested deeper than {_MOST_DEPTH} levels"
    raise ValueError(message)


def _mark(tape: _Tape) -> None:
    if len(tape.marks) >= _MOST_MARKS:
        message = f"is nested deeper than {_MOST_MARKS} at byte {tape.place:,}"
        raise ValueError(message)
    tape.marks.append(len(tape.stack))


def _filled(tape: _Tape, whole: dict[int | str, Value] | list[Value]) -> None:
    """Push a list or dictionary of what lies since the mark."""
    values = tape.since_mark()
    tape.open(whole)
    _extend(tape, values)


def _protocol(tape: _Tape) -> None:
    if tape.place != 1 or tape.number(1) > 5:
        message = f"is of an unknown protocol (byte {tape.place:,})"
        raise ValueError(message)


def _whole_line(tape: _Tape) -> None:
    line = tape.line()
    tape.push(line == b"01" if line in (b"00", b"01") else _whole(line))


def _float_line(tape: _Tape) -> None:
    tape.push(float(_decoded(tape.line(_MOST_DIGITS), "ascii")))


def _quoted_line(tape: _Tape) -> None:
    line = tape.line()
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[:1] != line[-1:] or b"\\" in line:
        message = f"has a text without plain quotes at byte {tape.place:,}"
        raise ValueError(message)
    tape.push(_decoded(line[1:-1], "ascii"))


def _built(tape: _Tape) -> None:
    (state,) = tape.pop(1)
    if not (isinstance(tape.last(), _Float64) and state == _FLOAT64_STATE):
        message = f"gives a state to something that is no float64 at byte {tape.place:,}; nothing was run"
        raise ValueError(message)


def _text(size: int, encoding: str) -> Callable[[_Tape], None]:
    """Return the step that pushes a text whose length stands before it in so many bytes."""
    return lambda tape: tape.push(_decoded(tape.take(tape.number(size)), encoding))


# By pickle's own codes: see the standard library's pickletools, which says what each does.
_STEPS: dict[int, Callable[[_Tape], object]] = {
    0x80: _protocol,
    0x95: lambda tape: tape.take(8),  # how long the next frame is; what is in it says so itself
    ord("("): _mark,
    ord("}"): lambda tape: tape.open({}),
    ord("]"): lambda tape: tape.open([]),
    ord("e"): lambda tape: _extend(tape, tape.since_mark()),
    ord("u"): lambda tape: _extend(tape, tape.since_mark()),
    ord("a"): lambda tape: _extend(tape, tape.pop(1)),
    ord("s"): lambda tape: _extend(tape, tape.pop(2)),
    ord("l"): lambda tape: _filled(tape, []),
    ord("d"): lambda tape: _filled(tape, {}),
    # What is kept, and used again.
    ord("p"): lambda tape: tape.keep(_whole(tape.line())),
    ord("q"): lambda tape: tape.keep(tape.number(1)),
    ord("r"): lambda tape: tape.keep(tape.number(4)),
    0x94: lambda tape: tape.keep(tape.puts),
    ord("g"): lambda tape: tape.again(_whole(tape.line())),
    ord("h"): lambda tape: tape.again(tape.number(1)),
    ord("j"): lambda tape: tape.again(tape.number(4)),
    # Numbers.
    ord("I"): _whole_line,
    ord("L"): lambda tape: tape.push(_whole(tape.line().removesuffix(b"L"))),
    ord("F"): _float_line,
    ord("J"): lambda tape: tape.push(tape.number(4, signed=True)),
    ord("M"): lambda tape: tape.push(tape.number(2)),
    ord("K"): lambda tape: tape.push(tape.number(1)),
    0x8A: lambda tape: tape.push(int.from_bytes(tape.take(tape.number(1), 8), "little", signed=True)),
    ord("G"): lambda tape: tape.push(struct.unpack(">d", tape.take(8))[0]),
    # Text.
    ord("S"): _quoted_line,
    ord("V"): lambda tape: tape.push(_decoded(tape.line(), "raw_unicode_escape")),
    ord("T"): _text(4, "ascii"),
    ord("U"): _text(1, "ascii"),
    ord("X"): _text(4, "utf-8"),
    0x8C: _text(1, "utf-8"),
    0x8D: _text(8, "utf-8"),
    # What a number of NumPy's needs.
    ord("c"): lambda tape: _push_name(tape, _decoded(tape.line(), "ascii"), _decoded(tape.line(), "ascii")),
    0x93: lambda tape: _push_name(tape, *tape.pop(2)),
    ord("C"): lambda tape: tape.push(tape.take(tape.number(1))),
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


def _whole_number(tape: _Tape, place: int) -> bool:
    """Push a number of NumPy's that is written in the usual ten instructions; False, and nothing done, if it is not.

    Its slow twin is going through them one by one, which is what happens without this.
    """
    found = _NUMBER.match(tape.raw, place)
    if found is None or len(tape.stack) + 3 > _MOST_STACK:
        return False
    scalar, kind, value, *keys = found.groups()
    kept = tape.kept
    if kept.get(scalar[0]) is not _SCALAR or kept.get(kind[0]) is not _FLOAT64:
        return False
    for key in keys:  # what was kept by these names would be forgotten
        if int.from_bytes(key, "little") in kept:
            return False
    tape.stack.append(_DOUBLE.unpack(value)[0])
    tape.puts += 3
    tape.place = found.end()
    return True


def read_pickled(raw: bytes) -> dict[int | str, Value]:
    """Return the dictionary in a pickle of FedScale's kind; a tree, at most four levels deep.

    Raises ValueError for anything else: more than 64 MiB, other instructions, other names than NumPy's two, the same
    key twice, a list in two places, whole numbers beyond 64 bits, damage.
    """
    if len(raw) > _MOST_BYTES:
        message = f"has {len(raw):,} bytes; at most {_MOST_BYTES:,} of a pickle are read"
        raise ValueError(message)
    tape = _Tape(raw)
    size, place = len(raw), 0
    stack = tape.stack
    while True:
        place = tape.place
        if place >= size:
            message = f"ends at byte {size:,}, before it is whole; get it again"
            raise ValueError(message)
        code = raw[place]
        tape.place = place + 1
        # Nearly everything in FedScale's files is one of these three.
        if code == 0x4A and place + 5 <= size and len(stack) < _MOST_STACK:
            stack.append(int.from_bytes(raw[place + 1 : place + 5], "little", signed=True))
            tape.place = place + 5
        elif code == 0x4D and place + 3 <= size and len(stack) < _MOST_STACK:
            stack.append(raw[place + 1] | raw[place + 2] << 8)
            tape.place = place + 3
        elif code == 0x4B and place + 2 <= size and len(stack) < _MOST_STACK:
            stack.append(raw[place + 1])
            tape.place = place + 2
        elif code == 0x2E:
            break
        elif code == 0x68 and _whole_number(tape, place):
            pass
        else:
            step = _STEPS.get(code)
            if step is None:
                message = f"has the instruction {code:#04x} at byte {place:,}, which no trace needs; nothing was run"
                raise ValueError(message)
            step(tape)
    if len(stack) != 1 or tape.marks or tape.place != size:
        message = f"its end at byte {tape.place:,} of {size:,} is not one value"
        raise ValueError(message)
    found = stack[0]
    if not isinstance(found, dict):
        message = f"holds no dictionary but {_word(found)}"
        raise ValueError(message)
    _check_depth(found)
    return found
