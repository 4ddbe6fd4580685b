"""Network rates: what people write as ``10Mbit/s`` becomes bit/s."""

import re

# Upper and lower case tell bits from bytes only by convention, and public traces got it wrong by a factor of
# eight: "kb/s" in FLASH's speed file is used as kilobytes. So bits are spelled out, and "b" alone is refused.
_BITS = {"bit/s": 1, "kbit/s": 10**3, "Mbit/s": 10**6, "Gbit/s": 10**9}
_BITS |= {"bps": 1, "kbps": 10**3, "Mbps": 10**6, "Gbps": 10**9}
_BYTES = {"B/s": 8, "kB/s": 8 * 10**3, "MB/s": 8 * 10**6, "GB/s": 8 * 10**9}
_RATE = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?)\s*([A-Za-z/]+)\s*", re.ASCII)
PAPER_BIT_PER_S = 10e6  # the paper's experiments have 10 Mbit/s; for phones of which no rate is known
_SPELLING = {unit.casefold(): unit for unit in _BITS}


def parse_rate(text: str) -> float:
    """Return the rate in bit/s that ``text`` names, such as ``10Mbit/s``, ``500 kbps`` or ``1.25MB/s``.

    Bits may be written in any case (``10mbit/s``); bytes need the capital B. Raises ValueError if there is no
    unit, if the unit is ambiguous (``kb/s``) or unknown, or if the rate is not above zero.
    """
    match = _RATE.fullmatch(text[:100])
    example = "write a number and a unit, such as 10Mbit/s or 1.25MB/s"
    if match is None:
        message = f"bandwidth must be a rate above 0 (got {text[:40]!r}); {example}"
        raise ValueError(message)
    number, unit = float(match[1]), match[2]
    factor = _BYTES.get(unit) or _BITS.get(_SPELLING.get(unit.casefold(), ""))
    if factor is None:
        message = f"bandwidth has the unit {unit!r}, which is unknown or could mean bits or bytes; {example}"
        raise ValueError(message)
    if number <= 0:
        message = f"bandwidth must be above 0 (got {text[:40]!r}); {example}"
        raise ValueError(message)
    return number * factor


def format_rate(bit_per_s: float) -> str:
    """Return a rate in bit/s as people write it: ``10 Mbit/s``."""
    for unit in ("Gbit/s", "Mbit/s", "kbit/s"):
        if bit_per_s >= _BITS[unit]:
            return f"{bit_per_s / _BITS[unit]:g} {unit}"
    return f"{bit_per_s:g} bit/s"
