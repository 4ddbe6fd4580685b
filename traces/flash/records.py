"""FLASH's JSON files, read within bounds: what is in them is somebody else's."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from traces.report import Tally, clean
from traces.source_file import check_ordinary

# The public file of 1,000 devices has 37 MB; this is room for about seven times as many.
STATES_MOST_BYTES = 256 * 2**20
# The device and speed tables have 170 kB at most.
TABLE_MOST_BYTES = 8 * 2**20
# Each text, list, object and number of a file costs some fifty bytes of memory, however short it is written: so that
# few bytes cannot fill it, there is an end to them. A device needs 14 quotation marks, 3 commas and one brace.
MOST_DEVICES = 20_000
_MOST_MARKS = ((b'"', 16 * MOST_DEVICES), (b",", 8 * MOST_DEVICES), (b"{", 2 * MOST_DEVICES), (b"[", 2 * MOST_DEVICES))
# The public file has 37 kB per device; two days of an event every second have 7 MB.
MESSAGES_MOST_CHARACTERS = 8 * 2**20
# Model names and identifiers of phones have some 40 characters.
NAME_MOST_CHARACTERS = 200


@dataclass(frozen=True)
class Record:
    """One device of the state traces: its identifier, model, and events as they are written."""

    guid: str
    model: str
    messages: str


@dataclass(frozen=True)
class Members:
    """What a JSON object holds: its members in order, a key as often as it is written."""

    pairs: tuple[tuple[str, object], ...]

    def once(self) -> dict[str, object] | None:
        """Return the members by key; None if a key is there twice."""
        by_key = dict(self.pairs)
        return by_key if len(by_key) == len(self.pairs) else None


def read_bytes(source: Path | bytes, most_bytes: int, what: str) -> bytes:
    """Return the bytes of ``source``, reading at most ``most_bytes``.

    Raises ValueError if it has more or is no ordinary file (a pipe has no end), and OSError.
    """
    if isinstance(source, bytes):
        data = source
    else:
        check_ordinary(source)
        with source.open("rb") as file:
            data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        message = (
            f"{what} has more than {most_bytes} bytes, which is the most that is read; split it into several files"
        )
        raise ValueError(message)
    return data


def read_json(data: bytes, what: str) -> object:
    """Return what the JSON text ``data`` says, its objects as ``Members``. Raises ValueError, naming ``what``."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{what} must be UTF-8 (byte {error.start} is not); get the file anew or convert it"
        raise ValueError(message) from error
    try:
        found: object = json.loads(text, object_pairs_hook=lambda pairs: Members(tuple(pairs)))
    except json.JSONDecodeError as error:
        message = (
            f"{what} is not whole JSON: {error.msg} at character {error.pos} of {len(text)}; "
            "if it was cut short, get the file anew"
        )
        raise ValueError(message) from error
    except RecursionError as error:
        message = f"{what} has lists or objects within one another too deep to be read; it is not one of FLASH's files"
        raise ValueError(message) from error
    except ValueError as error:  # a whole number of thousands of digits
        message = f"{what} has a number that cannot be read: {clean(error)}; correct or remove it"
        raise ValueError(message) from error
    return found


def read_table(source: Path | bytes, what: str) -> tuple[tuple[str, object], ...]:
    """Return the members of the JSON object in ``source``, a small table. Raises ValueError, OSError."""
    found = read_json(read_bytes(source, TABLE_MOST_BYTES, what), what)
    if not isinstance(found, Members):
        message = f"{what} must hold one JSON object (got {_kind(found)}); is this the right file?"
        raise ValueError(message)
    return found.pairs


def read_records(source: Path | bytes, tally: Tally) -> Iterator[Record]:
    """Yield the devices of ``state_traces.json`` in the file's order; what is no device is dropped and counted.

    Of devices with the same key or the same guid the first counts. Raises ValueError, OSError for the file as a whole.
    """
    what = "the state traces"
    data = read_bytes(source, STATES_MOST_BYTES, what)
    for mark, most in _MOST_MARKS:
        if data.count(mark) > most:
            message = (
                f"{what} may have at most {most} times {mark.decode()!r}, enough for {MOST_DEVICES} devices; "
                "split the file, or check that it is one of FLASH's"
            )
            raise ValueError(message)
    found = read_json(data, what)
    del data
    if not isinstance(found, Members):
        message = f"{what} must be a JSON object of devices (got {_kind(found)}); is this state_traces.json?"
        raise ValueError(message)
    keys: set[str] = set()
    guids: set[str] = set()
    for key, value in found.pairs:
        if key in keys:
            tally.drop("key there already", f"key {key}")
            continue
        keys.add(key)
        record = _record(key, value, tally)
        if record is None:
            continue
        if record.guid in guids:
            tally.drop("guid there already", f"key {key}, guid {record.guid}")
            continue
        guids.add(record.guid)
        yield record


def _record(key: str, value: object, tally: Tally) -> Record | None:
    fields = value.once() if isinstance(value, Members) else None
    if fields is None:
        wrong = "is written with a field twice" if isinstance(value, Members) else f"is {_kind(value)}"
        tally.drop("not a device", f"key {key} {wrong}")
        return None
    texts = []
    for name in ("guid", "model", "messages"):
        text = fields.get(name)
        if not isinstance(text, str):
            tally.drop(f"{name} missing or not text", f"key {key}")
            return None
        texts.append(text)
    guid, model, messages = texts
    if len(messages) > MESSAGES_MOST_CHARACTERS:
        tally.drop(f"more than {MESSAGES_MOST_CHARACTERS} characters of events", f"key {key}")
        return None
    names = clean(guid, NAME_MOST_CHARACTERS), clean(model, NAME_MOST_CHARACTERS)
    if names != (guid, model):
        tally.repair("guid or model with control characters or too long", f"key {key}")
    return Record(*names, messages)


def _kind(value: object) -> str:
    names = {list: "a list", str: "a text", Members: "an object", bool: "true or false"}
    return names.get(type(value), "null" if value is None else "a number")
