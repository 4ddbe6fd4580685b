"""A phone that sends what no honest phone would: to see that nobody executes it, prints it or waits for its end."""

from typing import Literal, get_args

from profiler.emulator.phone import Phone

Kind = Literal["properties", "names", "numbers", "long_lines", "endless"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# If any of it is executed there is a file `pwned` somewhere; the escape sequence clears a terminal.
NASTY = "x'\"; touch pwned; $(touch pwned) `touch pwned`\x1b[2J\r\n[ro.fake]: [1]"
LONG_LINE_BYTES = 10_000_000


def make_hostile(phone: Phone, *kinds: Kind) -> None:
    """Let the phone lie in the ways named, in all if none is.

    properties: of quotes, substitutions, escape sequences and lines.   names: of a supply and a file.
    numbers: words, signs and overflow where the battery's numbers stand.   long_lines: 10 MB without an end.
    endless: dumpsys never stops printing.
    """
    for kind in kinds or KINDS:
        if kind == "properties":
            for name in ("ro.product.model", "ro.build.fingerprint", "ro.soc.model", "ro.product.cpu.abi"):
                phone.set_property(name, NASTY)
        elif kind == "names":
            name = NASTY.replace("/", "")
            phone.write(f"sys/class/power_supply/{name}/type", "Battery\n")
            phone.write(f"data/local/tmp/{name}", "")
        elif kind == "numbers":
            battery = "sys/class/power_supply/battery"
            for file, content in (("capacity", "-5"), ("temp", "9" * 400), ("charge_counter", NASTY), ("present", "")):
                phone.write(f"{battery}/{file}", content + "\n")
        elif kind == "long_lines":
            phone.set_property("ro.product.name", "n" * LONG_LINE_BYTES)
            phone.write("proc/version", b"v" * LONG_LINE_BYTES)
        else:
            phone.program("dumpsys", "#!/bin/sh\nexec yes 'level: 50'\n")
