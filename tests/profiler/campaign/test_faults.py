"""Faults at the messages of a campaign: no finished measurement is lost, the phone is as before, the table the same."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from profiler.campaign.journal import Journal, read_journal
from profiler.campaign.rows import rows_of
from profiler.emulator.faults import Fault, FaultPlan, Kind
from profiler.table import write_table
from profiler.transport.link import Finished, LinkLost

MESSAGES = 3600  # of a campaign that nobody disturbs; a test looks
# Every how many messages a fault is tried; 1 tries each of them, in an hour or two.
EVERY = int(os.environ.get("FEDJOULE_FAULTS_EVERY", "67"))
# How many messages lie between two faults of one campaign, and how much sparser a slow kind of fault is tried.
KINDS: dict[Kind, tuple[int, int]] = {
    "drop_before": (220, 1),
    "drop_after": (220, 1),
    "cut": (220, 1),
    "garbage": (220, 1),
    "corrupt": (220, 1),
    "disk_full": (400, 3),
    "reboot": (700, 3),
    "stall": (700, 6),
    "offline": (700, 6),
}


def plans() -> list[tuple[Kind, int]]:
    """Return (kind, number of the first message) of every campaign."""
    return [
        (kind, first)
        for kind, (apart, sparser) in KINDS.items()
        for first in range(1 + hash_of(kind) % EVERY, apart + 1, EVERY * sparser)
    ]


def hash_of(kind: str) -> int:
    return sum(map(ord, kind))


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, str]:
    return {}


def run_to_its_end(instant: Any, address: str, folder: Path, tries: int = 30) -> list[Any]:
    """Run a campaign, and resume it as a person would after every error."""
    for _ in range(tries):
        try:
            return list(instant.run(address, folder))
        except (OSError, LinkLost):
            continue
    message = f"the campaign did not end in {tries} tries: {read_journal(folder)[-3:]}"
    raise AssertionError(message)


def expected_table(instant: Any, tmp_path: Path, undisturbed: dict[str, str]) -> str:
    if not undisturbed:
        with instant.open() as device:
            undisturbed["table"] = write_table(rows_of(instant.run(device.address, tmp_path / "undisturbed")).table)
            undisturbed["messages"] = str(device.messages)
    return undisturbed["table"]


def test_a_campaign_leaves_the_phone_as_it_was(instant: Any, tmp_path: Path, undisturbed: dict[str, str]) -> None:
    expected_table(instant, tmp_path, undisturbed)
    assert instant.left_changed() == []
    # On a busy machine fewer looks fit into a campaign.
    assert int(undisturbed["messages"]) < MESSAGES < 4 * int(undisturbed["messages"])
    made = [entry["change_name"] for entry in read_journal(tmp_path / "undisturbed") if entry["kind"] == "changing"]
    assert len(made) == 3  # so there was something to put back


@pytest.mark.parametrize(("kind", "first"), plans())
def test_faults_cost_nothing(
    kind: Kind,
    first: int,
    instant: Any,
    tmp_path: Path,
    undisturbed: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    for module in ("wire", "direct"):
        monkeypatch.setattr(f"profiler.transport.{module}.STALL_S", 1.0)
    expected = expected_table(instant, tmp_path, undisturbed)
    plan = FaultPlan(tuple(Fault(kind, at) for at in range(first, MESSAGES, KINDS[kind][0])))
    folder = tmp_path / "campaign"
    with instant.open(plan) as device:
        records = run_to_its_end(instant, device.address, folder)
    assert plan.struck, "no fault struck"
    record_property("faults", len(plan.struck))
    assert write_table(rows_of(records).table) == expected
    assert instant.left_changed() == []
    finished = [entry["measurement"] for entry in read_journal(folder) if entry["kind"] == "finished"]
    assert sorted(finished) == sorted({entry.name for entry in instant.plan.measurements()})  # each once, none again


class Killed(BaseException):
    """The host's process ends here; nothing it would still have done is done."""


class Mortal:
    """A link whose host dies at its n-th call, and stays dead."""

    def __init__(self, link: Any, life: list[int]) -> None:
        self._link, self._life = link, life
        self.name = link.name

    def _live(self) -> None:
        self._life[0] -= 1
        if self._life[0] < 0:
            raise Killed

    def run(self, command: str, timeout_s: float = 30.0, limit_bytes: int = 1 << 20) -> Finished:
        self._live()
        done: Finished = self._link.run(command, timeout_s, limit_bytes)
        self._live()
        return done

    def push(self, content: BinaryIO, path: str, mode: int = 0o644) -> None:
        self._live()
        self._link.push(content, path, mode)
        self._live()

    def pull(self, path: str, limit_bytes: int = 64 << 20) -> bytes:
        self._live()
        pulled: bytes = self._link.pull(path, limit_bytes)
        self._live()
        return pulled

    def reconnect(self) -> None:
        self._link.reconnect()

    def close(self) -> None:
        self._link.close()


@pytest.mark.parametrize("first", range(1, 60, 12))
def test_a_host_killed_anywhere_loses_nothing(
    first: int,
    instant: Any,
    tmp_path: Path,
    undisturbed: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    expected = expected_table(instant, tmp_path, undisturbed)
    folder, life, deaths = tmp_path / "campaign", [first], 0
    real_session, real_append = instant.session, Journal.append

    def append(journal: Journal, kind: str, **fields: object) -> None:
        if life[0] < 0:
            raise Killed
        real_append(journal, kind, **fields)

    def session(address: str) -> Any:
        made = real_session(address)
        inner = made._open_link
        made._open_link = lambda: Mortal(inner(), life)
        made.hang_up()
        return made

    monkeypatch.setattr(Journal, "append", append)
    monkeypatch.setattr(type(instant), "session", lambda _self, address: session(address))
    records: list[Any] = []
    with instant.open() as device:
        while not records:
            try:
                records = instant.run(device.address, folder)
            except Killed:
                deaths += 1
                life[0] = 60 + first + 30 * deaths  # the next one lives longer, so that there is an end
                assert deaths < 100
    assert deaths > 1
    record_property("faults", deaths)
    assert write_table(rows_of(records).table) == expected
    assert instant.left_changed() == []
