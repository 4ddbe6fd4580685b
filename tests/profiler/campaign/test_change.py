"""Changes: what may be changed, how it is put back, and what of it a journal still holds."""

import shutil
import string
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from profiler.campaign.change import Change, Made, change_of, checked_old, made_of, not_restored, restore_script
from profiler.emulator.phone import Phone
from profiler.names import has_control_characters

SHELLS = [name for name in ("sh", "mksh") if shutil.which(name)]
_OLD = st.text(alphabet=string.printable.strip() + " ", max_size=30)
SETTING = Change("setting", "system/screen_brightness", "0")
PROPERTY = Change("property", "power.battery_input.suspended", "1")


def run(program: str, command: str, phone: Phone) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [program, "-c", command], env=phone.environment(), cwd=phone.folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def phone() -> Phone:
    with Phone() as one:
        yield one  # type: ignore[misc]


@pytest.mark.parametrize("program", SHELLS)
@settings(max_examples=40)
@given(old=_OLD)
@example(old="a\\nb\\c")
@example(old="-n")
@example(old="")
@example(old="'; touch owned; $(touch owned) `touch owned`")
def test_any_value_that_may_be_put_back_comes_back_as_it_was(phone: Phone, program: str, old: str) -> None:
    """Through the whole way: written, read and checked, changed, and written again by the script."""
    file = Change("file", str(phone.path("sys/class/x")), "changed")
    changes = [file] if old == "null" else [file, SETTING]  # null is how a missing setting reads
    phone.path("sys/class").mkdir(parents=True, exist_ok=True)
    asked: list[str] = []
    for change in changes:
        asked += [change.write_command(old), change.read_command, change.write_command(change.value)]
        asked.append(change.read_command)
    asked += [restore_script([Made(change, old) for change in changes])]
    asked += [change.read_command for change in changes]
    done = run(program, "\n".join(asked), phone)
    assert (done.returncode, done.stderr) == (0, "")
    wanted = [line for change in changes for line in (old, change.value)]
    wanted += [f"restored {change.name}" for change in reversed(changes)]
    assert done.stdout.split("\n") == [*wanted, *[old] * len(changes), ""]
    assert checked_old(old + "\r\n") == old
    assert not list(phone.folder.rglob("owned"))


@pytest.mark.parametrize("program", SHELLS)
@pytest.mark.parametrize("old", ["0", "", "it's $(x)"])
def test_a_property_comes_back_as_it_was(program: str, old: str) -> None:
    with Phone() as phone:
        phone.set_property(PROPERTY.name, old)
        assert checked_old(run(program, PROPERTY.read_command, phone).stdout) == old
        run(program, PROPERTY.write_command("1"), phone)
        assert phone.read(f"run/prop/{PROPERTY.name}") == "1"
        run(program, restore_script([Made(PROPERTY, old)]), phone)
        assert phone.read(f"run/prop/{PROPERTY.name}") == old


@pytest.mark.parametrize("program", SHELLS)
def test_a_setting_that_did_not_exist_is_deleted_again(program: str) -> None:
    with Phone() as phone:
        assert checked_old(run(program, SETTING.read_command, phone).stdout) == "null"
        run(program, SETTING.write_command("0"), phone)
        run(program, restore_script([Made(SETTING, "null")]), phone)
        assert not phone.path("run/settings/system/screen_brightness").exists()


@pytest.mark.parametrize("program", SHELLS)
def test_the_last_change_is_put_back_first(program: str) -> None:
    """Of two changes of one value, the first one's old value is what is left."""
    with Phone() as phone:
        script = restore_script([Made(SETTING, "80"), Made(SETTING, "0")])
        run(program, script, phone)
        run(program, script, phone)  # once more does no harm
        assert phone.read("run/settings/system/screen_brightness") == "80"


@pytest.mark.parametrize("old", ["a\nb", "\x1b[0m", "é", "\u202e", "x" * 201, "a\tb", "a\x00b"])
def test_a_value_that_cannot_be_put_back_is_not_changed(old: str) -> None:
    with pytest.raises(ValueError, match="cannot be put back") as caught:
        checked_old(old)
    assert not has_control_characters(str(caught.value))


@given(st.text(max_size=80))
def test_what_passes_is_what_was_there_but_for_the_line_end(text: str) -> None:
    try:
        value = checked_old(text)
    except ValueError:
        return
    assert text.strip("\r\n") == value
    assert not has_control_characters(value)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("setting", "system/screen_off_timeout", "60000"),
        ("setting", "global/low_power", ""),
        ("property", "debug.x-y_z", "a 'b' $(c)"),
        ("file", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance"),
        ("file", "/proc/sys/kernel/x", "1"),
    ],
)
def test_a_change_and_its_entry_say_the_same(kind: str, name: str, value: str) -> None:
    change = change_of(kind, name, value)
    assert (change.kind, change.name, change.value) == (kind, name, value)
    made = Made(change, "old value")
    assert made_of(made.as_entry()) == made


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("setting", "system", "1"),
        ("setting", "evil/x", "1"),
        ("setting", "system/a b", "1"),
        ("setting", "system/a;b", "1"),
        ("setting", "system/a/b", "1"),
        ("setting", "system/" + "a" * 101, "1"),
        ("property", "a b", "1"),
        ("property", "", "1"),
        ("property", "a$(b)", "1"),
        ("property", "ok", "a\nb"),
        ("property", "ok", "x" * 201),
        ("property", "ok", "é"),
        ("file", "/etc/passwd", "1"),
        ("file", "/home/me/sys/x", "1"),
        ("file", "/system/x", "1"),
        ("file", "relative", "1"),
        ("file", "/sys/../etc/passwd", "1"),
        ("file", "/sys/a b", "1"),
        ("dns", "x", "1"),
        ("", "", ""),
    ],
)
def test_what_cannot_be_undone_is_no_change(kind: str, name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"no change that can be undone|device path") as caught:
        change_of(kind, name, value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [{"old": None}, {"old": 1}, {"old": "a\nb"}, {"change_kind": "x"}, {"change_name": "../x"}, {"change_value": 5}],
)
def test_a_damaged_entry_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"by hand|undone|put back"):
        made_of({**Made(SETTING, "80").as_entry(), **damage})


_NAMES = ["system/a", "system/b", "global/c"]
_STEPS = st.lists(
    st.tuples(st.sampled_from(["changing", "restored", "finished"]), st.sampled_from(_NAMES), st.sampled_from("123"))
)


@given(_STEPS)
def test_what_is_open_is_what_was_changed_and_not_put_back_since(steps: Sequence[tuple[str, str, str]]) -> None:
    entries: list[dict[str, object]] = []
    model: list[tuple[str, str]] = []
    for kind, name, old in steps:
        if kind == "changing":
            entries.append({"kind": kind, **Made(Change("setting", name, "9"), old).as_entry()})
            model.append((name, old))
        else:
            entries.append({"kind": kind, "name": name})
            if kind == "restored":
                model = [each for each in model if each[0] != name]
    assert [(each.change.name, each.old) for each in not_restored(entries)] == model


def test_root_is_asked_for_only_where_we_are_not_root(tmp_path: Path) -> None:
    command = Change("file", "/sys/x", "1").write_command("o'ld")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("id", "echo 2000"), ("su", 'shift 3; echo "$#"; printf "%s" "$1"')):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    env = {"PATH": f"{programs}:/usr/bin:/bin"}
    said = subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, check=True).stdout
    count, _, inner = said.partition("\n")
    assert count == "1"  # one word for the root's shell
    assert "/sys/x" in inner
