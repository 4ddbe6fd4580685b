"""FedScale's pickles, read as data: nothing is imported, looked up or called, and Python's pickle has no part in it.

Understood is what dictionaries of dictionaries, lists, numbers and text need, and NumPy's float64 numbers, which the
capacity file is made of. Everything else is refused.
"""

import re
import struct

from traces.fedscale.instructions import FLOAT64, MOST_STACK, SCALAR, STEPS, TreeTape, Value, word

# A number of NumPy's as Python writes it once both names are kept: ten instructions, three of which keep something.
_NUMBER = re.compile(rb"h(.)h(.)C\x08(.{8})r(.{4})\x86r(.{4})Rr(.{4})", re.DOTALL)
_DOUBLE = struct.Struct("<d")
_MOST_BYTES = 64 << 20  # the largest of FedScale's files has 39 MB
_MOST_DEPTH = 4  # a dictionary of dictionaries of lists of numbers


def read_pickled(raw: bytes) -> dict[int | str, Value]:
    """Return the dictionary in a pickle of FedScale's kind; a tree, at most four levels deep.

    Raises ValueError for anything else: more than 64 MiB, other instructions, other names than NumPy's two, the same
    key twice, a list in two places, whole numbers beyond 64 bits, damage.
    """
    if len(raw) > _MOST_BYTES:
        message = f"has {len(raw):,} bytes; at most {_MOST_BYTES:,} of a pickle are read"
        raise ValueError(message)
    tape = TreeTape(raw)
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
        if code == 0x4A and place + 5 <= size and len(stack) < MOST_STACK:
            stack.append(int.from_bytes(raw[place + 1 : place + 5], "little", signed=True))
            tape.place = place + 5
        elif code == 0x4D and place + 3 <= size and len(stack) < MOST_STACK:
            stack.append(raw[place + 1] | raw[place + 2] << 8)
            tape.place = place + 3
        elif code == 0x4B and place + 2 <= size and len(stack) < MOST_STACK:
            stack.append(raw[place + 1])
            tape.place = place + 2
        elif code == 0x2E:
            break
        elif code == 0x68 and _whole_number(tape, place):
            pass
        else:
            step = STEPS.get(code)
            if step is None:
                message = f"has the instruction {code:#04x} at byte {place:,}, which no trace needs; nothing was run"
                raise ValueError(message)
            step(tape)
    if not tape.is_read():
        message = f"its end at byte {tape.place:,} of {size:,} is not one value"
        raise ValueError(message)
    found = stack[0]
    if not isinstance(found, dict):
        message = f"holds no dictionary but {word(found)}"
        raise ValueError(message)
    _check_depth(found)
    return found


def _check_depth(whole: dict[int | str, Value]) -> None:
    """Refuse deep trees, level by level; each list and dictionary stands in one place, so this ends."""
    level: list[dict[int | str, Value] | list[Value]] = [whole]
    for _ in range(_MOST_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    message = f"is nested deeper than {_MOST_DEPTH} levels"
    raise ValueError(message)


def _whole_number(tape: TreeTape, place: int) -> bool:
    """Push a number of NumPy's that is written in the usual ten instructions; False, and nothing done, if it is not.

    Its slow twin is going through them one by one, which is what happens without this.
    """
    found = _NUMBER.match(tape.raw, place)
    if found is None or len(tape.stack) + 3 > MOST_STACK:
        return False
    scalar, kind, value, *keys = found.groups()
    kept = tape.kept
    if kept.get(scalar[0]) is not SCALAR or kept.get(kind[0]) is not FLOAT64:
        return False
    for key in keys:  # what was kept by these names would be forgotten
        if int.from_bytes(key, "little") in kept:
            return False
    tape.stack.append(_DOUBLE.unpack(value)[0])
    tape.puts += 3
    tape.place = found.end()
    return True
