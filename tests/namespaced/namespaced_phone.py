"""A phone in namespaces of its own, made by an unprivileged user: Android's adbd, mksh, toybox, arm64 under qemu.

What it has of a phone is real (shell, tools, adbd, processes, clock) or invented and marked as such (battery, sensors,
properties): its provenance is "emulated". Nothing of it outlives the process that opened it.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from profiler.emulator.phone import Phone

_HERE = Path(__file__).parent
_NAMESPACES = ["--user", "--map-root-user", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child"]
_QEMU = {"aarch64": "qemu-aarch64-static", "arm": "qemu-arm-static"}
_ABIS = "arm64-v8a,armeabi-v7a,armeabi"
PROPERTIES = {
    "ro.boot.serialno": "FEDJOULENS",
    "ro.build.fingerprint": "fedjoule/namespaced_phone/namespaced:14/NS/1:user/test-keys",
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.product.cpu.abilist": _ABIS,
    "ro.product.device": "namespaced",
    "ro.product.model": "fedjoule namespaced phone",
    "ro.product.name": "namespaced_phone",
    "ro.serialno": "FEDJOULENS",
}
# The kernel is this machine's, and says so; a phone's would not.
_UNAME = """#!/bin/sh
# uname: this phone's programs are arm64, and so it says, whatever runs them.
case $1 in
    -m) echo aarch64 ;;
    -r) echo 6.1.0-fedjoule-emulated ;;
    -srm | -smr) echo Linux 6.1.0-fedjoule-emulated aarch64 ;;
    -a) echo Linux localhost 6.1.0-fedjoule-emulated aarch64 ;;
    *) echo Linux ;;
esac
"""


class Unavailable(RuntimeError):
    """Such a phone cannot be had here; the message is one line with the reason."""


def adbd_built() -> Path | None:
    """Return Android's adbd if ``make conformance`` has built it."""
    default = Path(os.environ.get("HOME", "/")) / ".cache"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or default) / "fedjoule" / "conformance"
    return next(iter(sorted(cache.glob("adbd-*/adbd"), reverse=True)), None)


class NamespacedPhone:
    """Open while it is used as a context manager; ``folder`` must be new, and may stay with what the phone wrote.

    ``cpu`` is the CPU that arm64 programs see (``cortex-a57``), qemu's best if empty. ``user`` is who makes the
    namespaces, if root lets somebody else. Raises Unavailable.
    """

    def __init__(self, folder: Path, *, cpu: str = "", user: int | None = None) -> None:
        self.phone = Phone(folder, properties=PROPERTIES)
        self._cpu, self._user = cpu, user
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ""
        self._furnish()

    def __enter__(self) -> "NamespacedPhone":
        listening = socket.create_server(("127.0.0.1", 0))
        try:
            self.address = f"127.0.0.1:{listening.getsockname()[1]}"
            self._start(listening)
        finally:
            listening.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self, timeout_s: float = 10.0) -> None:
        """End the phone and everything on it; closing twice is no error."""
        process, self._process = self._process, None
        if process is None:
            return
        for end in (process.stdin, process.stdout, process.stderr):
            if end is not None:
                end.close()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()  # and unshare's child with it
            process.wait()

    def cut(self) -> None:
        """Drop all connections, as a pulled cable does."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(b"cut\n")
        self._process.stdin.flush()

    @property
    def first_pid(self) -> int:
        """The phone's first process, by its number here."""
        assert self._process is not None
        pid = self._process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    @property
    def proc(self) -> Path:
        """The phone's /proc, seen from here."""
        return Path(f"/proc/{self.first_pid}/root/proc")

    def running(self) -> dict[int, str]:
        """Return the command lines of the phone's processes by its own numbers, without its first process and adbd."""
        found = {}
        for entry in self.proc.iterdir():
            if entry.name.isdigit() and entry.name != "1":
                try:
                    words = (entry / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                if words and words != "adbd":
                    found[int(entry.name)] = words
        return found

    def _start(self, listening: socket.socket) -> None:
        interpreters = [f"{machine}={where}" for machine, name in _QEMU.items() if (where := shutil.which(name))]
        text = (_HERE / "phone_inside.py").read_text()
        number = listening.fileno()
        # Another user may not be allowed to read our Python nor that file.
        python = [sys.executable if self._user is None else "/usr/bin/python3", "-I", "-S", "-c", text]
        words = [*self._as_user(), "unshare", *_NAMESPACES, *python]
        words += [str(self.phone.folder), str(number), self._cpu, *interpreters]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            words, stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=[number], cwd="/", env={"PATH": os.environ["PATH"]}
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        if self._process.stdout.readline() != b"ready\n":
            said = self._process.stderr.read().decode(errors="replace").strip().splitlines()
            self.close()
            message = f"no phone in namespaces here: {said[-1] if said else 'it ended without a word'}"
            raise Unavailable(message)

    def _as_user(self) -> Sequence[str]:
        if self._user is None:
            return ()
        for path in (self.phone.folder, *self.phone.folder.rglob("*")):
            os.chown(path, self._user, self._user, follow_symlinks=False)
        return ("setpriv", f"--reuid={self._user}", f"--regid={self._user}", "--clear-groups")

    def _furnish(self) -> None:
        """Put programs into the phone's folder, after what an emulated phone has there."""
        adbd = adbd_built()
        found = {name: shutil.which(name) for name in ("mksh", "toybox", "unshare")}
        found["adbd"] = str(adbd) if adbd else None
        found["qemu-aarch64-static"] = shutil.which("qemu-aarch64-static") or _native()
        missing = sorted(name for name, where in found.items() if where is None)
        if missing:
            message = f"no phone in namespaces here: {', '.join(missing)} missing; 'make conformance' gets them as root"
            raise Unavailable(message)
        programs = self.phone.path("system/bin")
        (programs / "demo_trainer").unlink()  # needs Python, and no phone has it
        shutil.rmtree(self.phone.path("vendor"))  # no DSP
        for name in ("mksh", "toybox", "adbd"):
            shutil.copy(str(found[name]), programs / name)
        self.phone.program("uname", _UNAME)
        for applet in subprocess.run(["toybox"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "su" and not (programs / applet).exists():  # no phone that can be bought has that
                (programs / applet).symlink_to("toybox")
        (programs / "sh").symlink_to("mksh")
        self.phone.path("bin").symlink_to("system/bin")
        self.phone.path("etc").mkdir()
        self.phone.write("etc/passwd", "root:x:0:0::/:/bin/sh\nshell:x:2000:2000::/:/bin/sh\n")
        self.phone.write("etc/group", "root:x:0:\nshell:x:2000:\n")


def _native() -> str | None:
    """Return a word if arm64 programs need no interpreter here."""
    return "none" if os.uname().machine == "aarch64" else None
