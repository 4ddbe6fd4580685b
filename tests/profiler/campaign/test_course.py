"""The course of a campaign: what goes wrong on the way costs what it must and no more."""

import io
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from profiler.campaign import measure
from profiler.campaign.campaign import AnotherCampaign, Choices, preview, records, run
from profiler.campaign.course import Event
from profiler.campaign.journal import Journal, read_journal
from profiler.campaign.plan import Plan
from profiler.campaign.record import write_record
from profiler.campaign.rows import rows_of
from profiler.campaign.workspace import hash_here
from profiler.transport.link import Finished, Transport
from profiler.workload.workload import DeviceFile

CAMPAIGN = "0123456789ab"


@dataclass
class Watched:
    """A link that remembers what went over it, and may change what is pushed."""

    link: Transport
    pushed: list[str]
    commands: list[str]
    change: Callable[[str, bytes], bytes] = field(default=lambda _, content: content)

    @property
    def name(self) -> str:
        return self.link.name

    def run(self, command: str, timeout_s: float = 30.0, limit_bytes: int = 1 << 20) -> Finished:
        self.commands.append(command)
        return self.link.run(command, timeout_s, limit_bytes)

    def push(self, content: BinaryIO, path: str, mode: int = 0o644) -> None:
        self.pushed.append(path)
        self.link.push(io.BytesIO(self.change(path, content.read())), path, mode)

    def pull(self, path: str, limit_bytes: int = 64 << 20) -> bytes:
        return self.link.pull(path, limit_bytes)

    def reconnect(self) -> None:
        self.link.reconnect()

    def close(self) -> None:
        self.link.close()


@dataclass
class Bench:
    """An emulated phone with ready results, whose link is watched."""

    instant: Any
    address: str
    folder: Path
    pushed: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    change: Callable[[str, bytes], bytes] = field(default=lambda _, content: content)

    def run(
        self, tell: Callable[[Event], None] = lambda _: None, plan: Plan | None = None, **choices: Any
    ) -> list[Any]:
        made = self.instant.session(self.address)
        inner = made._open_link
        made._open_link = lambda: Watched(inner(), self.pushed, self.commands, self.change)
        made.hang_up()

        def told(event: Event) -> None:
            self.events.append(event)
            tell(event)

        what = Choices(changes=self.instant.changes, **choices)
        with made as session, Journal(self.folder) as journal:
            seen = preview(session, plan or self.instant.plan, what, journal)
            return run(
                session, plan or self.instant.plan, what, self.folder, journal, seen, told, campaign="0123456789ab"
            )

    def result(self, measurement: str, file: str, content: bytes) -> None:
        self.instant.phone.write(f"run/results/{measurement}/{file}", content)

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.instant.plan.measurements()]

    def launched(self) -> Counter[str]:
        """How often the job of each measurement was started."""
        starts = [command for command in self.commands if "exec sh" in command and "job.sh" in command]
        return Counter(command.split("/job.sh")[0].rpartition("/")[2] for command in starts)

    def kinds(self, measurement: str) -> list[str]:
        return [entry["kind"] for entry in read_journal(self.folder) if entry.get("measurement") == measurement]


@pytest.fixture
def bench(instant: Any, tmp_path: Path) -> Iterator[Bench]:
    unchanged = replace(instant, changes=())
    with unchanged.open() as device:
        yield Bench(unchanged, device.address, tmp_path / "campaign")


def test_each_job_is_started_once_and_nothing_is_left(bench: Bench) -> None:
    found = bench.run()
    assert [each["measurement"] for each in found] == sorted(bench.names)
    assert bench.launched() == Counter(["000-calibration", *bench.names])
    assert {each["verdict"] for each in found} == {"valid"}
    assert bench.instant.left_changed() == []
    assert [event.done for event in bench.events if event.kind == "finish"] == [1, 2]
    again = bench.run()
    assert again == found
    assert sum(bench.launched().values()) == 3  # nothing is run again


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("workload.rc", b"3\n", "ended with code 3"),
        ("out.txt", b"", "no time of a batch in the output"),
        ("ended", b"aborted battery at 12 %\n", "battery at 12 %"),
        ("phases", b"start,1.00\n", "did not say when"),
        ("samples", b"junk", "samples cannot be read"),
    ],
)
def test_a_measurement_that_fails_is_an_invalid_record_and_the_campaign_goes_on(
    bench: Bench, file: str, content: bytes, said: str
) -> None:
    bench.result(bench.names[0], file, content)
    found = {each["measurement"]: each for each in bench.run()}
    bad = found.pop(bench.names[0])
    assert bad["verdict"] == "invalid"
    whats = [flag["what"] for flag in bad["flags"] if flag["severity"] == "invalid"]
    assert whats
    assert said in " ".join(whats)
    assert [each["verdict"] for each in found.values()] == ["valid"]
    rows = rows_of([bad, *found.values()])
    assert [line.split(":")[0] for line in rows.left_out] == [bench.names[0]]


def test_output_that_is_too_large_costs_its_measurement_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_LIMIT_BYTES", 1 << 20)
    bench.result(bench.names[0], "out.txt", b"x" * ((1 << 20) + 1))
    verdicts = {each["measurement"]: each["verdict"] for each in bench.run()}
    assert verdicts == {bench.names[0]: "invalid", bench.names[1]: "valid"}


def test_a_calibration_that_fails_stops_in_one_line_and_is_done_anew_by_a_resume(bench: Bench) -> None:
    bench.result("000-calibration", "workload.rc", b"1\n")
    bench.result("000-calibration", "out.txt", b"first\nno such model\n")
    with pytest.raises(
        ValueError, match="the gauge was not calibrated: its load ended with code 1: no such model"
    ) as caught:
        bench.run()
    assert "\n" not in str(caught.value)
    assert bench.instant.left_changed() == []
    good = bench.instant.phone.path(f"run/results/{bench.names[0]}/out.txt").read_bytes()
    bench.result("000-calibration", "workload.rc", b"0\n")
    bench.result("000-calibration", "out.txt", good)
    assert {each["verdict"] for each in bench.run()} == {"valid"}
    assert bench.launched()["000-calibration"] == 2


def test_a_phone_without_a_charge_counter_is_calibrated_and_resumed(bench: Bench) -> None:
    for name in ("000-calibration", *bench.names):
        path = bench.instant.phone.path(f"run/results/{name}/samples")
        lines = [line.split(b",") for line in path.read_bytes().splitlines()[1:]]
        place = lines[0].index(b"charge")
        kept = [b",".join(cell for number, cell in enumerate(cells) if number != place) for cells in lines]
        bench.result(name, "samples", b"\n".join([b"fedjoule-samples 1", *kept, b""]))

    def stop(event: Event) -> None:
        if event.kind == "begin" and event.what == bench.names[0]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.run(stop)
    assert {each["verdict"] for each in bench.run()} == {"valid"}
    assert bench.launched()["000-calibration"] == 1


def test_what_an_interrupted_run_left_running_is_collected_and_not_run_again(bench: Bench) -> None:
    def stop(event: Event) -> None:
        if event.kind == "begin" and event.what == bench.names[1]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.run(stop)
    assert bench.kinds(bench.names[1]) == ["started"]
    assert len(bench.run()) == 2
    assert bench.launched() == Counter(["000-calibration", *bench.names])


def test_a_job_whose_settings_were_put_back_under_it_is_run_again(bench: Bench, instant: Any) -> None:
    """It would have gone on with the screen bright, or the charger on, and nobody would have known."""
    bench.instant = instant

    def stop(event: Event) -> None:
        if event.kind == "begin" and event.what == bench.names[1]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.run(stop)
    assert instant.left_changed() == []
    assert bench.kinds(bench.names[1]) == ["started", "lost"]
    assert len(bench.run()) == 2
    assert bench.launched()[bench.names[1]] == 2
    assert instant.left_changed() == []


def test_a_resume_with_another_plan_or_phone_is_refused(bench: Bench) -> None:
    bench.run()
    with pytest.raises(AnotherCampaign, match="was begun with plan"):
        bench.run(plan=replace(bench.instant.plan, seed=1))
    bench.instant.phone.set_property("ro.product.model", "another phone")
    with pytest.raises(AnotherCampaign, match="was begun on fedjoule demo phone, this is fedjoule another phone"):
        bench.run()


def with_file(plan: Plan, path: Path) -> Plan:
    """The plan with one local file in all its workloads."""
    files = (DeviceFile(path, "models/model.bin", sha256=hash_here(path)),)
    return replace(plan, workloads=tuple(replace(each, files=files) for each in plan.workloads))


def test_a_file_is_pushed_once_for_all_workloads(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"weights")
    found = bench.run(plan=with_file(bench.instant.plan, path))
    assert [where for where in bench.pushed if "/files/" in where] == [
        f"{bench.instant.phone.folder}/data/local/tmp/fedjoule/{CAMPAIGN}/files/{hash_here(path)[:16]}"
    ]
    assert found[0]["workload"]["files_sha256"] == {"models/model.bin": hash_here(path)}
    assert bench.instant.left_changed() == []


def test_a_file_that_arrives_damaged_is_noticed(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"weights")
    bench.change = lambda where, content: content[::-1] if "/files/" in where else content
    with pytest.raises(OSError, match=r"model\.bin did not arrive whole on fedjoule demo phone; try again"):
        bench.run(plan=with_file(bench.instant.plan, path))
    assert bench.instant.left_changed() == []
    bench.change = lambda _, content: content
    assert len(bench.run(plan=with_file(bench.instant.plan, path))) == 2


def test_a_file_that_changed_since_the_plan_was_made_is_refused(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"weights")
    plan = with_file(bench.instant.plan, path)
    path.write_bytes(b"other weights")
    with pytest.raises(ValueError, match=r"model\.bin is another file than when the plan was made"):
        bench.run(plan=plan)


def patient(plan: Plan) -> Plan:
    """The plan with all the time in the world to cool down: these clocks run a thousand times too fast."""
    return replace(plan, timing=replace(plan.timing, cool_down_most_s=7200.0))


def test_a_warm_phone_is_waited_for(bench: Bench) -> None:
    waits = 0

    def tell(event: Event) -> None:
        nonlocal waits
        if event.kind == "begin" and event.what == "000-calibration":
            bench.instant.phone.change(temperature_c=28.2)
        if event.what.startswith("cooling down: battery"):
            waits += 1
            bench.instant.phone.change(temperature_c=28.2 if waits < 3 else 28.0)

    found = bench.run(tell, plan=patient(bench.instant.plan))
    assert waits == 3  # 27 C at first, and 1 C more is allowed
    assert {each["verdict"] for each in found} == {"valid"}


def test_a_phone_that_throttles_is_waited_for(bench: Bench) -> None:
    waits = 0

    def tell(event: Event) -> None:
        nonlocal waits
        if event.kind == "begin" and event.what == "000-calibration":
            bench.instant.phone.change(thermal_status=1)
        if event.what.startswith("cooling down: thermal"):
            waits += 1
            bench.instant.phone.change(thermal_status=0)

    assert {each["verdict"] for each in bench.run(tell, plan=patient(bench.instant.plan))} == {"valid"}
    assert waits == 1


def test_a_phone_that_stays_warm_is_measured_with_a_doubt(bench: Bench) -> None:
    plan = replace(bench.instant.plan, timing=replace(bench.instant.plan.timing, cool_down_most_s=30.0))

    def tell(event: Event) -> None:
        if event.kind == "begin" and event.what == "000-calibration":
            bench.instant.phone.change(temperature_c=35.0)

    begin = time.monotonic()
    found = bench.run(tell, plan=plan)
    assert time.monotonic() - begin < 200
    assert any(event.what.startswith("cooling down") for event in bench.events)
    for each in found:
        assert [flag["code"] for flag in each["flags"]] == ["drift"]
        assert each["verdict"] == "doubtful"


def test_records_of_more_than_a_thousand_measurements_stay_in_order(tmp_path: Path) -> None:
    names = [f"{number:03d}-a-r{number}" for number in (999, 1000, 1001, 101)]
    tables: dict[str, Any] = {
        "plan": {},
        "device": {},
        "source": {},
        "timing": {},
        "energy": {},
        "raw": {},
        "flags": [],
    }
    with Journal(tmp_path) as journal:
        for name in names:
            write_record(tmp_path, {**tables, "format": 1, "verdict": "valid", "measurement": name}, {})
            journal.append("finished", measurement=name)
        assert [each["measurement"] for each in records(tmp_path, journal)] == [names[3], *names[:3]]


def test_a_plan_that_only_looks_is_what_it_says(bench: Bench) -> None:
    """A preview changes nothing on the phone, and knows how much is left."""
    with bench.instant.session(bench.address) as session, Journal(bench.folder) as journal:
        seen = preview(session, bench.instant.plan, Choices(), journal)
    assert (seen.measurements, seen.finished, seen.refusal, seen.source.kind) == (2, 0, "", "sysfs")
    assert bench.instant.left_changed() == []
    assert not bench.instant.phone.path("data/local/tmp/fedjoule").exists()
    bench.run()
    with bench.instant.session(bench.address) as session, Journal(bench.folder) as journal:
        done = preview(session, bench.instant.plan, Choices(), journal)
    assert (done.measurements, done.finished, done.expected_s) == (2, 2, 0.0)
