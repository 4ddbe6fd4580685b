"""The profiler as a person uses it: from the README's commands to the mistakes one makes."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from profiler.device.condition import CODES
from profiler.emulator.demo import Demo, demo_phone
from profiler.emulator.gauge import Gauge
from profiler.power.validity import MEANINGS

ROOT = Path(__file__).parent.parent
FEDJOULE = str(Path(sys.executable).parent / "fedjoule")
PLAN = """
[plan]
repetitions = 1
idle_s = 4
busy_s = 4
gauge_periods = 4
calibration_s = 8

[[workload]]
name = "demo"
use = "demo"
model = "lenet5"
precision = ["fp32", "int8"]
processor = "cpu"
batch_size = 5
"""
SOON = ["--keep", "invalid"]  # so short a load is flagged


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """An emulated phone in a hurry."""
    with demo_phone(speed=10, gauge=Gauge(noise=0.02)) as phone:
        yield phone


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return path


def is_one_line(done: Any, *parts: str) -> bool:
    lines = [line for line in done.stderr.splitlines() if not line.startswith("  ")]  # the preview is indented
    fits = len(lines) == 1 and lines[0].startswith("fedjoule: ") and all(part in lines[0] for part in parts)
    return bool(done.returncode == 2 and fits)


def test_the_commands_of_the_readme_work(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text().partition("## Measure a phone")[2]
    block = re.search(r"\n\n((?:    fedjoule .*\n|    kill .*\n)+)", text)
    assert block is not None
    commands = [line.strip() for line in block[1].splitlines()]
    assert [line.split()[1] for line in commands[:-1]] == ["demo-phone", "devices", "profile", "profile", "tables"]
    assert "&" in commands[0]
    phone = subprocess.Popen([FEDJOULE, "demo-phone", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert phone.stdout is not None
        address = re.search(r"127\.0\.0\.1:\d+", phone.stdout.readline())
        assert address is not None
        said = ""
        for line in commands[1:-1]:
            words = line.replace("127.0.0.1:15555", address[0]).split()
            done = subprocess.run(
                [FEDJOULE, *words[1:]], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280
            )
            assert done.returncode == 0, (line, done.stderr)
            assert "Traceback" not in done.stderr
            said = done.stdout
        assert said.count("fedjoule demo phone") == 3  # three configurations, shown
        assert (tmp_path / "demo.csv").read_text().count(",emulated,") == 3
        assert len(list((tmp_path / "demo.campaign" / "plots").glob("*.svg"))) == 6  # one of each repetition
    finally:
        phone.send_signal(signal.SIGTERM)
        phone.communicate(timeout=20)
    assert phone.returncode == 0


def test_devices_says_what_a_phone_is_and_what_speaks_against_it(fedjoule: Any, demo: Demo) -> None:
    demo.phone.change(charging=True)
    try:
        done = fedjoule("devices", "--device", demo.address)
    finally:
        demo.phone.change(charging=False)
    assert done.returncode == 0
    for words in ("fedjoule demo phone", "DEMO1", "uA, uV, - is discharge, news every", "[charging]", "emulated"):
        assert words in done.stdout


def test_a_preview_changes_and_writes_nothing(fedjoule: Any, demo: Demo, plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "phone.csv"
    done = fedjoule("profile", "--device", demo.address, "--plan", plan, "-o", out, "--preview")
    assert done.returncode == 0
    assert "2 x 1 = 2 measurements" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cwd", "plan.toml"]
    assert list(demo.phone.path("data/local/tmp").iterdir()) == []


def test_an_interrupted_campaign_is_resumed_and_loses_nothing(
    fedjoule: Any, demo: Demo, plan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "phone.csv"
    command = [FEDJOULE, "profile", "--device", demo.address, "--plan", str(plan), "-o", str(out), *SOON]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "phone.campaign" / "journal.jsonl"
    for _ in range(600):
        if journal.exists() and '"finished"' in journal.read_text():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "what runs on the device goes on to its end" in said
    assert f"to collect it and go on: fedjoule profile resume {out}\n" in said
    assert f"to stop it and put everything back: fedjoule profile restore {out}\n" in said
    assert not out.exists()
    again = fedjoule("profile", "--device", demo.address, "--plan", plan, "-o", out)
    assert is_one_line(again, "holds a campaign", "resume"), again.stderr
    done = fedjoule("profile", "resume", out)
    assert done.returncode == 0, done.stderr
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    finished = [entry["measurement"] for entry in entries if entry["kind"] == "finished"]
    assert len(finished) == len(set(finished)) == 2
    assert out.read_text().count("fedjoule demo phone") == 2
    assert list(demo.phone.path("data/local/tmp").iterdir()) == []  # nothing is left on the phone
    shown = fedjoule("profile", "table", out, "--keep", "invalid", "--energy", "net")
    assert shown.returncode == 0
    assert "energy: net" in out.read_text()
    drawn = fedjoule("profile", "plot", out, finished[0], "--picture", tmp_path / "a.png")
    assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert is_one_line(fedjoule("profile", "plot", out, "004-nothing"), "is not in")
    assert fedjoule("profile", "restore", out).returncode == 0


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["profile"], ["give --device ADDRESS and -o FILE.csv", "fedjoule devices"]),
        (["profile", "--device", "local", "-o", "phone.txt"], ["must end in .csv"]),
        (["profile", "--device", "no where", "-o", "a.csv"], ["device address", "HOST:PORT"]),
        (["profile", "--device", "127.0.0.1:99999", "-o", "a.csv"], ["a port is a number from 1 to 65535"]),
        (["profile", "--device", "127.0.0.1:1", "-o", "a.csv"], ["127.0.0.1:1"]),
        (["profile", "--device", "$(id)", "-o", "a.csv"], ["device address"]),
        (["profile", "--device", "local", "-o", "a.csv", "--processors", "dsp"], ["cpu only", "--workload"]),
        (["profile", "--device", "local", "-o", "a.csv", "--threads", "0"], ["--threads", "1<=x"]),
        (["profile", "--device", "local", "-o", "a.csv", "--plan", "my.toml", "--threads", "2"], ["workload file"]),
        (["profile", "--device", "local", "-o", "a.csv", "--plan", "absent.toml"], ["absent.toml"]),
        (["profile", "--device", "local", "-o", "a.csv", "--allow", "charge"], ["--allow", "charging"]),
        (["profile", "--device", "local", "-o", "a.csv", "--batch-sizes", "4,x"], ["whole numbers"]),
        (["profile", "--device", "local", "-o", "a.csv", "--repetitions", "0"], ["repetitions must be from 1"]),
        (["profile", "--device", "local", "-o", "a.csv", "--busy-s", "nan"], ["busy_s must be from"]),
        (["profile", "--device", "local", "-o", "a.csv", "--models", "resnet"], ["give --batch-sizes"]),
        (
            ["profile", "--device", "local", "-o", "a.csv", "--precisions", "fp99", "--processors", "cpu"],
            ["precision", "fp32"],
        ),
        (["profile", "--device", "local", "-o", "a.csv", "--root-write", "/etc/passwd=x"], ["no change that can be"]),
        (["profile", "--device", "local", "-o", "a.csv", "--root-write", "x"], ["PATH=VALUE"]),
        (
            ["profile", "--device", "local", "-o", "a.csv", "--models", "28x28x1:conv20k5,pool,conv50k5,pool,fc62"],
            ["--models '28x28x1:conv20k5'", "'-' between its parts", "28x28x1-conv20k5-pool"],
        ),
        (
            ["profile", "--device", "local", "-o", "a.csv", "--models", "lenet6", "--batch-sizes", "5"],
            ["--models 'lenet6'", "lenet5, vgg11, vgg16 or a description"],
        ),
        (
            ["profile", "--device", "local", "-o", "a.csv", "--precisions", "int4"],
            ["--precisions int4", "fp32 or int8"],
        ),
        (["profile", "--device", "local", "-o", "a.csv", "--batch-sizes", "70000"], ["--batch-sizes 70000", "65536"]),
        (["profile", "--device", "local", "-o", "a.csv", "--cpus", "f" * 64], ["--cpus ffff", "does not have"]),
        (["profile", "--device", "local", "-o", "a.csv", "--cpus", "0"], ["--cpus 0", "no core"]),
        (["profile", "resume", "absent.csv"], ["holds no campaign"]),
        (["profile", "restore", "absent.csv"], ["holds no campaign"]),
        (["profile", "table", "absent.csv"], ["holds no campaign"]),
        (["profile", "plot", "absent.csv"], ["holds no record"]),
        (["profile", "--device", "local", "resume", "a.csv"], ["--device goes after resume"]),
        (["devices", "--device", "a b"], ["device address"]),
        (["demo-phone", "--speed", "0"], ["speed"]),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    words: list[str], parts: list[str], fedjoule: Any, tmp_path: Path
) -> None:
    done = fedjoule(*words)
    assert is_one_line(done, *parts), (done.returncode, done.stdout, done.stderr)
    assert list((tmp_path / "cwd").iterdir()) == []


def test_a_program_that_is_not_told_what_to_do_is_not_measured_under_many_names(fedjoule: Any, tmp_path: Path) -> None:
    program = tmp_path / "mine.toml"
    program.write_text(
        PLAN.partition("[[workload]]")[1]
        + """
name = "mine"
reader = "regex"
pattern = "took (?P<time_ms>[0-9.]+) ms"
command = "echo took 5 ms"
model = "my-mlp"
dataset = "random"
precision = "fp32"
processor = "cpu"
batch_size = 4
"""
    )
    words = ("profile", "--device", "local", "--workload", program, "-o", tmp_path / "a.csv", "--preview")
    done = fedjoule(*words)
    assert done.returncode == 0, done.stderr  # as the file says it: once
    assert "1 x 5 = 5 measurements" in done.stderr
    deaf = fedjoule(*words, "--processors", "cpu,dsp", "--precisions", "int8")
    assert is_one_line(deaf, "has no {processor}", "under several names"), deaf.stderr
    assert is_one_line(fedjoule(*words, "--plan", "pipeline"), "has no {batch_size}")


def test_cores_that_are_not_there_are_refused_for_programs_of_the_users_own(
    fedjoule: Any, demo: Demo, plan: Path, tmp_path: Path
) -> None:
    words = ("profile", "--device", demo.address, "--plan", plan, "-o", tmp_path / "a.csv", "--preview")
    far = "1" + 50 * "0"  # core 200
    assert is_one_line(fedjoule(*words, "--cpus", far), "--cpus 1000", "does not have (200)")
    plan.write_text(PLAN.replace("[plan]", f'[plan]\ncpus = "{far}"'))
    assert is_one_line(fedjoule(*words), "plan, cpus 1000", "does not have (200)")
    assert fedjoule(*words, "--cpus", "1").returncode == 0


def test_every_code_and_flag_is_documented() -> None:
    refused = (ROOT / "docs" / "reference" / "profile.md").read_text()
    for code in CODES:
        assert f"| `{code}` |" in refused, code
    flags = (ROOT / "docs" / "background" / "measuring_energy.md").read_text()
    for code in MEANINGS:
        assert f"| `{code}` |" in flags, code


def test_every_key_of_a_plan_is_documented() -> None:
    from profiler.campaign.plan_file import _PLAN_KEYS

    page = (ROOT / "docs" / "reference" / "profile.md").read_text().partition("## Plans")[2].partition("## Power")[0]
    assert set(re.findall(r"^\| `([a-z_]+)` \|", page, re.M)) == set(_PLAN_KEYS)
