"""What may go wrong on a link, and when: faults at the n-th message of a device's life."""

from dataclasses import dataclass, field
from typing import Literal, get_args

Kind = Literal["drop_before", "drop_after", "stall", "corrupt", "garbage", "offline", "cut", "disk_full", "reboot"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# These can only be seen on a message the device sends: they strike the first such one from their number on.
_ON_SENDING: tuple[Kind, ...] = ("corrupt", "garbage", "cut")


@dataclass(frozen=True)
class Fault:
    """One fault at the ``at``-th message, counted from 1 over received and sent ones together.

    drop_before, drop_after: the connection is dropped, without or with that message having had its effect.
    stall: nothing is answered any more, the connection stays.   offline: the same, but every stream is refused.
    corrupt: one byte of a payload is wrong.   garbage: random bytes in place of a message.
    cut: half a message, then the connection drops.   disk_full: the file being stored, or the next one, is refused.
    reboot: the phone restarts; files stay, processes and the boot id do not.
    """

    kind: Kind
    at: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.at < 1:
            message = f"fault must be one of {', '.join(KINDS)} at message 1 or later (got {self.kind!r} at {self.at})"
            raise ValueError(message)


@dataclass
class FaultPlan:
    """Faults still to come; each strikes once."""

    faults: tuple[Fault, ...] = ()
    struck: list[Fault] = field(default_factory=list)

    def take(self, number: int, *, sent: bool, payload: bool) -> Kind | None:
        """Return the fault that strikes message ``number``, and count it as struck."""
        for fault in self.faults:
            if fault in self.struck or fault.at > number:
                continue
            if fault.kind in _ON_SENDING and not (sent and (payload or fault.kind != "corrupt")):
                continue
            self.struck.append(fault)
            return fault.kind
        return None
