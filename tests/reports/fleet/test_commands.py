"""``fedjoule fleet describe``, ``convert`` and ``fetch`` as commands: what they print, write and refuse."""

import csv
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from reports.commands.fleet import fleet
from tests.web import serving
from traces.download import Download
from traces.fetch import PublicSet
from traces.folder import read_fleet

OWN = """phone,start_s,end_s,period_s,tier,download_bit_per_s,upload_bit_per_s
a,0,3600,86400,low,1000000,500000
b,7200,14400,86400,high,4000000,500000
b,36000,43200,86400,high,4000000,500000
"""
CONTENT = b"levels\n" * 1000


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "my_phones.csv"
    path.write_text(OWN)
    return path


def test_own_intervals_are_described(own: Path) -> None:
    done = CliRunner().invoke(fleet, ["describe", str(own)], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.output.startswith("The fleet my_phones: 2 phones\nmode: fleet;")
    assert "ready, mean             10.4 % of the time" in done.output  # (1 + 4) / 48
    assert "Tiers: low 50.0 %, high 50.0 %." in done.output
    assert hashlib.sha256(OWN.encode()).hexdigest()[:12] in done.output


def test_csv_names_its_mode_and_has_its_manifest_on_standard_error(own: Path) -> None:
    done = CliRunner().invoke(fleet, ["describe", str(own), "--format", "csv"], catch_exceptions=False)
    for part in done.stdout.split("\n\n"):
        assert {row["mode"] for row in csv.DictReader(part.splitlines())} == {"fleet"}
    assert done.stderr.startswith("command: fedjoule fleet describe; ")
    assert "\nversions: python " in done.stderr


def test_tables_and_a_picture_are_written(own: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    done = CliRunner().invoke(fleet, ["describe", str(own), "--out", str(out)], catch_exceptions=False)
    names = {path.name for path in out.iterdir()}
    assert names == {
        "fleet.csv", "fleet_hours.csv", "fleet_hardware.csv", "fleet_networks.csv", "fleet.md", "fleet.svg",
        "fleet.png", "manifest.json",
    }  # fmt: skip
    assert f"wrote {len(names)} files to {out}: " in done.stderr
    shares = np.loadtxt(out / "fleet_hours.csv", delimiter=",", skiprows=1, usecols=2)
    assert shares[[0, 1, 2, 3, 4]].tolist() == [0.5, 0.0, 0.5, 0.5, 0.0]


def test_a_manifest_names_no_option_that_the_fleet_has_no_use_for(own: Path) -> None:
    plain = CliRunner().invoke(fleet, ["describe", str(own)], catch_exceptions=False).output
    assert "seed = 0" in plain
    assert not any(f"{name} = " in plain for name in ("rule", "zone", "unknown", "long_slots"))
    given = CliRunner().invoke(fleet, ["describe", str(own), "--rule", "locked"], catch_exceptions=False).output
    assert "rule = locked" in given


def test_without_an_update_there_is_no_energy_of_one(own: Path) -> None:
    words = ["simulate", "--fleet", str(own), "--rounds", "1", "--dropout", "1"]
    words += ["--device-map", "default=Xiaomi 10:dsp", "--idle-w", "1"]
    done = CliRunner().invoke(fleet, words, catch_exceptions=False).stdout
    energy = next(line for line in done.splitlines() if "energy of a client-round" in line)
    assert energy.endswith("for each phone asked; there is no update")
    waiting = next(line for line in done.splitlines() if line.startswith(" waiting"))
    assert waiting.split() == ["waiting", "-", "0", "0"]


def test_a_converted_fleet_is_the_same_fleet(own: Path, tmp_path: Path) -> None:
    out = tmp_path / "fleets" / "mine"
    done = CliRunner().invoke(fleet, ["convert", str(own), "--out", str(out)], catch_exceptions=False)
    assert done.stdout == f"wrote 2 phones to {out}; give it as --fleet\n"
    written, _, _ = read_fleet(out)
    assert written.phones == 2
    assert written.availability is not None
    assert written.availability.end_s.tolist() == [3600.0, 14400.0, 43200.0]
    again = CliRunner().invoke(fleet, ["describe", str(out)], catch_exceptions=False)
    first = CliRunner().invoke(fleet, ["describe", str(own)], catch_exceptions=False)
    assert again.output.split("command:")[0] == first.output.split("command:")[0]


def test_what_became_of_the_traces_stays_with_the_fleet(own: Path, tmp_path: Path) -> None:
    own.write_text("phone,start_s,end_s\na,0,3600\nb,,\n")
    out = tmp_path / "mine"
    CliRunner().invoke(fleet, ["convert", str(own), "--out", str(out)], catch_exceptions=False)
    again = CliRunner().invoke(fleet, ["describe", str(out)], catch_exceptions=False).output
    assert re.search(r"left, but odd +phones that are never ready +1\n", again)


def test_an_option_without_effect_is_said(own: Path, tmp_path: Path) -> None:
    usual = ["describe", str(own)]
    given = ["--zone", "UTC", "--long-slots", "ready"]
    done = CliRunner().invoke(fleet, [*usual, *given], catch_exceptions=False)
    assert done.stderr.splitlines() == [
        "warning: --zone has no effect on this fleet: it is for FLASH's state traces",
        "warning: --long-slots has no effect on this fleet: it is for FedScale's availability",
    ]
    assert CliRunner().invoke(fleet, usual, catch_exceptions=False).stderr == ""
    raw = tmp_path / "state_traces.json"
    lines = ["2020-01-01 00:00:00\twifi", "2020-01-01 00:00:00\tbattery_charged_on", "2020-01-01 01:00:00\tscreen_lock"]
    lines += ["2020-01-01 02:00:00\tscreen_unlock", "2020-01-02 00:00:00\t2g"]
    raw.write_text(json.dumps({"1": {"guid": "1", "model": "m", "messages": "\n".join(lines)}}))
    for path in (raw, tmp_path):
        words = ["describe", str(path), "--rule", "locked", "--unknown", "present"]
        done = CliRunner().invoke(fleet, words, catch_exceptions=False)
        assert done.stderr == "warning: --unknown has no effect on this fleet: it is for FLASH's half hours\n"


def test_drawn_phones_are_as_many_as_asked_for(own: Path, tmp_path: Path) -> None:
    for seed, name in ((1, "x"), (1, "y"), (2, "z")):
        arguments = ["convert", str(own), "--phones", "500", "--seed", str(seed), "--out", str(tmp_path / name)]
        done = CliRunner().invoke(fleet, arguments, catch_exceptions=False)
        assert "wrote 500 phones" in done.stdout
    x, y, z = (read_fleet(tmp_path / name)[0].trace_of for name in "xyz")
    assert np.array_equal(x, y)
    assert not np.array_equal(x, z)


def test_anything_else_in_the_folder_is_left_alone(own: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="must be a new or empty folder"):
        CliRunner().invoke(fleet, ["convert", str(own), "--out", str(tmp_path / "full")], catch_exceptions=False)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["describe", "nosuch"], "no built-in fleet named 'nosuch'"),
        (["describe", "nosuch.csv"], "nosuch.csv"),
        (["describe", "paper", "--network", "10kb/s"], "could mean bits or bytes"),
        (["fetch", "leaf"], "there are flash and fedscale"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(arguments: list[str], words: str) -> None:
    with pytest.raises((ValueError, OSError), match=words) as caught:
        CliRunner().invoke(fleet, arguments, catch_exceptions=False)
    assert "\n" not in str(caught.value)


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving({"/levels.json": CONTENT}, monkeypatch) as found:
        yield f"{found.address}/levels.json"


@pytest.mark.parametrize("named", [True, False])
def test_public_traces_are_fetched(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, named: bool
) -> None:
    known = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    file = Download("levels.json", known, len(CONTENT), (address,))
    chosen = PublicSet("flash", "Phones", "BSD", "Somebody: Something, 2021", (file,))
    monkeypatch.setattr("traces.fetch.find_public_set", lambda _name: chosen)
    monkeypatch.setenv("FEDJOULE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "here" if named else tmp_path / "cache" / "fleets" / "flash"
    arguments = ["fetch", "flash", *(["--to", str(folder)] if named else [])]
    done = CliRunner().invoke(fleet, arguments, catch_exceptions=False)
    assert (folder / "levels.json").read_bytes() == CONTENT
    assert f"flash is in {folder}: fedjoule fleet describe shows it\n" in done.stdout
    assert "cite: Somebody: Something, 2021" in done.stdout
    assert done.stderr == "Phones: 0.0 MB, BSD\n"
