"""A USB cable to a phone, by libusb; nothing else may hold it, least of all an adb server."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from profiler.names import printable
from profiler.transport.link import LinkLost, LinkRefused
from profiler.transport.wire import remaining_s

# libusb counts in milliseconds, and 0 of them mean for ever.
_SHORTEST_S = 0.002


class Cable:
    """A pipe over the USB device that ``find`` returns: one with adb-shell's ``connect``, ``bulk_read``, ...

    Raises LinkLost if there is none, LinkRefused if we may not use it. Whatever libusb raises later is LinkLost.
    """

    def __init__(self, find: Callable[[], Any], name: str) -> None:
        self._name = name
        self._cable: Any = None
        try:
            self._cable = find()
            self._cable.connect()
        except Exception as error:
            self.close()
            raise usb_error(error, name) from error

    def read(self, most: int, deadline: float) -> bytes:
        """Return between 1 and ``most`` bytes."""
        while True:
            data = self._transfer("bulk_read", most, deadline)
            if data:
                return bytes(data)

    def write(self, data: bytes, deadline: float) -> None:
        """Send all of ``data``."""
        while data:
            data = data[self._transfer("bulk_write", data, deadline) :]

    def close(self) -> None:
        """Let go of the cable; closing twice is no error."""
        cable, self._cable = self._cable, None
        if cable is not None:
            with suppress(Exception):  # one that was pulled out is closed enough
                cable.close()

    def _transfer(self, way: str, what: object, deadline: float) -> Any:
        timeout_s = max(remaining_s(deadline, self._name), _SHORTEST_S)
        try:
            return getattr(self._cable, way)(what, timeout_s)
        except Exception as error:
            raise usb_error(error, self._name) from error


def usb_error(error: Exception, name: str) -> LinkLost | LinkRefused:
    """Return our error for one of adb-shell's or libusb's, known by name, because neither package need be there."""
    kind = type(getattr(error, "usb_error", None) or error).__name__
    words = f"{kind}: {printable(error, 120)}"
    if kind == "USBErrorAccess":
        return LinkRefused(f"{name}: no permission for the USB device; add udev rules for Android phones ({words})")
    if kind == "USBErrorBusy":
        return LinkRefused(f"{name}: another program holds the cable; run 'adb kill-server' ({words})")
    return LinkLost(f"{name} does not answer over USB ({words}); is the cable in and USB debugging on?")
