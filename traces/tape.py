"""A pickle as it is read: its bytes, the place reached, and the values laid aside. Their meaning is the reader's.

Nothing is imported, looked up or called, and Python's pickle has no part in it.
"""

from dataclasses import dataclass, field


@dataclass
class Tape:
    """Bytes that are read once, front to back. Every method raises ValueError for what the bytes do not hold."""

    raw: bytes | memoryview
    place: int = 0
    stack: list[object] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)

    def take(self, count: int, most: int) -> bytes | memoryview:
        """Return the next ``count`` bytes, ``most`` at most, as a piece of ``raw``."""
        if not 0 <= count <= min(most, len(self.raw) - self.place):
            message = f"announces {count:,} bytes at byte {self.place:,} of {len(self.raw):,}, where {most:,} is most"
            raise ValueError(message)
        self.place += count
        return self.raw[self.place - count : self.place]

    def line(self, most: int) -> bytes:
        """Return what stands before the next end of line, which is passed."""
        piece = bytes(self.raw[self.place : self.place + most])
        end = piece.find(b"\n")
        if end < 0:
            message = f"has no end of line within {most:,} bytes of byte {self.place:,}"
            raise ValueError(message)
        self.place += end + 1
        return piece[:end]

    def number(self, size: int, signed: bool = False) -> int:
        """Return the next whole number of ``size`` bytes, the lowest first."""
        return int.from_bytes(self.take(size, size), "little", signed=signed)

    def mark(self, most: int) -> None:
        """Remember how many values lie aside; ``most`` marks may stand at once."""
        if len(self.marks) >= most:
            message = f"is nested deeper than {most} at byte {self.place:,}"
            raise ValueError(message)
        self.marks.append(len(self.stack))

    def pop(self, count: int) -> list[object]:
        """Take the last ``count`` values; nothing below the last mark may be taken."""
        if len(self.stack) - (self.marks[-1] if self.marks else 0) < count:
            message = f"has too few values at byte {self.place:,}"
            raise ValueError(message)
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def since_mark(self) -> list[object]:
        """Take the last mark and the values since."""
        if not self.marks:
            message = f"has no mark at byte {self.place:,}"
            raise ValueError(message)
        begin = self.marks.pop()
        taken = self.stack[begin:]
        del self.stack[begin:]
        return taken

    def last(self) -> object:
        """Return the last value, which stays."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            message = f"has no value at byte {self.place:,}"
            raise ValueError(message)
        return self.stack[-1]

    def is_read(self) -> bool:
        """Return whether all is read and one value is left."""
        return len(self.stack) == 1 and not self.marks and self.place == len(self.raw)
