"""Messages come back as they were, and nothing else passes for a message."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.emulator.wire import (
    CNXN,
    COMMANDS,
    LARGEST_PAYLOAD_BYTES,
    WRTE,
    BadMessage,
    Message,
    encode,
    read_message,
)

words = st.integers(0, 2**32 - 1)
messages = st.builds(Message, st.sampled_from(COMMANDS), words, words, st.binary(max_size=300))


def read(raw: bytes, *, checked: bool = True) -> Message:
    async def feed() -> Message:
        reader = asyncio.StreamReader()
        reader.feed_data(raw)
        reader.feed_eof()
        return await read_message(reader, checked=checked)

    return asyncio.run(feed())


@given(message=messages, checked=st.booleans())
def test_a_message_reads_back_as_it_was(message: Message, checked: bool) -> None:
    assert read(encode(message, checked=checked), checked=checked) == message


@given(message=messages.filter(lambda message: message.payload != b""), data=st.data())
def test_one_wrong_byte_in_a_payload_is_noticed_only_by_the_checksum(message: Message, data: st.DataObject) -> None:
    raw = bytearray(encode(message))
    raw[data.draw(st.integers(24, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadMessage, match="checksum"):
        read(bytes(raw))
    assert read(bytes(raw), checked=False) != message


@given(raw=st.binary(min_size=24, max_size=60))
def test_random_bytes_are_no_message(raw: bytes) -> None:
    with pytest.raises((BadMessage, asyncio.IncompleteReadError)):
        read(raw)


def test_a_payload_that_would_not_fit_is_refused_before_it_is_read() -> None:
    header = bytearray(encode(Message(WRTE)))
    header[12:16] = (LARGEST_PAYLOAD_BYTES + 1).to_bytes(4, "little")
    with pytest.raises(BadMessage, match="larger than"):
        read(bytes(header))


def test_the_words_are_the_protocols() -> None:
    assert (Message(CNXN).word, CNXN) == ("CNXN", 0x4E584E43)
