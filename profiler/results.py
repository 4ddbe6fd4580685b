"""A folder of results: it belongs to the command that wrote it, and others leave it alone."""

import json
from pathlib import Path

from profiler.names import printable

MANIFEST = "manifest.json"
TRAINING = "fedjoule train"
_MOST_MANIFEST_BYTES = 1 << 20
# What lies in the folder of a command while it has no manifest, or has none at all.
_MARKS = {
    "checkpoint.npz": TRAINING,
    "fleet.json": "fedjoule fleet convert",
    "journal.jsonl": "fedjoule profile",
}


def check_folder(folder: Path, command: str) -> None:
    """Raise FileExistsError if a folder holds what another command wrote: names are alike, and it would be lost."""
    owner = owner_of(folder)
    if owner not in ("", command):
        message = f"--out {printable(folder, 200)} holds the results of {owner!r}; name another folder"
        raise FileExistsError(message)


def owner_of(folder: Path) -> str:
    """Return the command that wrote the results in a folder, safe to print; empty if there are none."""
    for mark, command in _MARKS.items():
        if (folder / mark).exists():
            return command
    manifest = folder / MANIFEST
    if not manifest.exists():
        return ""
    try:
        with open(manifest, "rb") as file:
            found = json.loads(file.read(_MOST_MANIFEST_BYTES))
    except (OSError, ValueError, RecursionError):
        return "another program"
    named = found.get("command") if isinstance(found, dict) else None
    if isinstance(named, str) and named:
        return printable(named, 60)
    return TRAINING if isinstance(found, dict) and "files_sha256" in found else "another program"
