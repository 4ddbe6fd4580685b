"""Opening fleets by name, file and folder; what is nothing of that says what to do."""

import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traces.fleet import uniform_fleet
from traces.folder import write_fleet
from traces.open import SYNTHETIC_PHONES, FleetOptions, OpenedFleet, open_fleet
from traces.synthetic import find_statistics, format_statistics

SHARED = Path(__file__).parents[2] / "../shared/data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the traces are not beside the checkout")

CLIENT = {"duration": 10, "active": [10], "inactive": [20], "finish_time": 86_400, "model": "LG-K350"}
CAPACITY = {"computation": 50.0, "communication": 2000.0}
EVENTS = ["screen_off", "screen_lock", "wifi", "battery_charged_on", "battery_charged_off"]
MESSAGES = "\n".join(f"2020-01-29 0{hour}:00:00\t{event}" for hour, event in enumerate(EVENTS))
DEVICES = {
    str(key): {"guid": f"g{key}", "model": model, "messages": MESSAGES}
    for key, model in enumerate(["Pixel 4", "CPH1909"])
}
SPEED = {"down_u": 1000.0, "down_sigma": 100.0, "up_u": 500.0, "up_sigma": 50.0}


def opened(text: object, **options: Any) -> OpenedFleet:
    return open_fleet(str(text), options=FleetOptions(**options))


def put(folder: Path, **files: object) -> Path:
    """Write files whose names have __ for a point: JSON, or bytes as they are."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / name.replace("__", ".")).write_bytes(raw)
    return folder


def flash(folder: Path, **more: object) -> Path:
    return put(
        folder,
        state_traces__json=DEVICES,
        benchmark2score__json={"Google Pixel 4": 33_289, "Google Nexus S": 383, "Xiaomi Redmi Note 7 Pro": 6702},
        real2benchmark__json={"Pixel 4": "Google Pixel 4", "CPH1909": "unknown"},
        supported_devices__json=["Google Nexus S", "Xiaomi Redmi Note 7 Pro", "Google Pixel 4"],
        speed_distri__json={"1": SPEED, "2": SPEED},
        **more,
    )


def test_flash_states(tmp_path: Path) -> None:
    path = put(tmp_path / "x", state_traces__json=DEVICES) / "state_traces.json"
    found = opened(path)
    assert found.fleet.hardware.models == ("Pixel 4", "CPH1909")
    assert found.fleet.availability is not None
    assert found.fleet.availability.end_s.tolist() == [14_400, 14_400]
    assert found.fleet.battery is not None
    assert found.report.flags[-1] == ("phones without rates, given 10 Mbit/s", 2)
    raw = path.read_bytes()
    assert found.files == (("state_traces.json", hashlib.sha256(raw).hexdigest(), len(raw)),)
    assert "locked" in found.fleet.source
    assert "screen off" in opened(path, rule="screen_off").fleet.source


def test_a_folder_of_flash(tmp_path: Path) -> None:
    found = opened(flash(tmp_path / "f"))
    assert found.fleet.hardware.tiers[0] == "high"
    assert found.fleet.hardware.tiers[1] in {"low", "medium", "high"}
    assert found.fleet.network.kind == "lognormal"
    assert found.fleet.network.download_bit_per_s.tolist() == [8e6, 8e6]
    assert dict(found.report.flags)["phones whose model has no score: tier drawn by FLASH's weights"] == 1
    assert {name for name, _, _ in found.files} == set(os.listdir(tmp_path / "f"))
    tiers = {opened(tmp_path / "f", seed=seed).fleet.hardware.tiers[1] for seed in range(20)}
    assert len(tiers) > 1
    assert len({opened(tmp_path / "f", seed=3).fleet.hardware.tiers[1] for _ in range(3)}) == 1


def test_a_folder_of_flash_without_states(tmp_path: Path) -> None:
    folder = put(tmp_path / "f", speed_distri__json={"1": SPEED})
    with pytest.raises(
        ValueError, match=r"must hold state_traces.json or availability_30min.npz; fedjoule fleet fetch"
    ):
        opened(folder)


@pytest.mark.parametrize("form", ["json", "pickle"])
def test_fedscale_files(tmp_path: Path, form: str) -> None:
    def written(whole: object) -> bytes:
        raw = json.dumps(whole).encode()
        return raw if form == "json" else pickle.dumps(json.loads(raw), 3)

    capacity = {1: CAPACITY, 2: {**CAPACITY, "computation": 100.0}, 4: CAPACITY}
    behaviour = {1: CLIENT, 2: CLIENT, 3: CLIENT}
    folder = put(
        tmp_path / "fedscale", client_behave_trace=written(behaviour), client_device_capacity=written(capacity)
    )
    found = opened(folder)
    assert found.fleet.phones == found.report.kept == 2
    assert found.fleet.name == "fedscale"
    assert found.fleet.hardware.models == ("LG-K350", "LG-K350")
    assert found.fleet.hardware.scores.tolist() == [20, 10]
    assert found.fleet.network.download_bit_per_s[found.fleet.network_of].tolist() == [2e6, 2e6]
    assert dict(found.report.dropped) == {
        "clients with availability and no capacity": 1,
        "clients with capacity and no availability": 1,
    }
    assert [name for name, _, _ in found.files] == ["client_behave_trace", "client_device_capacity"]
    alone = opened(folder / "client_behave_trace")
    assert alone.fleet.phones == 3
    assert dict(alone.report.flags) == {"phones without rates, given 10 Mbit/s": 3}
    always = opened(folder / "client_device_capacity")
    assert always.fleet.availability is None
    assert dict(always.report.flags) == {"phones always ready: no file says when they are": 3}
    assert always.fleet.hardware_of.tolist() == [0, 1, 0]


def test_fedscale_files_that_do_not_belong_together(tmp_path: Path) -> None:
    folder = put(tmp_path / "f", behave_trace_1__json={"1": CLIENT}, device_capacity_1__json={"2": CAPACITY})
    with pytest.raises(ValueError, match="no client is in both files"):
        opened(folder)


def test_long_slots_can_be_taken_for_absence(tmp_path: Path) -> None:
    long = {**CLIENT, "inactive": [90_000], "finish_time": 172_800}
    path = put(tmp_path / "f", behave__json={"1": long}) / "behave.json"
    assert opened(path).fleet.availability.end_s.tolist() == [90_000]  # type: ignore[union-attr]
    absent = opened(path, long_slots="absent").fleet
    assert absent.availability.end_s.tolist() == []  # type: ignore[union-attr]
    assert "taken for absence" in absent.source
    assert "taken for absence" not in opened(path).fleet.source


def test_own_files_and_folders(tmp_path: Path) -> None:
    csv = tmp_path / "mine.csv"
    csv.write_text("phone,start_s,end_s\na,0,10\n")
    found = opened(csv)
    assert found.fleet.name == "mine"
    assert found.files == (("mine.csv", hashlib.sha256(csv.read_bytes()).hexdigest(), csv.stat().st_size),)
    write_fleet(found.fleet, tmp_path / "written")
    again = opened(tmp_path / "written")
    assert again.fleet.source == found.fleet.source
    assert {name for name, _, _ in again.files} == set(os.listdir(tmp_path / "written"))


def test_phones_are_drawn_by_the_seed(tmp_path: Path) -> None:
    write_fleet(uniform_fleet("u", 50, model="m", soc="", tier="low", bit_per_s=1e6), tmp_path / "u")
    assert opened(tmp_path / "u", phones=20).fleet.phones == 20
    first, again, other = (opened(tmp_path / "u", phones=9, seed=seed).fleet.trace_of for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert opened(tmp_path / "u", phones=500).fleet.phones == 500
    assert opened(tmp_path / "u").fleet.phones == 50
    assert other.shape == (9,)


def test_another_network(tmp_path: Path) -> None:
    write_fleet(uniform_fleet("u", 50, model="m", soc="", tier="low", bit_per_s=1e6), tmp_path / "u")
    constant = opened(tmp_path / "u", network="2 MB/s").fleet
    assert constant.network.download_bit_per_s.tolist() == [16e6]
    assert constant.source.endswith("network 16 Mbit/s, constant")
    put(tmp_path, speed__json={"1": SPEED, "2": {**SPEED, "up_u": 600.0}}, run__csv=b"throughput_mbps\n1\n3\n")
    users = opened(tmp_path / "u", network=str(tmp_path / "speed.json"))
    assert users.fleet.network.kind == "lognormal"
    assert set(users.fleet.network_of.tolist()) == {0, 1}
    assert users.files[-1][0] == "speed.json"
    run = opened(tmp_path / "u", network=str(tmp_path / "run.csv"))
    assert run.fleet.network.kind == "trace"
    assert run.files[-1][0] == "run.csv"
    for text, words in (
        ("10kb/s", "network must be a rate"),
        ("-1Mbit/s", "network must be a rate"),
        (str(tmp_path / "u" / "fleet.json"), "holds no speeds"),
        ("", "network must be a rate"),
    ):
        with pytest.raises(ValueError, match=words):
            opened(tmp_path / "u", network=text)
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "u", network="none.csv")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.zip", b"PK", "is of no known kind; known are fleet.json"),
        ("x.json", b"{}", "holds no traces of FedScale"),
        ("x.json", b"[]", "must be an object of clients by their ids"),
        ("x.json", b'{"1": {"acti', "no whole JSON file"),
        ("x.json", json.dumps({"1": SPEED}).encode(), "holds network speeds and no phones; name it with --network"),
        ("x.pkl", b"cos\nsystem\n(S'true'\ntR.", "names 'os system'"),
        ("x", b"", "neither JSON nor a pickle"),
        ("x.npz", b"PK", "half hours"),
        ("x.csv", b"", "the first line must name the columns"),
        ("x.parquet", b"", "no whole Parquet file"),
    ],
)
def test_files_of_no_known_kind(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        opened(tmp_path / name)


def test_places_without_a_fleet(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no fleet; known are fleet\.json"):
        opened(tmp_path)
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "none.json")
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "none")
    with pytest.raises(ValueError, match="ordinary file"):
        opened("/dev/zero")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rule": "unlocked"}, "rule must be locked or screen_off"),
        ({"unknown": "maybe"}, "unknown must be absent or present"),
        ({"long_slots": "x\x1b"}, r"long_slots must be ready or absent \(got 'x\?'\)"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"phones": 0}, "phones must be at least 1"),
        ({"zone": "Mars/Olympus"}, "Mars/Olympus"),
    ],
)
def test_options_that_are_none(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FleetOptions(**options)


@needs_shared
def test_the_public_parts() -> None:
    half_hours = opened(SHARED / "flash")
    assert half_hours.fleet.phones == 723
    assert half_hours.fleet.network.profiles == 19
    assert opened(SHARED / "flash/availability_30min.npz", unknown="present").fleet.phones == 723
    clients = opened(SHARED / "fedscale")
    assert clients.fleet.phones == 100
    assert np.unique(clients.fleet.network_of).size == 100
    assert SYNTHETIC_PHONES == 10_000


def test_built_in_names_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_fleet(uniform_fleet("u", 5, model="m", soc="", tier="low", bit_per_s=1e6), tmp_path / "flash")
    write_fleet(uniform_fleet("u", 5, model="m", soc="", tier="low", bit_per_s=1e6), tmp_path / "mine")
    assert opened("flash", phones=70).fleet.phones == 70
    assert opened("./flash").fleet.phones == 5
    assert opened("mine").fleet.phones == 5
    assert opened("mine", phones=7).fleet.phones == 7
    made = opened("flash", seed=3)
    assert (made.fleet.phones, made.report.kept, made.files) == (SYNTHETIC_PHONES, SYNTHETIC_PHONES, ())
    again = opened("flash", seed=3)
    np.testing.assert_array_equal(made.fleet.trace_of, again.fleet.trace_of)
    with pytest.raises(ValueError, match="flash"):
        opened("flush")


def test_statistics_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(format_statistics(find_statistics("paper")), "utf-8")
    found = opened(path, phones=30)
    assert found.fleet.phones == 30
    assert found.files[0][0] == "mine.toml"
    assert opened(path, phones=30, network="5 Mbit/s").fleet.network.download_bit_per_s.tolist() == [5e6]
    path.write_text("[", "utf-8")
    with pytest.raises(ValueError, match=r"mine\.toml"):
        opened(path)
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "none.toml")


def test_a_pipe_among_the_tables_of_flash_is_refused(tmp_path: Path) -> None:
    tables = {
        "benchmark2score.json": {"Nexus": 1, "Redmi": 2, "Pixel 4": 3},
        "real2benchmark.json": {},
        "supported_devices.json": ["Nexus", "Redmi", "Pixel 4"],
        "state_traces.json": DEVICES,
    }
    folder = put(tmp_path / "f", **{name.replace(".", "__"): table for name, table in tables.items()})
    assert opened(folder).fleet.phones == 2
    os.mkfifo(folder / "raw_ai_benchmark_list.json")  # to open it would take for ever
    with pytest.raises(ValueError, match=r"raw_ai_benchmark_list\.json: must be an ordinary file"):
        opened(folder)


def test_the_kind_of_fedscale_is_that_of_the_first_client_that_says(tmp_path: Path) -> None:
    folder = put(tmp_path / "f", x__json={"1": {}, "2": {"model": "m"}, "3": CLIENT})
    found = opened(folder / "x.json")
    assert (found.report.kept, sum(count for _, count in found.report.dropped)) == (1, 2)


@pytest.mark.parametrize("rate", ["1e-30bit/s", "1e30Gbit/s"])
def test_rates_that_no_network_has_are_refused(rate: str) -> None:
    with pytest.raises(ValueError, match=r"network must be from 1 to 1e\+12 bit/s .got 1e"):
        opened("paper", phones=1, network=rate)
