"""Android's own adbd, built from its source: our links, and that the emulated phone behaves as it does."""

from collections.abc import Callable
from typing import Any


def test_our_link_to_adbd(
    check: Callable[[Any], None], aosp_adbd: Any, place_of: Callable[..., Any], opener: Callable[..., Any]
) -> None:
    phone, relay = aosp_adbd
    check(place_of(phone, opener(relay.address), relay.cut, own_process=True))


def test_our_link_through_the_adb_server_to_adbd(
    check: Callable[[Any], None],
    aosp_adbd: Any,
    connected: Callable[[str], str],
    place_of: Callable[..., Any],
    opener: Callable[..., Any],
) -> None:
    phone, relay = aosp_adbd
    check(place_of(phone, opener(connected(relay.address)), relay.cut, own_process=True))


def test_adbd_gives_the_phones_folder_to_its_shells(aosp_adbd: Any, opener: Callable[..., Any]) -> None:
    phone, relay = aosp_adbd
    link = opener(relay.address)()
    try:
        assert link.run("echo $FEDJOULE_ROOT; getprop ro.fedjoule.emulated").text == f"{phone.folder}\n1\n"
    finally:
        link.close()
