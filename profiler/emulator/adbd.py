"""An ADB device over TCP on this machine, in a thread of this process, for an emulated phone."""

import asyncio
import socket
import threading
from types import TracebackType

from profiler.emulator.connection import Connection, Options
from profiler.emulator.faults import FaultPlan, Kind
from profiler.emulator.phone import Phone
from profiler.emulator.processes import end_all, obey_file_modes
from profiler.emulator.shell import Intercept, Shell

__all__ = ["EmulatedDevice", "Options"]


class EmulatedDevice:
    """A device that serves shells and files on 127.0.0.1 while it is open; whatever it started ends when it is closed.

    ``messages`` counts the protocol messages of its life, received and sent; ``plan`` says what goes wrong at which.
    ``intercept`` gets every command line and may answer it itself.
    """

    def __init__(
        self,
        phone: Phone,
        port: int = 0,
        options: Options | None = None,
        plan: FaultPlan | None = None,
        intercept: Intercept | None = None,
    ) -> None:
        self.phone, self.options, self.plan = phone, options or Options(), plan or FaultPlan()
        self.intercept = intercept
        self.messages = 0
        self.connections = 0  # as many have been made so far
        self.reboots = 0
        self._port = port
        self._disk_full = False
        self._open: set[Connection] = set()
        self._running: set[asyncio.Task[int]] = set()
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """Where to connect: ``127.0.0.1:41234``."""
        if self._socket is None:
            message = "the emulated device is not open; use it as a context manager"
            raise RuntimeError(message)
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> "EmulatedDevice":
        # Bound here, so that a port in use is the caller's error and the address is known at once.
        listening = socket.create_server(("127.0.0.1", self._port))
        self._port = listening.getsockname()[1]
        self._socket = listening
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(listening, ready)), name="emulated adbd")
        self._thread.start()
        ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop every connection and end everything that was started; closing twice is no error."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        thread.join()
        self._socket = None

    def drop_connections(self) -> None:
        """Drop every connection there is now, as a pulled cable does, and return when that is done."""
        if self._loop is not None and self._thread is not None:
            asyncio.run_coroutine_threadsafe(self._drop(wait=True), self._loop).result(timeout=30)

    def count(self, *, sent: bool, payload: bool) -> Kind | None:
        """Count a message and return the fault that strikes it."""
        self.messages += 1
        return self.plan.take(self.messages, sent=sent, payload=payload)

    def fill_disk(self) -> None:
        """Let the file being stored, or the next one, meet a full disk."""
        self._disk_full = True

    def take_disk_full(self) -> bool:
        """Return whether the disk is full for the file being stored; the one after finds room again."""
        full, self._disk_full = self._disk_full, False
        return full

    async def reboot(self) -> None:
        """Restart the phone: connections and processes end, the boot id and the clock begin anew, files stay."""
        self.reboots += 1
        await asyncio.to_thread(end_all, self.phone.mark)
        self.phone.reboot()
        await self._drop(wait=False)

    def shell(self) -> Shell:
        """How command lines are run on this device."""
        return Shell(
            self.options.shell_path,
            self.phone.environment(),
            self.phone.folder,
            self._running,
            self.options.returns_and_newlines,
            self.options.loses_tail,
            self.intercept,
        )

    async def _run(self, listening: socket.socket, ready: threading.Event) -> None:
        obey_file_modes()
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, sock=listening, backlog=100)
        ready.set()
        await self._stop.wait()
        server.close()
        await asyncio.to_thread(end_all, self.phone.mark)
        await self._drop(wait=True)
        # Once more: a command may have been started while the others ended.
        await asyncio.to_thread(end_all, self.phone.mark)
        if self._running:
            await asyncio.wait(self._running)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected = writer.get_extra_info("socket")
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections += 1
        connection = Connection(self, reader, writer)
        self._open.add(connection)
        try:
            await connection.serve()
        finally:
            self._open.discard(connection)

    async def _drop(self, *, wait: bool) -> None:
        for connection in list(self._open):
            connection.drop()
        while wait and self._open:
            await asyncio.sleep(0.001)
