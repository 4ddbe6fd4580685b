"""The journal of a campaign: one JSON line for everything that happened, on disk before anything else happens."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from profiler.names import printable

FILE = "journal.jsonl"
_MOST_BYTES = 64 << 20

Entry = Mapping[str, Any]
# Kind -> fields of text without which an entry is none.
_NEEDED: dict[str, tuple[str, ...]] = {
    kind: ("measurement",) for kind in ("started", "finished", "lost", "pilot", "gauge")
}
_NEEDED |= {"campaign": ("campaign", "plan", "identity"), "restored": ("name",)}


class Journal:
    """An open journal, which only one process may hold; entries are appended and synced to disk one by one."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        """Open the journal in ``folder``, which is made if it is missing. Raises ValueError if another run holds it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.entries: list[Entry] = read_journal(folder)
        self._now = now
        self._file = open(folder / FILE, "ab")  # noqa: SIM115 - held for as long as the campaign runs
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            message = f"{printable(folder.name)}: another run of fedjoule holds this campaign; wait for it or stop it"
            raise ValueError(message) from error
        self._mend()

    def append(self, kind: str, **fields: Any) -> None:
        """Append an entry and return when it is on disk. Raises OSError if it cannot be stored."""
        entry = {"kind": kind, "host_time": round(self._now(), 3), **fields}
        self._file.write(json.dumps(entry, allow_nan=False, ensure_ascii=True).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.entries.append(entry)

    def last(self, kind: str, **fields: Any) -> Entry | None:
        """Return the newest entry of this kind with these fields, or None."""
        for entry in reversed(self.entries):
            if entry["kind"] == kind and all(entry.get(name) == value for name, value in fields.items()):
                return entry
        return None

    def close(self) -> None:
        """Close the journal and let others have it."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _mend(self) -> None:
        """End a line that a power cut left open, so that the next entry starts a line of its own."""
        with open(self._file.name, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size and (file.seek(-1, os.SEEK_END) or True) and file.read(1) != b"\n":
                self._file.write(b"\n")
                self._file.flush()


def read_journal(folder: Path) -> list[Entry]:
    """Return the entries of a campaign's journal, oldest first; none if there is no journal.

    A line that is no entry is left out: it is what a power cut leaves. Raises ValueError for a file that is too large.
    """
    path = folder / FILE
    if not path.exists():
        return []
    if path.stat().st_size > _MOST_BYTES:
        message = f"{printable(path.name)} is larger than {_MOST_BYTES >> 20} MiB; it is no journal of a campaign"
        raise ValueError(message)
    entries: list[Entry] = []
    for line in path.read_bytes().split(b"\n"):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and isinstance(entry.get("kind"), str) and _whole(entry):
            entries.append(entry)
    return entries


def _whole(entry: Entry) -> bool:
    """Return whether an entry has the fields that its kind is read by."""
    needed = _NEEDED.get(str(entry["kind"]), ())
    return all(isinstance(entry.get(name), str) for name in needed)
