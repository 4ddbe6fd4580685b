"""The synthetic fleets that come with the package, by name."""

import difflib
from pathlib import Path

from traces.report import clean
from traces.synthetic.statistics import Statistics
from traces.synthetic.statistics_file import read_statistics

_FOLDER = Path(__file__).parent


def built_in_fleets() -> tuple[str, ...]:
    """Return the names of the synthetic fleets that come with the package, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def find_statistics(name: str) -> Statistics:
    """Return the statistics of a built-in fleet. Raises ValueError naming those there are, and the likeliest."""
    known = built_in_fleets()
    if name not in known:
        near = difflib.get_close_matches(name.lower()[:100], known, 1)
        meant = f"; did you mean {near[0]!r}? There" if near else "; there"
        message = (
            f"there is no built-in fleet named {clean(name, 40)!r}{meant} are {', '.join(known)};"
            " or name a file or folder that is there"
        )
        raise ValueError(message)
    return read_statistics(_FOLDER / f"{name}.toml")
