"""Names as people type them: folding, nearest matches, and making foreign text safe to print."""

import difflib
import re
import unicodedata
from collections.abc import Iterable

# A point or hyphen between two digits is part of a number: 1.5 is not 15.
_SEPARATORS = re.compile(r"[\s_/()\[\]]|(?<!\d)[-.]|[-.](?!\d)")


def fold(name: str) -> str:
    """Return the form in which two spellings of one name are equal: ``VGG-16`` and ``vgg16``.

    Case, blanks and the separators ``- _ . / ( ) [ ]`` do not count, but for a point or hyphen between digits;
    ``+`` counts, because it tells phones apart.
    """
    return _SEPARATORS.sub("", name.casefold()) or name.casefold()


def nearest(name: str, choices: Iterable[str], limit: int = 3) -> list[str]:
    """Return up to ``limit`` of ``choices`` that look most like ``name``, best first."""
    by_fold: dict[str, str] = {}
    for choice in choices:
        by_fold.setdefault(fold(choice), choice)
    close = difflib.get_close_matches(fold(name)[:100], by_fold, n=limit, cutoff=0.5)
    return [by_fold[key] for key in close]


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return a clause for an error message: the nearest choices, or all of them when none is near or few exist."""
    known = list(choices)
    close = nearest(name, known)
    if close and len(known) > 3:
        return f"nearest: {', '.join(printable(choice) for choice in close)}"
    return f"known: {', '.join(printable(choice) for choice in known[:12]) or 'none'}"


def has_control_characters(text: str) -> bool:
    """Return whether ``text`` holds anything a terminal might act on (control, format, surrogate characters)."""
    return any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in text)


def printable(text: object, limit: int = 80) -> str:
    """Return ``text`` with control characters replaced by ``?`` and cut to ``limit`` characters."""
    raw = str(text)
    safe = "".join("?" if has_control_characters(character) else character for character in raw[: limit + 1])
    return safe if len(safe) <= limit else safe[: limit - 3] + "..."
