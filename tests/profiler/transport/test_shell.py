"""The reply of a shell, from bytes alone: pieces of every size, and line ends of old terminals."""

import shutil
import subprocess
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.transport.link import LinkLost, OutputTooLong
from profiler.transport.shell import CodedStream, Reply, new_tag, read_reply, wrapped

TAG = "0123456789abcdef" * 2
never = float("inf")


@dataclass
class Tape:
    """A stream that was recorded, cut into pieces."""

    pieces: list[bytes]
    closed: bool = False

    def read(self, most: int, deadline: float) -> bytes:
        while self.pieces and not self.pieces[0]:
            self.pieces.pop(0)
        if not self.pieces:
            return b""
        piece = self.pieces[0][:most]
        self.pieces[0] = self.pieces[0][most:]
        return piece

    def write(self, data: bytes, deadline: float) -> None:
        raise AssertionError(data)

    def close(self) -> None:
        self.closed = True


def cut(raw: bytes, sizes: list[int]) -> Tape:
    pieces = []
    for size in sizes:
        pieces.append(raw[:size])
        raw = raw[size:]
    return Tape([*pieces, raw])


lines = st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"x", TAG.encode(), TAG.encode() + b":", b"\0"]), max_size=8)
sizes = st.lists(st.integers(0, 40), max_size=12)


@given(output=st.binary(max_size=60) | lines.map(b"".join), code=st.integers(0, 255), sizes=sizes, old=st.booleans())
def test_a_reply_is_the_same_however_it_is_cut_and_whatever_its_line_ends(
    output: bytes, code: int, sizes: list[int], old: bool
) -> None:
    raw = output + f"{TAG}:{code}\n".encode()
    if old:
        raw = raw.replace(b"\n", b"\r\n")
    if TAG.encode() + b":" not in output:
        assert read_reply(cut(raw + b"late\n", sizes), TAG, len(output), never) == Reply(output, code)
        if output:
            with pytest.raises(OutputTooLong):
                read_reply(cut(raw, sizes), TAG, len(output) - 1, never)


def test_an_old_terminal_s_line_ends_are_no_output_even_if_every_one_is_cut_in_two() -> None:
    output = b"\n" * 500
    raw = (output + f"{TAG}:0\n".encode()).replace(b"\n", b"\r\n")
    assert read_reply(cut(raw, [1] * len(raw)), TAG, 500, never) == Reply(output, 0)


@given(raw=st.binary(max_size=100), sizes=sizes)
def test_an_end_without_the_tag_is_no_exit_code(raw: bytes, sizes: list[int]) -> None:
    assert read_reply(cut(raw, sizes), TAG, 100, never) == Reply(raw, None)
    assert read_reply(cut(raw + TAG.encode() + b":1", sizes), TAG, 200, never).code is None


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_no_more_is_read_than_the_limit_asks_for(end: bytes) -> None:
    tape = Tape([(b"y" + end) * 1000] * 1000)
    with pytest.raises(OutputTooLong, match="more than 10,000 bytes"):
        read_reply(tape, TAG, 10_000, never)
    assert len(tape.pieces) > 990


def test_the_tag_differs_each_time_and_no_echo_of_the_line_holds_it() -> None:
    assert len({new_tag() for _ in range(100)}) == 100
    assert TAG not in wrapped("true", TAG)


@pytest.mark.parametrize("shell", ["sh", "bash", "mksh", "busybox sh"])
@settings(max_examples=60)
@given(command=st.text(st.sampled_from("ab'\"`\\$#;&|(){}<>\n !~*"), max_size=12))
def test_no_command_breaks_out_of_its_word_in_any_shell(shell: str, command: str) -> None:
    """Its text is the one word after ``sh -c``, which is asked to print it here instead of running it."""
    words = shell.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"needs {words[0]}")
    line = wrapped(command, TAG).replace("(exec sh -c ", "(exec printf %s ")
    ended = subprocess.run([*words, "-c", line], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
    assert ended.stdout == command.encode() + f"{TAG}:0\n".encode()


def coded(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + len(content).to_bytes(4, "little") + content


@given(parts=st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=20)), max_size=5), sizes=sizes)
def test_the_second_protocol_gives_output_errors_and_code(parts: list[tuple[int, bytes]], sizes: list[int]) -> None:
    raw = b"".join(coded(kind, content) for kind, content in parts) + coded(3, b"\x07") + b"left over"
    stream = CodedStream(cut(raw, sizes))
    assert read_reply(stream, TAG, 1000, never) == Reply(b"".join(content for _, content in parts), None)
    assert stream.code == 7


@given(raw=st.binary(max_size=60) | st.builds(coded, st.integers(0, 255), st.binary(max_size=30)), sizes=sizes)
def test_no_bytes_break_the_second_protocol_but_by_losing_the_link(raw: bytes, sizes: list[int]) -> None:
    stream = CodedStream(cut(raw, sizes))
    try:
        reply = read_reply(stream, TAG, 1000, never)
    except LinkLost:
        return
    assert len(reply.output) <= len(raw)
    assert stream.code is None or 0 <= stream.code <= 255
