"""A campaign's folder on the device: made, locked, filled with files whose hashes are checked, and removed again."""

import hashlib
import io
import re
import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from profiler.campaign.session import Session
from profiler.device.device import Device
from profiler.names import printable
from profiler.transport.link import OutputTooLong, Transport
from profiler.transport.paths import checked_path

MARKER = "fedjoule-campaign"
TRACES = "/data/misc/perfetto-traces/fedjoule"  # Perfetto may write nowhere else
_ID = re.compile(r"[0-9a-f]{8,32}")


class Workspace:
    """The folder ``<workspace>/<campaign>`` of a device, held open by a lock until ``close``."""

    def __init__(self, session: Session, device: Device, campaign: str, force: bool = False) -> None:
        """Make the folder and take the lock, from another campaign only by ``force``.

        Raises OSError if the device has no place for it, or if another campaign holds it.
        """
        if not _ID.fullmatch(campaign):
            message = f"campaign {printable(campaign)!r} must be 8 to 32 hexadecimal digits"
            raise ValueError(message)
        self.folder = checked_path(f"{device.workspace}/{campaign}")
        self.root = device.root
        self._force = force
        self._session, self._campaign = session, campaign
        self.open(device)

    def open(self, device: Device) -> None:
        """Make the folder if it is not there and take the lock, again after a restart of the device."""
        self._device = device
        place, lock, top = (shlex.quote(path) for path in (self.folder, f"{device.workspace}/lock", device.workspace))
        ours, boot = shlex.quote(f"{self._campaign} {device.boot_id}"), shlex.quote(device.boot_id)
        # Whoever makes the file has it (set -C); a lock of our own, or from before a restart, is taken over.
        mine = f'[ "$who" = {self._campaign} ] || [ "$when" != {boot} ]' + (" || :" if self._force else "")
        self.say(
            f"mkdir -p -m 700 {top} && [ -O {top} ] || exit 1; "
            f"(set -C; echo {ours} >{lock}) 2>/dev/null || {{ read -r who when <{lock}; "
            f'{{ {mine}; }} && echo {ours} >{lock} || {{ echo "campaign $who holds it"; exit 1; }}; }}; '
            f"mkdir -p {place} && : >{place}/{MARKER}",
            "cannot make its folder there, or another campaign holds the device",
        )

    def hold(self) -> None:
        """Look whether the device is still ours. Raises OSError if another campaign took it."""
        lock = shlex.quote(f"{self._device.workspace}/lock")
        self.say(
            f'read -r who _ <{lock} && [ "$who" = {self._campaign} ] || {{ echo "lock of ${{who:-nobody}}"; exit 1; }}',
            "another campaign took the device; end one of the two",
        )

    def say(self, command: str, failure: str) -> str:
        """Run a command that must succeed and return what it printed. Raises OSError with ``failure`` in it."""
        done = self._session.run(command)
        if done.code != 0:
            said = printable(done.text.strip()[-160:] or f"exit code {done.code}", 160)
            message = f"{self._device.title}: {failure} ({said})"
            raise OSError(message)
        return done.text

    def make(self, name: str, files: Mapping[str, bytes]) -> str:
        """Make an empty folder ``name`` with ``files`` and return its path; what it held before is gone.

        A job that still runs there, because nobody wrote down that it was started, is stopped: two would disturb each
        other.
        """
        folder = checked_path(f"{self.folder}/{name}")
        quoted = shlex.quote(folder)
        still_runs = f'read -r state _ <{quoted}/state && [ "$state" = running ]'
        self.say(
            f"{{ {still_runs}; }} 2>/dev/null && {{ : >{quoted}/stop; sleep 4; }}; rm -rf {quoted} && mkdir {quoted}",
            "cannot make a folder",
        )
        for file, content in files.items():
            self.put(f"{folder}/{file}", content)
        return folder

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write a small file of ours on the device."""
        self._session.step(lambda link: link.push(io.BytesIO(content), path, mode))

    def bring(self, source: Path, sha256: str, executable: bool) -> str:
        """Return where a local file lies on the device, pushed if it is not there yet with that hash.

        Raises ValueError if the file changed since the plan was made, OSError if it does not arrive whole.
        """
        folder = f"{self.folder}/files"
        path = checked_path(f"{folder}/{sha256[:16]}")
        self.say(f"mkdir -p {shlex.quote(folder)}", "cannot make a folder")
        if self._hash_there(path) == sha256:
            return path
        if hash_here(source) != sha256:
            message = f"{printable(source.name)} is another file than when the plan was made; start a new campaign"
            raise ValueError(message)

        def push(link: Transport) -> None:
            with open(source, "rb") as content:
                link.push(content, path, 0o755 if executable else 0o644)

        self._session.step(push)
        arrived = self._hash_there(path)
        if arrived != sha256:
            message = f"{printable(source.name)} did not arrive whole on {self._device.title}; try again"
            raise OSError(message)
        return path

    def _hash_there(self, path: str) -> str:
        quoted = shlex.quote(path)
        if "sha256sum" in self._device.tools:
            done = self._session.run(f"[ -f {quoted} ] && sha256sum {quoted}", timeout_s=120.0)
            return done.text.strip().split(" ")[0] if done.code == 0 else ""
        try:
            return hashlib.sha256(self._session.step(lambda link: link.pull(path, 1 << 30))).hexdigest()
        except FileNotFoundError:
            return ""

    def link(self, there: str, folder: str, name: str) -> None:
        """Show the file ``there`` under ``name`` in ``folder``: by a link, or where links are denied by a copy."""
        target = checked_path(f"{folder}/{name}")
        parent, quoted, origin = (shlex.quote(text) for text in (target.rpartition("/")[0], target, there))
        self.say(
            f"mkdir -p {parent} && {{ ln -sf {origin} {quoted} 2>/dev/null || cp -p {origin} {quoted}; }}",
            f"cannot put {printable(name)} into its folder",
        )

    def pull(self, folder: str, names: tuple[str, ...], limit_bytes: int = 64 << 20) -> dict[str, bytes]:
        """Return those of the files in a folder that exist and are not too large."""
        found: dict[str, bytes] = {}
        for name in names:
            path = checked_path(f"{folder}/{name}")
            try:
                found[name] = self._session.step(partial(_pulled, path=path, limit_bytes=limit_bytes))
            except (FileNotFoundError, OutputTooLong):
                continue  # what is missing makes the measurement invalid, and does not end the campaign
        return found

    def remove(self, folder: str) -> None:
        """Remove one of our folders, after a look at the marker beside it."""
        quoted, marker = shlex.quote(checked_path(folder)), shlex.quote(f"{self.folder}/{MARKER}")
        if folder.startswith(f"{self.folder}/"):
            self._session.run(f"[ -f {marker} ] && rm -rf {quoted}")

    def stop_jobs(self) -> None:
        """Stop the jobs that still run in it."""
        stop_jobs(self._session, self._device, self._campaign)

    def close(self) -> None:
        """Remove the whole folder and the lock, if they are ours."""
        release(self._session, self._device, self._campaign)


def _pulled(link: Transport, path: str, limit_bytes: int) -> bytes:
    return link.pull(path, limit_bytes)


def release(session: Session, device: Device, campaign: str) -> None:
    """Remove a campaign's folder and lock from a device; other campaigns' stay.

    A watchdog that woke just now may write a file while the folder is removed: what it left goes in another round.
    """
    if not _ID.fullmatch(campaign):
        return
    folder = shlex.quote(checked_path(f"{device.workspace}/{campaign}"))
    lock = shlex.quote(f"{device.workspace}/lock")
    session.run(
        f"[ -f {folder}/{MARKER} ] && {{ : >{folder}/watchdog.stop; "
        f"for round in 1 2 3 4 5; do rm -rf {folder} 2>/dev/null; [ -e {folder} ] || break; done; }}; "
        f'[ -f {lock} ] && {{ read -r who _ <{lock}; [ "$who" = {shlex.quote(campaign)} ] && rm -f {lock}; }}; '
        f"rm -f {TRACES}-{campaign}-*; rmdir {shlex.quote(device.workspace)} 2>/dev/null; :"
    )


def stop_jobs(session: Session, device: Device, campaign: str) -> None:
    """Tell the jobs of a campaign that still run to stop, and give them the time to."""
    folder = shlex.quote(checked_path(f"{device.workspace}/{campaign}"))
    session.run(
        f'for job in {folder}/*/job.pid; do [ -f "$job" ] && : >"${{job%/*}}/stop"; done; sleep 3', timeout_s=30.0
    )


def hash_here(path: Path) -> str:
    """Return the SHA-256 of a local file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
