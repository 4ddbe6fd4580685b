from dataclasses import replace
from typing import Any

import pytest

from costmodel.workload import workloads
from fl_sim.codec import Codec, Quantize
from fl_sim.method import METHODS, REGISTRY, find_method
from fl_sim.plan import Plan, read_plan, with_rounds
from fl_sim.reading import find_reading, readings
from fl_sim.rounds import Rounds

READING = find_reading("epochs4_int8_payload")


def test_a_reading_fills_a_plan() -> None:
    plan = read_plan(READING, workloads()["cifar10"], METHODS["qfedupdate"])
    assert plan == Plan(
        clients=100,
        clients_per_round=50,
        samples_per_client=500,
        batch_size=64,
        epochs=4,
        download_bytes=15_000_000,
        upload_bytes=15_000_000,
        bandwidth_bit_per_s=10e6,
        batches="fractional",
        rounds=175,
    )
    assert read_plan(READING, workloads()["cifar10"], METHODS["floatfl"]).upload_bytes == 60_000_000
    assert read_plan(READING, workloads()["cifar10"], METHODS["qfedavg"]).rounds is None


def test_formats_that_no_reading_holds_have_the_bytes_of_their_bits() -> None:
    plan = read_plan(READING, workloads()["femnist"], REGISTRY["quanfl_signsgd"])
    assert (plan.download_bytes, plan.upload_bytes) == (6_400_000, 200_000)
    in_int4 = replace(REGISTRY["quanfl"], uplink=Codec(Quantize(bits=4)))
    assert read_plan(READING, workloads()["femnist"], in_int4).upload_bytes == 800_000


def test_the_two_readings_agree_in_every_product_that_table_4_shows() -> None:
    one, other = readings().values()
    for name, workload in workloads().items():
        for method in ("floatfl", "quanfl", "qfedupdate"):
            a, b = (read_plan(reading, workload, METHODS[method]) for reading in (one, other))
            assert a.rounds is not None
            assert b.rounds is not None
            assert a.epochs * a.rounds == b.epochs * b.rounds
            assert a.download_bytes * a.rounds == b.download_bytes * b.rounds
            assert a.clients_per_round == b.clients_per_round, name


def test_a_training_run_replaces_rounds_and_what_it_states() -> None:
    plan = read_plan(READING, workloads()["femnist"], METHODS["qfedavg"])
    run = Rounds("qfedavg", "femnist", 900, epochs=1, clients_per_round=None, accuracy_pct=80.1, source="run")
    changed = with_rounds(plan, run)
    assert (changed.rounds, changed.epochs, changed.clients_per_round) == (900, 1, 20)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be above 0"),
        ({"rounds": -1}, "rounds must be above 0"),
        ({"upload_bytes": -1}, "upload_bytes must be 0 or more"),
        ({"bandwidth_bit_per_s": float("inf")}, "bandwidth_bit_per_s must be above 0 and at most 1e"),
        ({"samples_per_client": float("nan")}, "samples_per_client must be above 0"),
        ({"rounds": 10**400}, "rounds must be above 0 and at most 1e"),
        ({"clients_per_round": 101}, "clients_per_round must not be above clients"),
    ],
)
def test_an_impossible_plan_is_refused(changes: dict[str, Any], message: str) -> None:
    good = vars(read_plan(READING, workloads()["cifar10"], METHODS["qfedupdate"]))
    with pytest.raises(ValueError, match=message):
        Plan(**good | changes)


def test_names_are_found_folded_or_the_nearest_is_named() -> None:
    assert find_method("Q-FedUpdate") is METHODS["qfedupdate"]
    with pytest.raises(ValueError, match="nearest: qfedupdate"):
        find_method("qfedupdat")
    with pytest.raises(ValueError, match="known: epochs4_int8_payload, epochs1_fp32_payload"):
        find_reading("epochs2")
