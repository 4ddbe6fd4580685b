"""Runs adbd in a network namespace of its own and lets one Unix socket in: adbd would listen on all interfaces.

    unshare -n python in_namespace.py <socket> <port> <adbd>

Prints "ready" once adbd listens; ends adbd with its standard input. Standard library only.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import subprocess
import sys
import time

_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


def bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        fcntl.ioctl(one, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def serve(path: str, port: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, back), copy(there, writer))

    server = await asyncio.start_unix_server(connected, path)
    async with server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    path, port, adbd = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    bring_loopback_up()
    environment = {**os.environ, "ADBD_PORT": str(port)}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([adbd], env=environment, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        until_s = time.monotonic() + 10
        while time.monotonic() < until_s:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.02)
        asyncio.run(serve(path, port))
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
