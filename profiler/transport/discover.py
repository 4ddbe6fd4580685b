"""Which devices there are: those the adb server knows, those on a cable without it, and this machine."""

from dataclasses import dataclass

from profiler.names import printable
from profiler.transport.address import parse_address

_LONGEST_WORDS = 200


@dataclass(frozen=True)
class Found:
    """A device: what ``--device`` takes (empty where nothing can be used), its state, and words about it.

    All of it is safe to print. A place that cannot be searched is in the list too, in the state ``not searched``.
    """

    address: str
    state: str
    words: str


def discover() -> list[Found]:
    """Return the devices that can be seen now, in the order server, cable, this machine. It starts nothing."""
    return [*_on_server(), *_on_cables(), Found("local", "device", "this machine")]


def _on_server() -> list[Found]:
    from profiler.transport.server import list_phones

    try:
        return [_found(f"server:{serial}", state, words) for serial, state, words in list_phones()]
    except (OSError, ValueError) as error:
        return [_not_searched("adb server", error)]


def _on_cables() -> list[Found]:
    from profiler.transport.direct import usb_phones

    try:
        serials = usb_phones()
    except Exception as error:  # libusb has many
        return [_not_searched("USB without an adb server", error)]
    words = "on a cable; an adb server must not hold it"
    return [
        _found(f"usb:{serial}", "device", words)
        if serial
        else Found("usb", "no permissions", "on a cable; add udev rules for Android phones")
        for serial in serials
    ]


def _found(address: str, state: str, words: str) -> Found:
    try:
        usable = str(parse_address(address))
    except ValueError:  # a serial number that must not be passed on
        usable, words = "", f"{address}: {words}"
    return Found(usable, printable(state, 40), printable(words, _LONGEST_WORDS))


def _not_searched(place: str, error: Exception) -> Found:
    return Found("", "not searched", printable(f"{place}: {error}", _LONGEST_WORDS))
