"""Places to measure that are not ours, and one list of checks that every way to every one of them must pass."""

import io
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from profiler.emulator.phone import Phone
from profiler.emulator.processes import end_all, marked
from profiler.transport.address import open_transport
from profiler.transport.detach import start_detached
from profiler.transport.link import LinkLost, OutputTooLong, Transport

HERE = Path(__file__).parent
# Set by run.sh: then what adb-shell cannot do by itself, a command silent for more than ten seconds, is waited for.
THOROUGH = bool(os.environ.get("FEDJOULE_CONFORMANCE"))
LARGE_BYTES = 30_000_000 if THOROUGH else 1_000_000
SILENT_S = 12 if THOROUGH else 0.3
NASTY = [
    "",
    " ",
    "a b",
    "'",
    '"',
    "$(touch pwned)",
    "`touch pwned`",
    ";",
    "\n",
    "\\",
    "*",
    "~",
    "#",
    "-n",
    "ü€",
    "a\tb",
    "!",
]


def cache() -> Path:
    """Where run.sh puts what it builds and installs."""
    default = Path(os.environ.get("HOME", "/")) / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or default) / "fedjoule" / "conformance"


class Relay:
    """Passes connections on to a device, and can cut them all as a pulled cable does."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._sockets: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut(self) -> None:
        for one in self._sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listening.accept()[0]
            except OSError:
                return
            device = self._connect()
            self._sockets += [client, device]
            for one in (client, device):
                if one.family == socket.AF_INET:
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for pair in ((client, device), (device, client)):
                self._threads.append(threading.Thread(target=self._copy, args=pair))
                self._threads[-1].start()

    def _copy(self, reads: socket.socket, writes: socket.socket) -> None:
        try:
            while data := reads.recv(1 << 16):
                writes.sendall(data)
        except OSError:
            pass
        for one in (reads, writes):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


@dataclass(frozen=True)
class Place:
    """A device and one way to it: how to open a link, a folder of its own there, and how to cut what is connected."""

    phone: Phone
    open: Callable[[], Transport]
    cut: Callable[[], None]
    own_process: bool = False  # the device itself is a process with the phone's mark

    @property
    def folder(self) -> str:
        return str(self.phone.path("data/local/tmp"))


def exit_codes_come_back(place: Place, link: Transport) -> None:
    for code in (0, 1, 3, 127, 255):
        assert link.run(f"exit {code}").code == code
    assert link.run("printf out; printf err >&2; exit 4") == type(link.run("true"))(4, b"outerr")
    assert link.run("kill -9 $$").code != 0
    assert link.run("if").code != 0
    assert link.run("echo 'open").code != 0
    assert link.run("echo a # comment").text == "a\n"
    assert link.run("false; true").code == 0


def arguments_arrive_as_they_were(place: Place, link: Transport) -> None:
    command = f"cd {shlex.quote(place.folder)} && " + shlex.join(["printf", "%s\\0", *NASTY])
    assert link.run(command).output == b"".join(word.encode() + b"\0" for word in NASTY)
    assert link.run(f"ls {shlex.quote(place.folder)}").output == b""


def output_is_bytes_and_bounded(place: Place, link: Transport) -> None:
    assert link.run("printf 'a\\nb\\r\\nc'").output == b"a\nb\r\nc"
    size = 2_000_000
    made = link.run(f"head -c {size} /dev/zero | tr '\\0' x", limit_bytes=size)
    assert made.output == b"x" * size
    with pytest.raises(OutputTooLong):
        link.run("yes", limit_bytes=100_000)
    link.reconnect()
    assert link.run("echo alive").text == "alive\n"


def a_silent_command_is_waited_for_and_no_longer_than_allowed(place: Place, link: Transport) -> None:
    assert link.run(f"sleep {SILENT_S}; echo end", timeout_s=SILENT_S + 20).text == "end\n"
    begin_s = time.monotonic()
    with pytest.raises(LinkLost):
        link.run("sleep 30", timeout_s=0.3)
    assert time.monotonic() - begin_s < 10
    link.reconnect()
    assert link.run("echo alive").text == "alive\n"


def files_come_back_as_they_were(place: Place, link: Transport) -> None:
    for size in (0, 1, 65_535, 65_536, 65_537, LARGE_BYTES):
        content, path = os.urandom(size), f"{place.folder}/file{size}"
        link.push(io.BytesIO(content), path, mode=0o755)
        assert link.pull(path) == content
        assert link.run(f"stat -c '%s %a' {path}").text == f"{size} 755\n"
    assert sorted(os.listdir(place.folder)) == sorted(
        f"file{size}" for size in (0, 1, 65_535, 65_536, 65_537, LARGE_BYTES)
    )
    with pytest.raises(OutputTooLong):
        link.pull(f"{place.folder}/file65537", limit_bytes=65_536)
    link.reconnect()
    link.push(io.BytesIO(b"new"), f"{place.folder}/file65537")
    assert link.pull(f"{place.folder}/file65537") == b"new"


def what_cannot_be_stored_or_found_is_said(place: Place, link: Transport) -> None:
    with pytest.raises(FileNotFoundError):
        link.pull(f"{place.folder}/none")
    with pytest.raises(OSError, match=r"(?i)(permission|read-only|not permitted|not a directory|no such)"):
        link.push(io.BytesIO(b"x" * 100_000), "/proc/fedjoule-file")
    place.phone.path("data/local/tmp/plain").write_text("a file")
    with pytest.raises(OSError, match=r"(?i)(permission|not a directory|exists|no such)"):
        link.push(io.BytesIO(b"x"), f"{place.folder}/plain/below")
    assert link.run("echo alive").text == "alive\n"
    assert os.listdir(place.folder) == ["plain"]


def a_cut_link_is_lost_until_it_is_opened_again(place: Place, link: Transport) -> None:
    cutting = threading.Timer(0.15, place.cut)
    cutting.start()
    with pytest.raises(LinkLost):
        link.run("sleep 20; touch data/local/tmp/never")
    cutting.join()
    with pytest.raises(LinkLost):
        link.run("true")
    link.reconnect()
    assert link.run("echo alive").text == "alive\n"
    until_s = time.monotonic() + 5
    while not place.own_process and marked(place.phone.mark) and time.monotonic() < until_s:
        time.sleep(0.01)
    assert place.own_process or not marked(place.phone.mark)


def a_detached_script_outlives_the_link(place: Place, link: Transport) -> None:
    script, pid_path = f"{place.folder}/job.sh", f"{place.folder}/job.pid"
    link.push(io.BytesIO(b"sleep 0.3\necho done >$(dirname $0)/done\nsleep 100\n"), script, mode=0o755)
    pid = start_detached(link, script, pid_path)
    link.close()
    place.cut()
    until_s = time.monotonic() + 10
    while not Path(place.folder, "done").exists() and time.monotonic() < until_s:
        time.sleep(0.02)
    link.reconnect()
    assert link.pull(f"{place.folder}/done") == b"done\n"
    assert link.run(f"kill -0 {pid}").code == 0
    assert link.run(f"kill {pid}").code == 0


CHECKS = (
    exit_codes_come_back,
    arguments_arrive_as_they_were,
    output_is_bytes_and_bounded,
    a_silent_command_is_waited_for_and_no_longer_than_allowed,
    files_come_back_as_they_were,
    what_cannot_be_stored_or_found_is_said,
    a_cut_link_is_lost_until_it_is_opened_again,
    a_detached_script_outlives_the_link,
)


@pytest.fixture(scope="session")
def relay_to() -> Callable[[str], Relay]:
    """A relay to an address of this machine; whoever makes it closes it."""

    def make(address: str) -> Relay:
        host, port = address.split(":")
        return Relay(lambda: socket.create_connection((host, int(port))))

    return make


@pytest.fixture(scope="session")
def place_of() -> type[Place]:
    """How a test says where it is."""
    return Place


@pytest.fixture(scope="session")
def cache_folder() -> Path:
    """Where run.sh has put what it built and installed."""
    return cache()


@pytest.fixture(params=CHECKS, ids=lambda check: check.__name__)
def check(request: pytest.FixtureRequest) -> Callable[[Place], None]:
    """One check: opens a link to a place, and closes it whatever happens."""

    def run(place: Place) -> None:
        link = place.open()
        try:
            request.param(place, link)
        finally:
            link.close()
            shutil.rmtree(place.folder)
            Path(place.folder).mkdir()

    return run


def free_port() -> int:
    """A port outside 5555-5585, where adb looks by itself."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@dataclass(frozen=True)
class AdbServer:
    """Debian's adb with a server of its own."""

    port: int
    environment: dict[str, str]

    def adb(self, *words: str, given: bytes = b"", timeout_s: float = 60) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            ["adb", *words], env=self.environment, input=given, capture_output=True, check=False, timeout=timeout_s
        )


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    if shutil.which("adb") is None:
        pytest.skip("adb is not installed")
    home, port = str(tmp_path_factory.mktemp("adb")), free_port()
    server = AdbServer(port, {**os.environ, "HOME": home, "TMPDIR": home, "ANDROID_ADB_SERVER_PORT": str(port)})
    started = server.adb("start-server")
    assert started.returncode == 0, started.stderr
    yield server
    server.adb("kill-server")


@pytest.fixture(scope="session")
def private_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for keys that is not the user's."""
    return tmp_path_factory.mktemp("key")


@pytest.fixture(scope="module")
def aosp_adbd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Phone, Relay]]:
    """Android's own adbd, its shells on a phone's folder, reached through a relay."""
    built = sorted(cache().glob("adbd-*/adbd"))
    if not built:
        pytest.skip("adbd is not built; make conformance builds it")
    folder = tmp_path_factory.mktemp("adbd")
    # The path of a Unix socket is short.
    socket_path, port = f"/tmp/fedjoule-{os.getpid()}-{free_port()}", 15037
    with Phone(folder / "phone") as phone:
        # adbd gives its environment to its shells, but for HOME and TMPDIR.
        inside = [sys.executable, "-I", str(HERE / "in_namespace.py"), socket_path, str(port), str(built[-1])]
        words = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-r", "-n"]
        process = subprocess.Popen(
            [*words, *inside], env=phone.environment(), cwd=phone.folder,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if process.stdout.readline() != b"ready\n":
                pytest.skip("no network namespace can be made here, and adbd would listen on all interfaces")

            def connect() -> socket.socket:
                one = socket.socket(socket.AF_UNIX)
                one.connect(socket_path)
                return one

            relay = Relay(connect)
            try:
                yield phone, relay
            finally:
                relay.close()
        finally:
            process.stdin.close()
            process.stdout.close()
            process.wait(10)
            end_all(phone.mark)
            Path(socket_path).unlink(missing_ok=True)


@pytest.fixture
def connected(adb_server: AdbServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Let the adb server connect to an address, and return how our transports call it; disconnected afterwards."""
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(adb_server.port))
    addresses = []

    def connect(address: str) -> str:
        addresses.append(address)
        said = adb_server.adb("connect", address)
        assert b"connected to" in said.stdout, said.stdout
        return f"server:{address}"

    yield connect
    for address in addresses:
        adb_server.adb("disconnect", address)


@pytest.fixture(scope="session")
def opener(private_key: Path) -> Callable[[str], Callable[[], Transport]]:
    """How an address is opened with a key of these tests."""
    return lambda address: lambda: open_transport(address, key_folder=private_key)
