"""Bad state traces: refused as a whole, or dropped device by device and counted."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.flash import records
from traces.flash.records import Record, read_json, read_records
from traces.flash.states import States, read_states
from traces.report import Tally

GOOD = """2020-01-28 00:00:00\tscreen_lock
2020-01-28 00:00:01\tbattery_charged_on
2020-01-28 00:00:02\twifi
2020-01-28 00:00:09\tscreen_unlock"""


def device(**fields: object) -> dict[str, object]:
    return {"guid": "g", "model": "CPH1909", "messages": GOOD, **fields}


def read(data: bytes) -> tuple[list[Record], dict[str, int], dict[str, int]]:
    tally = Tally()
    found = list(read_records(data, tally))
    report = tally.report(len(found))
    return found, dict(report.dropped), dict(report.repaired)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (json.dumps({"0": device()}).encode()[:-40], "is not whole JSON: .* at character"),
        (b"", "is not whole JSON"),
        (b"[]", "must be a JSON object of devices .got a list"),
        (b"null", "got null"),
        (b"1e999", "got a number"),
        (b'"text"', "got a text"),
        (b"true", "got true or false"),
        (json.dumps({"0": device()}).encode().replace(b"CPH", b"\xff\xfe"), "must be UTF-8 .byte [0-9]+ is not"),
        (json.dumps({"0": device()}).encode().replace(b"CPH", b"\0"), "is not whole JSON: Invalid control character"),
        (b'{"0": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", "too deep"),
        (b'{"0": ' + b"[" * 50_000, "may have at most 40000 times '\\['"),
        (b'{"0": {"guid": ' + b"9" * 5000 + b"}}", "a number that cannot be read"),
        (b"[" + b'"",' * 400_000, "may have at most 320000 times '\"'"),
    ],
)
def test_files_that_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_states(data)


def test_no_more_is_read_than_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state_traces.json"
    path.write_bytes(json.dumps({"0": device()}).encode())
    assert read_states(path).guids == ("g",)
    monkeypatch.setattr(records, "STATES_MOST_BYTES", path.stat().st_size - 1)
    for source in (path, path.read_bytes()):
        with pytest.raises(ValueError, match=r"has more than [0-9]+ bytes, which is the most that is read; split"):
            read_states(source)
    # A line of 1 GB that takes no space on the disk.
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(ValueError, match="more than"):
        read_states(path)
    with pytest.raises(FileNotFoundError):
        read_states(tmp_path / "elsewhere.json")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "not a device"),
        ([], "not a device"),
        (float("nan"), "not a device"),
        ({}, "guid missing or not text"),
        (device(guid=7), "guid missing or not text"),
        (device(model=None), "model missing or not text"),
        (device(messages=[GOOD]), "messages missing or not text"),
        (device(messages=float("inf")), "messages missing or not text"),
        (device(), "guid there already"),
    ],
)
def test_what_is_no_device_is_dropped_and_counted(value: object, reason: str) -> None:
    found, dropped, repaired = read(json.dumps({"0": device(), "1": value, "2": device(guid="h")}).encode())
    assert found == [Record("g", "CPH1909", GOOD), Record("h", "CPH1909", GOOD)]
    assert (dropped, repaired) == ({reason: 1}, {})


def test_keys_and_fields_that_are_there_twice() -> None:
    one, other = json.dumps(device()), json.dumps(device(guid="h"))
    found, dropped, _ = read(f'{{"0": {one}, "0": {other}}}'.encode())
    assert [record.guid for record in found] == ["g"]
    assert dropped == {"key there already": 1}
    twice = other[:-1] + ', "messages": ""}'
    found, dropped, _ = read(f'{{"0": {one}, "1": {twice}}}'.encode())
    assert [record.guid for record in found] == ["g"]
    assert dropped == {"not a device": 1}


def test_messages_without_end_and_names_that_a_terminal_would_obey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MESSAGES_MOST_CHARACTERS", 200)
    data = {
        "0": device(),
        "1": device(guid="long", messages="x" * 201),
        "2": device(guid="h", model="\x1b[2J" + "m" * 300),
    }
    found, dropped, repaired = read(json.dumps(data).encode())
    assert found[1].model.startswith("?[2Jmmm")
    assert len(found[1].model) == 200
    assert dropped == {"more than 200 characters of events": 1}
    assert repaired == {"guid or model with control characters or too long": 1}


def test_a_byte_order_mark_is_no_harm() -> None:
    assert len(read(b"\xef\xbb\xbf" + json.dumps({"0": device()}).encode())[0]) == 1


def consistent(states: States, devices: int) -> None:
    a = states.availability
    assert a.traces == len(states.models) == len(states.guids) == len(states.begins) == states.report.kept >= 1
    assert a.traces <= devices
    assert (a.end_s > a.start_s).all()
    assert (a.period_s > 0).all()
    assert states.battery.charging.traces == states.wifi.traces == len(states.connections.offsets) - 1 == a.traces
    lost = [count for reason, count in states.report.dropped if not reason.startswith("ready intervals")]
    assert sum(lost) + a.traces == devices


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20) | st.just(GOOD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["guid", "model", "messages"]), inner),
    max_leaves=8,
)
LINES = st.lists(
    st.sampled_from([*GOOD.split("\n"), "2031-05-05 00:00:00\twifi", "", "\0", "x", "\t", "3%"]), max_size=8
)
DEVICE = st.fixed_dictionaries(
    {"guid": st.text(max_size=3), "model": st.text(max_size=3), "messages": LINES.map("\n".join)}
)


@given(st.dictionaries(st.text(max_size=3), JSON | DEVICE, max_size=5), st.sampled_from(["flash", "keep"]))
def test_any_json_is_read_or_refused(content: dict[str, object], odd: str) -> None:
    try:
        states = read_states(json.dumps(content).encode(), odd=odd)  # type: ignore[arg-type]
    except ValueError as error:
        assert str(error).isprintable()
        return
    consistent(states, len(content))


@given(st.data())
def test_damaged_files_are_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(json.dumps({"0": device(), "1": device(guid="h", messages=GOOD + "\n" + GOOD)}).encode())
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    cut = whole[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))]
    try:
        read_states(bytes(cut), odd="keep")
    except ValueError as error:
        assert str(error).isprintable()


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_refused(data: bytes) -> None:
    try:
        read_json(data, "the file")
    except ValueError as error:
        assert str(error).startswith("the file")
