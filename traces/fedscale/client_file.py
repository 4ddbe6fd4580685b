"""A file of FedScale's clients, JSON or pickle: an entry for each client, by its id, with what is no entry counted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from traces.fedscale.pickled import read_pickled
from traces.report import Tally, clean
from traces.source_file import Repeating, SourceFile, parse_json, read_source

# Room for all of FedScale's 500,000 clients; as JSON their availability has some 45 MB.
_MOST_BYTES = 64 << 20
_MOST_ID_CHARACTERS = 64


@dataclass(frozen=True)
class ClientFile:
    """Entries by client id, and the tally of what was dropped so far; how many there were in all."""

    file: SourceFile = field(repr=False)
    entries: Mapping[str, Mapping[Any, Any]] = field(repr=False)
    given: int
    tally: Tally = field(repr=False)


def read_clients(source: Path | bytes | SourceFile) -> ClientFile:
    """Return a file's entries by client id.

    A client that comes twice counts for the first time only, and one that is no dictionary, or that repeats a key, is
    dropped; all of that is counted. Raises ValueError if the file has neither form or is too large, and OSError.
    """
    if isinstance(source, bytes):
        file = SourceFile("given bytes", source, "")
    else:
        file = read_source(source, _MOST_BYTES) if isinstance(source, Path) else source
    where = clean(source if isinstance(source, Path) else file.name, 300)
    whole = _parsed(file.raw, where)
    tally = Tally()
    entries: dict[str, Mapping[Any, Any]] = {}
    twice = len(whole.repeated) if isinstance(whole, Repeating) else 0
    if isinstance(whole, Repeating):
        tally.drop("a client that is there twice, the second time", f"client {whole.repeated[0]}", twice)
    for key, entry in whole.items():
        client = str(key)
        if len(client) > _MOST_ID_CHARACTERS:
            tally.drop(f"a client id of more than {_MOST_ID_CHARACTERS} characters", client)
        elif client in entries:
            tally.drop("a client that is there twice, the second time", f"client {client}")
        elif not isinstance(entry, dict):
            tally.drop("an entry that is no dictionary", f"client {client}")
        elif isinstance(entry, Repeating):
            tally.drop("an entry that says something twice", f"client {client}: {entry.repeated[0]}")
        else:
            entries[client] = entry
    return ClientFile(file, entries, len(whole) + twice, tally)


def kind_of(entries: Mapping[str, Mapping[Any, Any]]) -> str:
    """Return what entries are about by the keys of the first that says: ``behaviour``, ``capacity``; empty: none does.

    Those before it say neither, and are for the reader of that kind to drop and count.
    """
    for entry in entries.values():
        if "active" in entry or "inactive" in entry:
            return "behaviour"
        if "computation" in entry or "communication" in entry:
            return "capacity"
    return ""


def _parsed(raw: bytes, where: str) -> dict[Any, Any]:
    if raw.lstrip()[:1] in (b"{", b"["):
        whole = parse_json(raw, where)
    else:
        try:
            whole = read_pickled(raw)
        except ValueError as error:
            message = (
                f"{where}: is neither JSON nor a pickle of FedScale's kind: it {clean(error, 200)}; get it again, "
                "or write what is in it as JSON"
            )
            raise ValueError(message) from error
    if not isinstance(whole, dict):
        message = f"{where}: must be an object of clients by their ids (got a {type(whole).__name__})"
        raise ValueError(message)
    return whole
