"""How a person names a device, and the link that leads there."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from profiler.names import printable
from profiler.transport.link import Transport
from profiler.transport.server import checked_serial

GRAMMAR = "local, usb, usb:SERIAL, HOST:PORT, [IPV6]:PORT, server:SERIAL or SERIAL"
_HOST = re.compile(r"(?!-)[A-Za-z0-9._-]{1,253}")
_HOST_PORT = re.compile(r"(?:\[(?P<six>[^\[\]]{2,100})\]|(?P<host>[^:\[\]]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class Address:
    """Where a device is: ``kind`` says which of the other fields count. ``str`` gives what can be parsed again."""

    kind: Literal["local", "usb", "tcp", "server"]
    host: str = ""
    port: int = 0
    serial: str = ""

    def __str__(self) -> str:
        if self.kind == "tcp":
            return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return f"{self.kind}:{self.serial}" if self.serial else self.kind


def parse_address(text: str) -> Address:
    """Return the address that ``text`` names, by ``GRAMMAR``. Raises ValueError."""
    if text == "local":
        return Address("local")
    if text == "usb":
        return Address("usb")
    head, colon, rest = text.partition(":")
    if colon and head in ("usb", "server"):
        return Address("usb" if head == "usb" else "server", serial=_serial(text, rest))
    if ":" not in text:
        return Address("server", serial=_serial(text, text))
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        raise _refusal(text, "a colon stands between host and port")
    port = int(match["port"])
    if not 1 <= port <= 65535:
        raise _refusal(text, "a port is a number from 1 to 65535")
    return Address("tcp", host=_host(text, match["host"], match["six"]), port=port)


def open_transport(address: str | Address, key_folder: Path | None = None, connect_timeout_s: float = 10) -> Transport:
    """Return an open link to the device at ``address``.

    ``key_folder`` holds the key shown to a phone without an adb server, see ``keys.find_key``. Raises ValueError for
    what is no address, LinkLost if the device is not there, LinkRefused if it does not let us in.
    """
    place = parse_address(address) if isinstance(address, str) else address
    if place.kind == "local":
        from profiler.transport.local import LocalTransport

        return LocalTransport()
    if place.kind == "server":
        from profiler.transport.server import AdbServerTransport

        return AdbServerTransport(place.serial, connect_timeout_s=connect_timeout_s)
    from profiler.transport.direct import AdbShellTransport

    return AdbShellTransport(
        place.host if place.kind == "tcp" else None,
        place.port,
        serial=place.serial or None,
        key_folder=key_folder,
        connect_timeout_s=connect_timeout_s,
    )


def _host(text: str, host: str | None, six: str | None) -> str:
    if six is not None:
        try:
            ipaddress.IPv6Address(six)
        except ValueError as error:
            raise _refusal(text, "an IPv6 address stands in the brackets") from error
        if re.fullmatch(r"[0-9A-Za-z:.%_-]+", six) is None:
            raise _refusal(text, "an IPv6 address stands in the brackets")
        return six
    if host is None or not _HOST.fullmatch(host):
        raise _refusal(text, "a host is letters, digits and . _ -")
    return host


def _serial(text: str, serial: str) -> str:
    try:
        return checked_serial(serial)
    except ValueError as error:
        raise _refusal(text, "a serial number is 1 to 128 letters, digits and . _ : - [ ]") from error


def _refusal(text: str, rule: str) -> ValueError:
    return ValueError(f"device address {printable(text)!r} must be {GRAMMAR}: {rule}")
