"""The namespaced phone: it is a phone to whoever looks, it keeps to itself, and nothing of it is left."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from profiler.device.probe import probe
from profiler.transport.address import open_transport
from profiler.transport.detach import start_detached
from profiler.transport.link import LinkLost

HERE = Path(__file__).parent
TMP = "/data/local/tmp"
JOB = {f"sh {TMP}/job.sh", "sleep 1000"}
FEATURES = {"": "dotprod 1 i8mm 1", "max": "dotprod 1 i8mm 1", "cortex-a76": "dotprod 1 i8mm 0"}
# Opens a phone, leaves a job on it, says what it is, and waits to be killed.
DOOMED = """
import io, os, sys, time
sys.path[:0] = [{here!r}, {root!r}]
from pathlib import Path
from namespaced_phone import NamespacedPhone
from profiler.transport.address import open_transport
from profiler.transport.detach import start_detached
with NamespacedPhone(Path({folder!r})) as phone:
    link = open_transport(phone.address, key_folder=Path({keys!r}))
    link.push(io.BytesIO(b"sleep 1000"), "/data/local/tmp/job.sh")
    start_detached(link, "/data/local/tmp/job.sh", "/data/local/tmp/job.pid")
    print(os.readlink(f"/proc/{{phone.first_pid}}/ns/pid"), *phone.running().values(), flush=True)
    time.sleep(1000)
"""


def in_namespace(name: str) -> list[int]:
    """Return this machine's numbers of the processes in a namespace of processes."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/ns/pid") == name:
                found.append(int(pid))
        except OSError:
            continue
    return found


def machine_state() -> tuple[str, list[str]]:
    """Return what a phone might leave on this machine: mounts and interpreters."""
    binfmt = Path("/proc/sys/fs/binfmt_misc")
    return Path("/proc/self/mountinfo").read_text(), sorted(os.listdir(binfmt)) if binfmt.is_dir() else []


def wait_for(what: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    until_s = time.monotonic() + timeout_s
    while not (found := what()) and time.monotonic() < until_s:
        time.sleep(0.02)
    return found


def push_script(link: Any, text: str) -> str:
    link.push(io.BytesIO(text.encode()), f"{TMP}/job.sh")
    return f"{TMP}/job.sh"


def test_it_runs_arm64_and_leaves_nothing(
    open_phone: Any, user: int | None, built_c: Callable[[str], Path], link_to: Any, keys: Path
) -> None:
    before = machine_state()
    phone = open_phone(user=user)
    link = link_to(phone)
    with open(built_c("features"), "rb") as program:
        link.push(program, f"{TMP}/features", 0o755)
    assert link.run(f"{TMP}/features").text == "dotprod 1 i8mm 1\n"
    start_detached(link, push_script(link, "sleep 1000"), f"{TMP}/job.pid")
    link.close()
    namespace = os.readlink(f"/proc/{phone.first_pid}/ns/pid")
    assert len(in_namespace(namespace)) >= 3  # its first process, adbd, the job
    assert wait_for(lambda: set(phone.running().values()) == JOB)
    assert machine_state() == before
    phone.close()
    assert in_namespace(namespace) == []
    assert machine_state() == before
    with pytest.raises(LinkLost):
        open_transport(phone.address, key_folder=keys)


def test_it_dies_with_whoever_opened_it(open_phone: Any, phone_folder: Path, keys: Path) -> None:
    open_phone().close()  # skips where there can be none
    before = machine_state()
    text = DOOMED.format(here=str(HERE), root=str(HERE.parent.parent), folder=str(phone_folder / "own"), keys=str(keys))
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        namespace, _, rest = process.stdout.readline().partition(" ")
        assert "sleep 1000" in rest
        assert in_namespace(namespace)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert wait_for(lambda: not in_namespace(namespace))
    assert machine_state() == before


@pytest.mark.parametrize("cpu", FEATURES)
def test_the_processor_can_be_chosen(open_phone: Any, built_c: Callable[[str], Path], link_to: Any, cpu: str) -> None:
    link = link_to(open_phone(cpu=cpu))
    with open(built_c("features"), "rb") as program:
        link.push(program, f"{TMP}/features", 0o755)
    assert link.run(f"{TMP}/features").text.strip() == FEATURES[cpu]


def test_the_probe_finds_what_is_there(open_phone: Any, link_to: Any) -> None:
    link = link_to(open_phone())
    device = probe(link)
    assert device.emulated
    assert device.android
    assert device.root == ""
    assert (device.title, device.user) == ("fedjoule namespaced phone", "2000")
    assert device.says("ro.product.cpu.abi") == "arm64-v8a"
    assert device.kernel.endswith("aarch64")
    assert device.workspace == f"{TMP}/fedjoule"
    assert device.tools >= {"setsid", "taskset", "timeout", "nice", "sha256sum", "settings", "dumpsys"}
    assert not device.tools & {"perfetto", "su", "demo_trainer"}
    assert [(core.number, core.max_khz, core.governor) for core in device.cores] == [
        (0, 1_800_000, "schedutil"),
        (1, 2_400_000, "schedutil"),
    ]
    battery = device.supplies["battery"]
    assert set(battery.files) >= {"current_now", "voltage_now", "charge_counter", "temp", "capacity", "status"}
    assert device.supplies["usb"].files["online"] == "0"
    assert device.awake
    assert device.accelerators == ()
    assert abs(device.uptime_s - time.clock_gettime(time.CLOCK_BOOTTIME)) < 5


def test_it_keeps_to_itself(open_phone: Any, link_to: Any) -> None:
    phone = open_phone()
    link = link_to(phone)
    for path in ("/new", "/system/bin/new", "/usr/lib/new", "/sys/power/new", "/proc/sys/kernel/domainname"):
        assert "Read-only" in link.run(f"echo fedjoule >{path}").text, path
    # Other processes than its own, this test among them, are out of sight.
    commands = link.run("cat /proc/[0-9]*/cmdline").output
    assert b"adbd" in commands
    assert b"pytest" not in commands
    assert link.run("kill -9 1; echo on").text == "on\n"
    assert link.run("umount /proc").code != 0
    assert link.run("mount -t tmpfs none /data").code != 0
    assert link.run("ls /root /home /tmp").code != 0
    libraries = {name for name in ("lib", "lib64") if Path("/", name).exists()}
    own = {"bin", "data", "dev", "etc", "proc", "run", "sys", "system", "usr"}
    assert set(link.run("ls /").text.split()) == own | libraries


def test_a_cut_line_ends_the_command_and_not_the_phone(open_phone: Any, link_to: Any) -> None:
    phone = open_phone()
    link = link_to(phone)
    start_detached(link, push_script(link, f"sleep 0.5; echo done >{TMP}/done; sleep 1000"), f"{TMP}/job.pid")
    cutting = threading.Timer(0.3, phone.cut)
    cutting.start()
    with pytest.raises(LinkLost):
        link.run("sleep 20")
    cutting.join()
    link.reconnect()
    assert wait_for(lambda: link.run(f"cat {TMP}/done").text == "done\n")
    link.close()
    # What was in the foreground went with the line, what was detached did not.
    assert wait_for(lambda: set(phone.running().values()) == JOB)


def test_without_its_programs_it_says_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from namespaced_phone import NamespacedPhone, Unavailable

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match=r"^no phone .* adbd, mksh, .*toybox, unshare missing; 'make conformance'"):
        NamespacedPhone(tmp_path / "phone")


def test_without_namespaces_it_says_so_in_a_line(open_phone: Any, phone_folder: Path) -> None:
    open_phone().close()  # skips where there can be none
    text = (
        f"import sys; sys.path[:0] = [{str(HERE)!r}, {str(HERE.parent.parent)!r}]\n"
        "from pathlib import Path\n"
        "from namespaced_phone import NamespacedPhone, Unavailable\n"
        "try:\n"
        f"    NamespacedPhone(Path({str(phone_folder / 'own')!r})).__enter__()\n"
        "except Unavailable as error:\n"
        "    print(error)\n"
    )
    # In a namespace that allows no further ones.
    inner = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$0" -c "$1"'
    words = ["unshare", "--user", "--map-root-user", "sh", "-c", inner, sys.executable, text]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.startswith("no phone in namespaces here: unshare: ")
    assert done.stdout.count("\n") == 1
