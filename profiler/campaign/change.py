"""Changes of a device's state that a campaign makes, and how each is read, made and undone.

Nothing is changed unless asked for. Every change is written down, on the host and on the device, before it is made.
"""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from profiler.names import has_control_characters, printable
from profiler.transport.paths import checked_path

Kind = Literal["setting", "property", "file"]
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
# Below /sys or /proc, also those of an emulated phone, whose root is a folder with such a name.
_FILE = re.compile(r"(/[^/]+)*/fedjoule-phone-[A-Za-z0-9_]+/(sys|proc)/|/(sys|proc)/")
_VALUE = re.compile(r"[ -~]{0,200}")
_MISSING = "null"  # what `settings get` says of a setting that does not exist


@dataclass(frozen=True)
class Change:
    """One value to be set: an Android setting (``system/screen_brightness``), a property, or a file as root."""

    kind: Kind
    name: str
    value: str

    @property
    def words(self) -> str:
        """The change in words."""
        return f"{self.kind} {self.name} = {self.value}"

    @property
    def read_command(self) -> str:
        """The command that prints the present value."""
        if self.kind == "setting":
            return f"settings get {_words(self.name)}"
        return f"getprop {shlex.quote(self.name)}" if self.kind == "property" else f"cat {shlex.quote(self.name)}"

    def write_command(self, value: str) -> str:
        """Return the command that sets ``value``; what did not exist before is deleted again."""
        if self.kind == "setting":
            if value == _MISSING:
                return f"settings delete {_words(self.name)}"
            return f"settings put {_words(self.name)} {shlex.quote(value)}"
        if self.kind == "property":
            return f"setprop {shlex.quote(self.name)} {shlex.quote(value)}"
        # printf: a shell's echo may take a backslash or a leading -n for more than text.
        inner = f"printf '%s\\n' {shlex.quote(value)} > {shlex.quote(self.name)}"
        return f'if [ "$(id -u)" = 0 ]; then {inner}; else su 0 sh -c {shlex.quote(inner)}; fi'


@dataclass(frozen=True)
class Made:
    """A change with the value that stood there before."""

    change: Change
    old: str

    def as_entry(self) -> dict[str, Any]:
        """Return what the journal keeps of it."""
        return {**{f"change_{name}": value for name, value in asdict(self.change).items()}, "old": self.old}


def change_of(kind: str, name: str, value: str) -> Change:
    """Return a change, or raise ValueError if a name or value is not of the allowed kind."""
    if kind == "setting":
        namespace, _, key = name.partition("/")
        right = namespace in ("system", "secure", "global") and bool(_NAME.fullmatch(key))
    elif kind == "property":
        right = bool(_NAME.fullmatch(name))
    elif kind == "file":
        checked_path(name)
        right = _FILE.match(name) is not None
    else:
        right = False
    if not right or not _VALUE.fullmatch(value):
        message = f"{printable(kind, 20)} {printable(name)!r} = {printable(value)!r} is no change that can be undone"
        raise ValueError(message)
    return Change("setting" if kind == "setting" else "property" if kind == "property" else "file", name, value)


def rooted(change: Change, root: str) -> Change:
    """Return a change with its file below ``root``: an emulated phone's /sys is a folder, not this machine's."""
    return replace(change, name=root + change.name) if change.kind == "file" else change


def made_of(entry: Any) -> Made:
    """Return the change in a journal's entry. Raises ValueError if it is damaged."""
    parts = [entry.get(name) for name in ("change_kind", "change_name", "change_value", "old")]
    if not all(isinstance(part, str) for part in parts):
        message = "the journal's entry of a change is damaged; undo it by hand"
        raise ValueError(message)
    return Made(change_of(*parts[:3]), checked_old(parts[3]))


def checked_old(text: str) -> str:
    """Return the value a device had, if it can be set again as it is; else raise ValueError: do not change it."""
    value = text.strip("\r\n")
    if has_control_characters(value) or not _VALUE.fullmatch(value):
        message = f"the present value {printable(value)!r} cannot be put back; leave it as it is"
        raise ValueError(message)
    return value


def restore_script(made: Sequence[Made]) -> str:
    """Return the shell script that puts everything back, the last change first, and says what it did."""
    lines = ["# Puts back what a campaign of fedjoule changed. May be run more than once."]
    for each in reversed(made):
        lines.append(each.change.write_command(each.old))
        lines.append(f"echo {shlex.quote('restored ' + each.change.name)}")
    return "\n".join(lines) + "\n"


def not_restored(entries: Iterable[Any]) -> list[Made]:
    """Return the changes in a journal that were made and not put back, in the order they were made."""
    open_changes: list[Made] = []
    for entry in entries:
        if entry["kind"] == "changing":
            open_changes.append(made_of(entry))
        elif entry["kind"] == "restored":
            open_changes = [each for each in open_changes if each.change.name != entry.get("name")]
    return open_changes


def _words(name: str) -> str:
    namespace, _, key = name.partition("/")
    return f"{shlex.quote(namespace)} {shlex.quote(key)}"
