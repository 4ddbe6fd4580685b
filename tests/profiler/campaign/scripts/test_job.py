"""The job for real: its phases, its workload, and the limits that it keeps while the host is gone."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from profiler.campaign import job as jobs
from profiler.campaign import measure
from profiler.campaign.job import Job, job_files
from profiler.campaign.phases import Phases, phases_of
from profiler.campaign.source import Source, source_of
from profiler.device.device import Device
from profiler.device.probe import device_of, script
from profiler.emulator.phone import Phone
from profiler.power.dumpsys_battery import read_dumps
from profiler.power.samples import read_samples

Becomes = Callable[[Callable[[], bool]], bool]
Alive = Callable[[int], bool]


@pytest.fixture
def device(shell: Any, phone: Phone) -> Device:
    return device_of(shell.run("-c", script(), phone=phone), "a phone")


def prepare(shell: Any, device: Device, command: str, source: Source | None = None, **changes: Any) -> None:
    """Write the job's files; by default 4 s idle, 1 s between samples, and 300 s until the deadline."""
    values = {"idle_s": 4.0, "deadline_s": device.uptime_s + 300, "sample_period_s": 1.0, **changes}
    for name, content in job_files(Job(command, **values), device, source or source_of(device)).items():
        (shell.folder / name).write_bytes(content)


def left(shell: Any) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in shell.folder.iterdir() if path.is_file()}


def setting(shell: Any, **values: str) -> None:
    """Change settings of a prepared job: what a test cannot choose in any other way."""
    with open(shell.folder / "settings", "a") as file:
        file.writelines(f"{name}='{value}'\n" for name, value in values.items())


def test_the_phases_come_in_order_and_everything_is_kept(shell: Any, phone: Phone, device: Device) -> None:
    prepare(shell, device, "sleep 6; echo to out; echo to err >&2; exit 7")
    shell.run("./job.sh", phone=phone)
    raw = left(shell)
    assert raw["state"] == b"done\n"
    assert raw["workload.rc"] == b"7\n"
    assert sorted(raw["out.txt"].split(b"\n")) == [b"", b"to err", b"to out"]
    phases = phases_of(raw)
    assert phases.busy_start_s is not None
    assert phases.busy_end_s is not None
    idle_before_s, idle_after_s = phases.busy_start_s - phases.start_s, phases.end_s - phases.busy_end_s
    assert 3.9 < idle_before_s < 12
    assert 3.9 < idle_after_s < 12
    assert 5.9 < phases.busy_end_s - phases.busy_start_s < 16
    samples = read_samples(raw["samples"])
    assert samples.time_s[0] - phases.start_s < 4
    assert samples.time_s[-1] > phases.busy_end_s + 3  # the sampler runs through both idle sides
    assert set(samples.columns) == {"current", "voltage", "charge", "temperature", "level", "freq_cpu0", "freq_cpu1"}
    assert samples.column("level")[0] == 72
    assert samples.words["status"][0] == "Discharging"
    assert b"rows" in raw["samples.cost"]


def test_where_the_files_are_denied_dumps_are_taken_through_all_phases(
    shell: Any, phone: Phone, device: Device
) -> None:
    prepare(shell, device, "sleep 6", source=source_of(device, "dumpsys"))
    shell.run("./job.sh", phone=phone)
    raw = left(shell)
    phases, dumps = phases_of(raw), read_dumps(raw["dumps"])
    assert phases.busy_end_s is not None
    assert dumps.time_s[0] - phases.start_s < 3
    assert dumps.time_s[-1] > phases.busy_end_s + 2
    assert raw["dumps.cost"].startswith(b"rows ")


def test_an_idle_job_has_no_busy_phase(shell: Any, phone: Phone, device: Device) -> None:
    prepare(shell, device, "")
    shell.run("./job.sh", phone=phone)
    phases = phases_of(left(shell))
    assert phases == Phases(phases.start_s, None, None, phases.end_s)
    assert 7.9 < phases.end_s - phases.start_s < 24
    assert "workload.rc" not in left(shell)


def test_a_second_start_does_nothing(shell: Any, phone: Phone, device: Device) -> None:
    prepare(shell, device, "echo ran", idle_s=0.5)
    shell.run("./job.sh", phone=phone)
    before = left(shell)
    shell.run("./job.sh", phone=phone)
    assert left(shell) == before


def test_two_starts_at_once_are_one(shell: Any, phone: Phone, device: Device, tmp_path: Path) -> None:
    prepare(shell, device, f"echo ran >>{tmp_path}/ran", idle_s=0.5)
    started = [shell.start("./job.sh", phone=phone) for _ in range(4)]
    for process in started:
        process.communicate(timeout=20)
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert left(shell)["phases"].count(b"start,") == 2  # start and busy_start


def working(shell: Any) -> bool:
    pid = shell.folder / "workload.pid"
    return bool(pid.exists() and pid.read_text())


def abort(shell: Any, phone: Phone, becomes: Becomes, change: Callable[[], None]) -> str:
    """Start the job, make a change while its workload runs, and return its last state."""
    process = shell.start("./job.sh", phone=phone)
    assert becomes(lambda: working(shell))
    change()
    process.communicate(timeout=20)
    raw = left(shell)
    with pytest.raises(ValueError, match="did not say"):  # so that nobody takes it for a measurement
        phases_of(raw)
    assert "workload.rc" not in raw
    return raw["state"].decode()


def dumped(phone: Phone, **words: str) -> None:
    """Let dumpsys say something else."""
    lines = {"thermalservice": words.get("thermal", ""), "battery": words.get("battery", "")}
    cases = "".join(f"{name}) printf '%b' '{text}' ;;\n" for name, text in lines.items())
    phone.program("dumpsys", f"#!/bin/sh\ncase $1 in\n{cases}esac\n")


CHANGES: Mapping[str, tuple[Callable[[Phone], None], str]] = {
    "temperature": (lambda phone: phone.change(temperature_c=45.0), "aborted battery at 450 tenths of a degree C\n"),
    "level": (lambda phone: phone.change(level=15), "aborted battery at 15 %\n"),
    "thermal status": (lambda phone: phone.change(thermal_status=3), "aborted thermal status 3\n"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_limit_that_is_passed_ends_the_workload_and_is_named(
    shell: Any, phone: Phone, device: Device, becomes: Becomes, alive: Alive, what: str
) -> None:
    prepare(shell, device, "sleep 1000", idle_s=0.5)
    change, state = CHANGES[what]
    assert abort(shell, phone, becomes, lambda: change(phone)) == state
    assert not alive(int(left(shell)["workload.pid"]))


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ({"battery": "  temperature: 451\\n  level: 80\\n"}, "aborted battery at 451 tenths of a degree C\n"),
        ({"battery": "  level: 9\\n"}, "aborted battery at 9 %\n"),
        ({"thermal": "x\\nThermal Status: 4\\nThermal Status: 0\\n"}, "aborted thermal status 4\n"),
    ],
)
def test_where_no_file_can_be_read_dumpsys_is_asked(
    shell: Any, phone: Phone, device: Device, becomes: Becomes, words: dict[str, str], state: str
) -> None:
    prepare(shell, device, "sleep 1000", source=Source("none", "", {}), idle_s=0.5)
    assert abort(shell, phone, becomes, lambda: dumped(phone, **words)) == state


def test_values_just_inside_the_limits_end_nothing(shell: Any, phone: Phone, device: Device) -> None:
    phone.change(temperature_c=44.9, level=16)
    dumped(phone, thermal="Thermal Status: 2\\nThermal Status: 5\\n")  # the first status counts
    prepare(shell, device, "sleep 3", idle_s=0.5)
    shell.run("./job.sh", phone=phone)
    assert left(shell)["state"] == b"done\n"


NUMBERS = {"450": "temperature", "9999": "temperature", "15": "level", "0": "level", "-1": "level", "3": "status"}
NONSENSE = ["", "-", "--5", "5-5", "x", "$(touch owned)", "*", "9 9", "9" * 10, "9" * 25, "449", "16", "2"]


def test_only_a_number_beyond_its_limit_counts(shell: Any) -> None:
    """The job's own function, told one value after the other."""
    function = re.search(r"^limit\(\) \{\n.*?^\}\n", jobs.script("job.sh").decode(), re.MULTILINE | re.DOTALL)
    assert function is not None
    told = [f"why=; limit {kind} '{value}'; echo \"$why\"" for value, kind in NUMBERS.items()]
    kinds = {"449": "temperature", "16": "level", "2": "status"}
    told += [f"why=; limit {kinds.get(value, 'temperature')} '{value}'; echo \"$why\"" for value in NONSENSE]
    said = shell.run("-c", "\n".join(["HOTTEST_DECI_C=450 LOWEST_LEVEL=15 WORST_STATUS=3", function[0], *told]))
    lines = said.split("\n")[:-1]
    assert all(value in line for value, line in zip(NUMBERS, lines, strict=False))
    assert lines[len(NUMBERS) :] == [""] * len(NONSENSE)


def test_a_deadline_that_passes_ends_it(shell: Any, phone: Phone, device: Device) -> None:
    prepare(shell, device, "sleep 1000", idle_s=0.5, deadline_s=phone.clock.boottime_s() + 8)
    shell.run("./job.sh", phone=phone)
    assert left(shell)["state"].startswith(b"aborted deadline passed")


def test_a_limit_that_is_passed_already_lets_nothing_begin(shell: Any, phone: Phone, device: Device) -> None:
    phone.change(thermal_status=5)
    prepare(shell, device, "echo ran")
    shell.run("./job.sh", phone=phone)
    raw = left(shell)
    assert raw["state"] == b"aborted thermal status 5\n"
    assert "out.txt" not in raw
    assert b"busy_start" not in raw["phases"]
    assert raw["samples.cost"]  # the sampler has ended, too


@pytest.mark.parametrize("tools", [("setsid",), ()])
def test_the_host_may_stop_it_and_nothing_of_the_workload_stays(
    shell: Any, phone: Phone, device: Device, becomes: Becomes, alive: Alive, tmp_path: Path, tools: tuple[str, ...]
) -> None:
    if not tools:
        device = replace(device, tools=device.tools - {"setsid"})
    children = tmp_path / "children"
    prepare(shell, device, f"(trap '' TERM; echo started; sleep 900) & echo $! >>{children}; sleep 901", idle_s=0.5)

    def stop() -> None:
        assert becomes(children.exists)
        (shell.folder / "stop").touch()

    assert abort(shell, phone, becomes, stop) == "aborted stopped by the host\n"
    if tools:  # without it there is no group to kill, and a child that ignores signals stays
        assert becomes(lambda: not alive(int(children.read_text())))
    assert not alive(int(left(shell)["workload.pid"]))


def test_a_host_that_hangs_up_ends_nothing(shell: Any, phone: Phone, device: Device, becomes: Becomes) -> None:
    prepare(shell, device, "sleep 4; echo ran", idle_s=1.0)
    process = shell.start("./job.sh", phone=phone)
    assert becomes(lambda: (shell.folder / "phases").exists())
    os.killpg(process.pid, 1)
    process.communicate(timeout=20)
    raw = left(shell)
    assert (raw["state"], raw["out.txt"]) == (b"done\n", b"ran\n")


def test_a_workload_that_is_killed_ends_the_job(shell: Any, phone: Phone, device: Device, becomes: Becomes) -> None:
    prepare(shell, device, "sleep 1000", idle_s=0.5)
    process = shell.start("./job.sh", phone=phone)
    assert becomes(lambda: working(shell))
    pid = int((shell.folder / "workload.pid").read_text())
    assert becomes(lambda: os.getpgid(pid) == pid)
    os.killpg(pid, 9)
    process.communicate(timeout=20)
    raw = left(shell)
    assert raw["state"] == b"done\n"
    assert "workload.rc" not in raw  # which an analysis takes for what it is
    assert phases_of(raw).busy_end_s is not None


def test_output_without_end_is_cut_and_shows_in_the_exit_code(shell: Any, phone: Phone, device: Device) -> None:
    prepare(shell, device, f"while :; do echo {'y' * 500}; done", idle_s=0.5)
    setting(shell, FILE_BLOCKS="100")
    shell.run("./job.sh", phone=phone)
    raw = left(shell)
    assert raw["state"] == b"done\n"
    assert len(raw["out.txt"].replace(b"File size limit exceeded", b"").strip()) <= 100 * 512
    assert int(raw["workload.rc"]) > 128


def test_what_may_be_written_can_be_collected() -> None:
    text = jobs.settings(Job("x", 1, 1, 1), bare_device(), source_of(bare_device()))
    limit = re.search(r"^FILE_BLOCKS=(\d+)$", text, re.MULTILINE)
    assert limit is not None
    assert int(limit[1]) * 512 + 4096 <= measure._LIMIT_BYTES


def test_cores_are_chosen_by_taskset(shell: Any, phone: Phone, device: Device) -> None:
    prepare(shell, device, "grep Cpus_allowed: /proc/self/status", idle_s=0.5, cpus="1")
    shell.run("./job.sh", phone=phone)
    assert re.fullmatch(rb"Cpus_allowed:\s+0*1\n", left(shell)["out.txt"])


HOSTILE = st.text(alphabet=st.sampled_from("a'\"\\$`(){};|&<>\n\t *?~#!=-%é\x1b"), max_size=40)


@settings(max_examples=40)
@given(command=HOSTILE, name=HOSTILE, cpus=HOSTILE, trace=HOSTILE)
@example(command="'; touch owned; '", name="$(touch owned)", cpus="`touch owned`", trace="\ntouch owned\n")
@pytest.mark.parametrize("program", ["sh", "mksh"])
def test_settings_come_back_as_they_were_whatever_they_hold(
    tmp_path_factory: pytest.TempPathFactory, program: str, command: str, name: str, cpus: str, trace: str
) -> None:
    import shutil
    import subprocess

    if shutil.which(program) is None:
        pytest.skip(f"needs {program} on the PATH")
    folder = tmp_path_factory.mktemp("settings")
    source = Source("perfetto", "", {"temperature": name, "level": cpus})
    job = Job(command, 1.0, 2.0, 0.1, cpus, trace, native_sampler=name)
    text = jobs.settings(job, bare_device(), source)
    (folder / "settings").write_text(text)
    shown = [
        f'printf "%s\\0" "${key}"'
        for key in ("COMMAND", "TEMPERATURE_FILE", "CPUS", "PERFETTO_TRACE", "NATIVE_SAMPLER")
    ]
    done = subprocess.run(
        [program, "-c", f". ./settings; {'; '.join(shown)}"], cwd=folder, capture_output=True, check=True, timeout=20
    )
    assert done.stderr == b""
    assert done.stdout.decode().split("\0")[:-1] == [command, name, cpus, trace, name]
    assert [path.name for path in folder.iterdir()] == ["settings"]


def bare_device() -> Device:
    lines = ["@@fedjoule where", "workspace=/tmp/x", "@@fedjoule clock", "1.00 1", "@@fedjoule end", ""]
    return device_of("\n".join(lines), "a link")
