"""The sampler that a campaign uses: the native one where a device runs it, the shell's else, and which one it was."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.campaign import measure
from profiler.campaign.phases import phases_of
from profiler.campaign.sampler import SHELL, Sampler, bring_sampler, quiet_cores, sampler_record
from profiler.campaign.session import Session
from profiler.campaign.source import Source
from profiler.campaign.workspace import Workspace, hash_here
from profiler.device.device import Core, Device
from profiler.names import has_control_characters
from profiler.power.samples import read_samples
from profiler.transport.address import open_transport

CAMPAIGN = "0123456789ab"
SOURCE = Source("powercap", "", {"energy0": "/proc/uptime", "freq_cpu0": "/proc/no such 'file'; touch owned"})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """This machine as a device, with a folder of its own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with Session(lambda: open_transport("local")) as session:
        device = session.probe()
        workspace = Workspace(session, device, CAMPAIGN)
        yield session, workspace, device
        workspace.close()


def stand_in(monkeypatch: pytest.MonkeyPatch, content: bytes, folder: Path) -> Path:
    """Let the build return a program of ours."""
    program = folder / "built"
    program.write_bytes(content)
    monkeypatch.setattr("profiler.native.build.built", lambda *_, **__: program)
    return program


def sampled(here: tuple[Session, Workspace, Device], sampler: Sampler) -> dict[str, bytes]:
    """Run a job of an idle device with the sampler and return what it left."""
    session, workspace, device = here
    lengths = measure.Lengths(idle_s=0.5, seconds=1.0)
    name = "001-idle-r1"
    started = measure.start(session, workspace, device, SOURCE, name, None, lengths, 0.1, sampler=sampler)
    until_s = time.monotonic() + 20
    while measure.state_of(session, workspace, started) != "done" and time.monotonic() < until_s:
        time.sleep(0.05)
    return measure.collect(session, workspace, started, None)


def test_this_machine_is_sampled_by_the_native_program(here: tuple[Session, Workspace, Device]) -> None:
    pytest.importorskip("ziglang", reason="needs ziglang to build it")
    sampler = bring_sampler(*here)
    assert sampler.words.startswith("native ")
    there = sampler.command.split()[0]
    assert hash_here(Path(there)) == sampler.words.removeprefix("native ")
    raw = sampled(here, sampler)
    samples, phases = read_samples(raw["samples"]), phases_of(raw)
    assert phases.start_s - 0.02 <= samples.time_s[0] <= samples.time_s[-1] <= phases.end_s + 0.02
    assert len(samples.time_s) >= 7
    record = sampler_record(raw)
    assert record is not None
    assert record["program"] == sampler.words
    assert record["rows"] == len(samples.time_s)
    assert set(record["read_us"]) == set(SOURCE.columns)
    assert record["jitter_us"]["mean"] <= record["jitter_us"]["max"]
    assert record["ended"] == "stop file"
    assert not list(Path(there).parent.parent.rglob("owned"))


def test_the_record_of_the_shells_sampler_has_the_same_facts(here: tuple[Session, Workspace, Device]) -> None:
    raw = sampled(here, SHELL)
    record = sampler_record(raw)
    assert record is not None
    assert record["program"] == "shell"
    assert record["rows"] == len(read_samples(raw["samples"]).time_s) >= 3
    assert set(record) == {"program", "rows", "late", "core_percent"}


CANNOT = {
    "a program of another machine": (b"\x7fELF\x02\x01\x01" + bytes(57), "the device does not run the native one"),
    "one that ends at once": (b"#!/bin/sh\necho 'no, \x1b[2J'\nexit 3\n", "(no,"),
    "another program": (b"#!/bin/sh\necho hello\n", "(hello)"),
    "one without a word": (b"#!/bin/sh\nexit 4\n", "(exit code 4)"),
}


@pytest.mark.parametrize("name", CANNOT)
def test_what_the_device_does_not_run_is_not_used(
    here: tuple[Session, Workspace, Device], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    content, why = CANNOT[name]
    stand_in(monkeypatch, content, tmp_path)
    sampler = bring_sampler(*here)
    assert sampler.command == ""
    assert sampler.words.startswith("shell: ")
    assert why in sampler.words
    assert not has_control_characters(sampler.words)


BROKEN = {
    "it ends at once": b"#!/bin/sh\necho why it ended >&2\nexit 7\n",
    "it dies": b"#!/bin/sh\nkill -9 $$\n",
    "it is no program": b"\x7fELF\x02\x01\x01" + bytes(57),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_native_sampler_that_cannot_begin_is_replaced_by_the_shells(
    here: tuple[Session, Workspace, Device], tmp_path: Path, name: str
) -> None:
    program = tmp_path / "broken"
    program.write_bytes(BROKEN[name])
    program.chmod(0o755)
    raw = sampled(here, Sampler(f"{program} --cpus 1", "native 0123"))
    record = sampler_record(raw)
    assert record is not None
    assert record["program"].startswith("shell: the native one ended with code ")
    assert ("why it ended" in record["program"]) == (name == "it ends at once")
    assert record["rows"] == len(read_samples(raw["samples"]).time_s) >= 3
    assert read_samples(raw["samples"]).torn == 0


def test_a_program_that_went_away_is_replaced_by_the_shells(here: tuple[Session, Workspace, Device]) -> None:
    raw = sampled(here, Sampler("/no/such/sampler", "native 0123"))
    record = sampler_record(raw)
    assert record is not None
    assert record["program"].startswith("shell: the native one ended with code 127")


def test_a_native_sampler_that_began_is_not_run_twice(here: tuple[Session, Workspace, Device], tmp_path: Path) -> None:
    """Killed half-way its rows are kept: another's after them would only be torn."""
    program = tmp_path / "dies"
    program.write_text(
        "#!/bin/sh\nwhile [ $# -gt 3 ]; do shift; done\n"
        'printf "fedjoule-samples 1\\ntime_s,energy0,freq_cpu0\\n1.00,5,\\n" >samples\nkill -9 $$\n'
    )
    program.chmod(0o755)
    raw = sampled(here, Sampler(str(program), "native 0123"))
    assert raw["samples.program"] == b"native 0123\n"
    assert read_samples(raw["samples"]).torn == 0
    assert list(read_samples(raw["samples"]).time_s) == [1.0]


def test_a_clock_that_is_not_the_jobs_leaves_it_to_the_shell(
    here: tuple[Session, Workspace, Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that shows its own uptime: rows by one clock, phases by another would be worthless."""
    pytest.importorskip("ziglang", reason="needs ziglang to build it")
    sampler = bring_sampler(*here)
    session, workspace, device = here
    root = Path(workspace.folder) / "root"
    (root / "proc").mkdir(parents=True)
    uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    (root / "proc/uptime").write_text(f"{uptime_s + 5000:.2f} 1.00\n")
    raw = started_with(session, workspace, replace(device, root=str(root), uptime_s=0.0), sampler)
    assert raw["samples.program"].startswith(b"shell: the native one ended with code 1 (sampler: --uptime shows")


def started_with(session: Session, workspace: Workspace, device: Device, sampler: Sampler) -> dict[str, bytes]:
    """Start a job whose clock stands still past its deadline, and return what it left at once."""
    lengths = measure.Lengths(idle_s=0.2, seconds=0.2)
    started = measure.start(session, workspace, device, SOURCE, "001-x-r1", None, lengths, 0.1, sampler=sampler)
    until_s = time.monotonic() + 20
    while "aborted" not in measure.state_of(session, workspace, started) and time.monotonic() < until_s:
        time.sleep(0.05)
    return measure.collect(session, workspace, started, None)


def test_nothing_is_built_where_nothing_can_be(
    here: tuple[Session, Workspace, Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    session, workspace, device = here

    def refuse(*_: Any, **__: Any) -> Path:
        message = "ziglang is not installed\nsecond line"
        raise ValueError(message)

    monkeypatch.setattr("profiler.native.build.built", refuse)
    assert bring_sampler(session, workspace, device) == Sampler("", "shell: ziglang is not installed")
    phone = replace(device, root="/somewhere")
    assert bring_sampler(session, workspace, phone) == Sampler("", "shell: the phone has a clock of its own")
    riscv = replace(device, kernel="Linux 6.1.0 riscv64", properties={})
    assert bring_sampler(session, workspace, riscv) == Sampler("", "shell: none is built for riscv64")


def cores(*max_khz: int | None) -> tuple[Core, ...]:
    return tuple(Core(number, khz) for number, khz in enumerate(max_khz))


def test_it_keeps_to_the_slowest_cores_and_off_the_busy_ones() -> None:
    phone = cores(1800, 1800, 1800, 1800, 2420, 2420, 2420, 2840)
    assert quiet_cores(phone) == 0x0F
    assert quiet_cores(phone, 0xF0) == 0x0F
    assert quiet_cores(phone, 0x03) == 0x0C
    assert quiet_cores(phone, 0xFF) == 0x0F  # none is free
    assert quiet_cores(cores(2000, 2000)) == 0  # all alike
    assert quiet_cores(cores(None, None)) == 0
    assert quiet_cores(cores(1800, None)) == 0
    assert quiet_cores(()) == 0


def test_the_cores_are_in_the_command(here: tuple[Session, Workspace, Device], monkeypatch: pytest.MonkeyPatch) -> None:
    session, workspace, device = here
    stand_in(monkeypatch, b"#!/bin/sh\necho fedjoule-sampler 1 x\n", Path(workspace.folder))
    phone = replace(device, cores=cores(1000, 1000, 2000, 2000))
    assert bring_sampler(session, workspace, phone).command.endswith(" --cpus 3")
    assert bring_sampler(session, workspace, phone, cpus="2").command.endswith(" --cpus 1")
    assert " " not in bring_sampler(session, workspace, replace(device, cores=cores(1000, 1000))).command


NATIVE = (
    b"rows 700 late 1 elapsed_cs 7000\n0m0.100000s 0m0.250000s\n0m0.000000s 0m0.000000s\nended deadline\n"
    b"program native abc\nmissed 2\njitter_us mean 36.5 sd 10.2 max 5000.0\ncpus f\nread_us current 3.5\n"
)


def test_a_native_samplers_cost() -> None:
    assert sampler_record({"samples.cost": NATIVE, "samples.program": b"native 12\n"}) == {
        "program": "native 12",
        "rows": 700,
        "late": 1,
        "core_percent": pytest.approx(0.5),
        "jitter_us": {"mean": 36.5, "sd": 10.2, "max": 5000.0},
        "read_us": {"current": 3.5},
        "ended": "deadline",
    }


@pytest.mark.parametrize("cost", [b"", b"\n" * 8000, b"rows 1 late 0 elapsed_cs 0\n0m0.1s 0m0.1s\n", b"rows x\n"])
def test_a_cost_that_was_not_written_is_none(cost: bytes) -> None:
    assert sampler_record({"samples.cost": cost, "samples.program": b"native 12\n"}) is None


@given(cost=st.binary(max_size=200) | st.binary(max_size=80).map(lambda tail: NATIVE + tail), program=st.binary())
def test_whatever_a_device_sends_is_a_record_or_none(cost: bytes, program: bytes) -> None:
    record = sampler_record({"samples.cost": cost, "samples.program": program})
    if record is not None:
        assert not has_control_characters(f"{record['program']}{record.get('ended', '')}")
        assert record["rows"] >= 0


def test_a_program_without_ziglang_says_what_to_install(
    here: tuple[Session, Workspace, Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)
    monkeypatch.setattr("profiler.native.compiler._zig", lambda: None)
    sampler = bring_sampler(*here)
    assert sampler.command == ""
    assert "ziglang is not installed" in sampler.words
