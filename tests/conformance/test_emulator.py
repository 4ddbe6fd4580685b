"""Our link without an adb server to the emulated phone: the list of checks that all the others must pass as well."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from profiler.emulator.adbd import EmulatedDevice, Options
from profiler.emulator.phone import Phone

OLD = Options(small_payloads=True, returns_and_newlines=True, shell_v2=False)


@pytest.mark.parametrize("options", [Options(), OLD, Options(wants_key=True)], ids=["new", "old", "key"])
def test_our_link_to_the_emulated_phone(
    check: Callable[[Any], None],
    options: Options,
    place_of: Callable[..., Any],
    opener: Callable[..., Any],
    tmp_path: Path,
) -> None:
    with Phone(tmp_path / "phone") as phone, EmulatedDevice(phone, options=options) as device:
        check(place_of(phone, opener(device.address), device.drop_connections))
