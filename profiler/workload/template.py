"""The template of a command: text with placeholders in braces, and the words it becomes."""

import re
import shlex
from collections.abc import Mapping

from profiler.names import did_you_mean, printable

PLACEHOLDERS = (
    "dir",
    "batches",
    "warmup",
    "seconds",
    "batch_size",
    "model",
    "dataset",
    "classes",
    "precision",
    "processor",
    "threads",
    "overlap",
    "stage",
)
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
# Text that means the same to a shell inside quotes, outside of them, and in a backquoted part.
_PLAIN = re.compile(r"[A-Za-z0-9._+@:,=/-]*")
_OPERATORS = frozenset({"|", "||", "&", "&&", ";", ";;", "<", ">", ">>", "<<", "(", ")", "2>", "2>&1", ">&2", "1>&2"})


def placeholders(template: str) -> frozenset[str]:
    """Return the names of the placeholders in a template. Raises ValueError for an unknown one or a stray brace."""
    found = set()
    for piece in _PIECE.finditer(template):
        name = piece.group(1)
        if name is None and piece.group() in "{}":
            message = (
                f"has a stray '{piece.group()}' at character {piece.start() + 1}; write '{{{{' or '}}}}' for a brace, "
                f"or one of {', '.join(PLACEHOLDERS)} in braces"
            )
            raise ValueError(message)
        if name is not None and name not in PLACEHOLDERS:
            near = did_you_mean(name, PLACEHOLDERS)
            message = f"has the unknown placeholder {{{printable(name, 40)}}}; {near} (all: {', '.join(PLACEHOLDERS)})"
            raise ValueError(message)
        if name is not None:
            found.add(name)
    return frozenset(found)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return the template with its placeholders replaced. Raises ValueError like ``placeholders``, or without value."""
    missing = sorted(placeholders(template) - values.keys())
    if missing:
        message = f"{', '.join(f'{{{name}}}' for name in missing)} stands in {printable(template)!r} and has no value"
        raise ValueError(message)
    return _PIECE.sub(lambda piece: values[piece.group(1)] if piece.group(1) else piece.group()[0], template)


def words(template: str) -> list[str]:
    """Return the words of a template, split as a shell would, placeholders still in them.

    Raises ValueError for an open quote, for nothing, and for what only a shell could do.
    """
    try:
        split = shlex.split(template)
    except ValueError as error:
        message = f"cannot be split into words ({error}); close the quote"
        raise ValueError(message) from error
    if not split:
        message = "must not be empty; give the program and its arguments"
        raise ValueError(message)
    for word in split:
        if word in _OPERATORS:
            message = f"has the word '{word}', which only a shell understands; set shell = true, or quote it out"
            raise ValueError(message)
    if split[0].startswith("-") or "=" in split[0]:
        message = f"must start with a program (got '{printable(split[0])}'); variables belong in environment"
        raise ValueError(message)
    return split


def quoted(template: str, values: Mapping[str, str]) -> str:
    """Return the template as a line for a shell in which every word is exactly one argument, whatever the values."""
    filled = [fill(word, values) for word in words(template)]
    if filled[0].startswith("-") or "=" in filled[0]:  # env would take it for an option or a variable
        message = f"the program must not start with '-' or hold '=' (got '{printable(filled[0])}')"
        raise ValueError(message)
    return shlex.join(filled)


def scripted(template: str, values: Mapping[str, str]) -> str:
    """Return a line that gives the template to a shell as a script.

    Where a placeholder stands inside quotes no quoting of ours would hold, so values must be plain: letters, digits and
    ``. _ + @ : , = / -``. Raises ValueError for any other.
    """
    for name in sorted(placeholders(template)):
        if name in values and not _PLAIN.fullmatch(values[name]):
            message = (
                f"{{{name}}} = {printable(values[name])!r} cannot stand in a shell command: only letters, digits and "
                f". _ + @ : , = / - can; rename it, or do without shell = true"
            )
            raise ValueError(message)
    return f"sh -c {shlex.quote(fill(template, values))}"
