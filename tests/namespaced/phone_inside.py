"""The first process of a namespaced phone: builds its file system, runs adbd in it, and lets one listening socket in.

    unshare --user --map-root-user --mount --pid --net --uts --ipc --fork python phone_inside.py \
        <folder> <descriptor of a listening socket> <QEMU_CPU or ''> [<machine>=<qemu> ...]

Prints "ready" once adbd listens. Lines on standard input: "cut" drops all connections. Its end, for whatever reason,
ends this process, and with it, by the kernel, everything on the phone, its mounts and its interpreters. Standard
library only, nothing is imported after the root is changed.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence

_LIBC = ctypes.CDLL(None, use_errno=True)
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_RDONLY, _REMOUNT, _BIND, _REC, _RELATIME = 1, 32, 4096, 16384, 1 << 21
_KEPT = 2 | 4 | 8 | 1024 | 2048  # nosuid, nodev, noexec, noatime, nodiratime: the kernel does not let us drop them
_DETACH = 2
_CLONE_NEWUSER = 0x10000000
_SHELL = 2000  # Android's user and group of adbd without root
_PORT = 5555
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")  # of mksh, toybox and adbd
# ELF class, machine: what the kernel knows a program by.
_MACHINES = {"aarch64": (2, 0xB7), "arm": (1, 0x28)}


def checked(code: int, what: str) -> None:
    if code != 0:
        number = ctypes.get_errno()
        message = f"{what}: {os.strerror(number)}"
        raise OSError(number, message)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    words = (source.encode(), target.encode(), kind.encode() or None)
    what = f"mounting {kind or source} on the phone"
    checked(_LIBC.mount(*words, ctypes.c_ulong(flags), options.encode() or None), what)


def bind(source: str, target: str) -> None:
    mount(source, target, flags=_BIND | _REC)


def make_read_only(target: str) -> None:
    found = os.statvfs(target).f_flag
    kept = found & _KEPT | (_RELATIME if found & 4096 else 0)
    mount("none", target, flags=_REMOUNT | _BIND | _RDONLY | kept)


def bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        fcntl.ioctl(one, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))


def make_devices(dev: str) -> None:
    mount("tmpfs", dev, "tmpfs", options="mode=755")
    for name in _DEVICES:
        with open(f"{dev}/{name}", "w"):
            pass
        bind(f"/dev/{name}", f"{dev}/{name}")
    for name in ("pts", "shm"):
        os.mkdir(f"{dev}/{name}")
    mount("devpts", f"{dev}/pts", "devpts", options="newinstance,ptmxmode=0666,mode=620")
    os.symlink("pts/ptmx", f"{dev}/ptmx")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"{dev}/{name}")
    os.symlink("/proc/self/fd", f"{dev}/fd")


def show_libraries(root: str) -> None:
    for folder in _LIBRARIES:
        if os.path.islink(folder):
            os.symlink(os.readlink(folder), root + folder)
        elif os.path.isdir(folder):
            os.makedirs(root + folder, exist_ok=True)
            bind(folder, root + folder)
            make_read_only(root + folder)


def register(machine: str, interpreter: str) -> bytes:
    """Return the line that has programs of a machine run by an interpreter, its escapes for the kernel to read.

    Escapes must arrive as such: a zero byte would end the line. F: the interpreter is opened now, and need not be
    found on the phone.
    """
    kind, number = _MACHINES[machine]
    magic = b"\x7fELF" + bytes([kind, 1, 1, 0]) + bytes(8) + struct.pack("<HH", 2, number)
    mask = b"\xff" * 7 + b"\x00" + b"\xff" * 8 + b"\xfe\xff\xff\xff"  # any system; a fixed or a movable program

    def escaped(raw: bytes) -> str:
        return "".join(f"\\x{byte:02x}" for byte in raw)

    return f":fedjoule-{machine}:M::{escaped(magic)}:{escaped(mask)}:{interpreter}:F".encode()


def build(root: str, interpreters: Sequence[str]) -> None:
    """Make the mounts of a phone and go into it; the rest of this machine is out of sight afterwards."""
    bind(root, root)
    show_libraries(root)
    make_devices(f"{root}/dev")
    mount("proc", f"{root}/proc", "proc")
    if interpreters:
        place = f"{root}/proc/sys/fs/binfmt_misc"
        try:
            mount("binfmt_misc", place, "binfmt_misc")
        except OSError as error:
            message = f"{error.strerror}; in a user namespace that needs Linux 6.7"
            raise OSError(error.errno, message) from error
        for word in interpreters:
            machine, _, interpreter = word.partition("=")
            with open(f"{place}/register", "wb", buffering=0) as file:
                file.write(register(machine, interpreter))
    for name in ("data", "run"):
        bind(f"{root}/{name}", f"{root}/{name}")
    make_read_only(root)
    os.chdir(root)
    checked(_LIBC.pivot_root(b".", b"."), "changing the root")
    checked(_LIBC.umount2(b".", _DETACH), "leaving the old root")
    os.chdir("/")


def become_the_shells_user() -> None:
    """Give up all rights over the phone: a user namespace below this one, in which we are Android's shell user."""
    user, group = os.geteuid(), os.getegid()
    checked(_LIBC.unshare(_CLONE_NEWUSER), "a second user namespace")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_SHELL} {user} 1"),
        ("gid_map", f"{_SHELL} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def start_adbd(cpu: str) -> int:
    environment = {
        "ADBD_PORT": str(_PORT),
        "ANDROID_DATA": "/data",
        "ANDROID_ROOT": "/system",
        "HOME": "/",
        "PATH": "/system/bin",
        "SHELL": "/bin/sh",
        "TMPDIR": "/data/local/tmp",
        "USER": "shell",
    }
    if cpu:
        environment["QEMU_CPU"] = cpu
    pid = os.fork()
    if pid:
        return pid
    try:
        null = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.closerange(3, 256)
        become_the_shells_user()
        os.setsid()
        os.execve("/system/bin/adbd", ["adbd"], environment)
    finally:
        os._exit(127)


def await_adbd(timeout_s: float = 10.0) -> None:
    until_s = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", _PORT)):
            return
        if time.monotonic() > until_s or os.waitpid(-1, os.WNOHANG)[0]:
            message = "adbd did not start on the phone"
            raise OSError(message)
        time.sleep(0.02)


class Relay:
    """Passes connections on to adbd, which listens in a network that only the phone has."""

    def __init__(self) -> None:
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", _PORT)
        for one in (writer, back):
            self._writers.add(one)
            one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.gather(self._copy(reader, back), self._copy(there, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    def cut(self) -> None:
        for one in list(self._writers):
            one.transport.abort()


async def serve(listening: socket.socket, adbd: int) -> int:
    """Relay, take in the dead, and listen to standard input; return when that ends, or adbd does."""
    loop, relay = asyncio.get_running_loop(), Relay()
    ended: asyncio.Future[int] = loop.create_future()

    def end(code: int) -> None:
        if not ended.done():
            ended.set_result(code)

    def told() -> None:
        words = os.read(0, 4096)
        if not words:
            end(0)
        for word in words.split():
            if word == b"cut":
                relay.cut()

    def reap() -> None:
        with contextlib.suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                if pid == adbd:
                    end(1)

    loop.add_reader(0, told)
    loop.add_signal_handler(signal.SIGCHLD, reap)
    reap()
    await asyncio.start_server(relay.connected, sock=listening)
    os.write(1, b"ready\n")
    return await ended


def main() -> None:
    folder, descriptor, cpu, *interpreters = sys.argv[1:]
    listening = socket.socket(fileno=int(descriptor))
    "".encode("idna")  # Python needs that for every address, and its files are out of sight later
    try:
        bring_loopback_up()
        socket.sethostname("localhost")
        build(folder, interpreters)
        adbd = start_adbd(cpu)
        await_adbd()
        make_read_only("/proc")  # where root made the namespaces, the shell's user is root to the kernel's settings
    except OSError as error:
        os.write(2, f"{error.strerror or error}\n".encode())
        os._exit(1)
    code = asyncio.run(serve(listening, adbd))
    os._exit(code)  # the kernel ends the rest


if __name__ == "__main__":
    main()
