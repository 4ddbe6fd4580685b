"""A text file's lines, each within a bound: a line of a gigabyte is refused before it is read."""

import io
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from traces.report import clean
from traces.source_file import check_ordinary


class Lines:
    """Iterates over the lines of a file, or of bytes, in UTF-8, with their ends. Close it, or use it as a context."""

    def __init__(self, source: Path | bytes, most_bytes: int, most_line_bytes: int) -> None:
        self.name = clean(source, 300) if isinstance(source, Path) else "given bytes"
        self._most, self._most_line = most_bytes, most_line_bytes
        if isinstance(source, Path):
            check_ordinary(source)
        self._stream: IO[bytes] = source.open("rb") if isinstance(source, Path) else io.BytesIO(source)

    def __enter__(self) -> "Lines":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def __iter__(self) -> Iterator[str]:
        """Yield the lines. Raises ValueError with the line's number at one that is too long or no UTF-8."""
        number, come = 0, 0
        while line := self._stream.readline(self._most_line + 1):
            number, come = number + 1, come + len(line)
            if len(line) > self._most_line:
                message = f"{self.name}: line {number} is longer than {self._most_line:,} bytes; is it the right file?"
                raise ValueError(message)
            if come > self._most:
                message = f"{self.name}: has more than {self._most:,} bytes, the most that is read; split it"
                raise ValueError(message)
            if b"\0" in line:
                message = f"{self.name}: line {number} holds a NUL character; is it the right file?"
                raise ValueError(message)
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                message = f"{self.name}: line {number} is not in UTF-8; write the file anew as UTF-8"
                raise ValueError(message) from error
            yield text.removeprefix("\ufeff") if number == 1 else text
