from collections.abc import Callable
from pathlib import Path

import pytest

from costmodel.batch import batch_costs, find_batch_cost
from costmodel.workload import Workload, workload_for, workloads
from profiler.sheet import TableError
from profiler.table import paper_table, read_table

Write = Callable[[str], Path]
HEADER = "device,processor,precision,model,dataset,batch_size,stage,time_ms,energy_mj,source,provenance,conditions"


def paper() -> tuple[object, ...]:
    return batch_costs({f"table{number}.csv": paper_table(f"table{number}") for number in (2, 3)})


def test_the_row_that_the_paper_prints_twice_counts_once() -> None:
    assert len(batch_costs({"table2.csv": paper_table("table2")})) == 9
    assert len(paper()) == 9 + 6


def test_a_table_with_an_emulated_row_is_refused_whole(write: Write) -> None:
    good = "Pixel 8,cpu,fp32,LeNet-5,FEMNIST,5,total,31.5,120,s,measured,"
    bad = "Pixel 8,cpu,int8,LeNet-5,FEMNIST,5,total,31.5,120,s,Emulated,"
    table = read_table(write(f"{HEADER}\n{good}\n{bad}\n"))
    with pytest.raises(TableError, match=r"phone.csv, provenance = 'emulated': holds 1 row"):
        batch_costs({"phone.csv": table})


def test_two_tables_that_disagree_are_refused(write: Write) -> None:
    row = "Xiaomi 10,dsp,int8,VGG-16,CIFAR-10,64,total,300,1100,s,measured,engine: MNN"
    table = read_table(write(f"{HEADER}\n{row}\n"))
    with pytest.raises(TableError, match=r"another cost than table2\.csv"):
        batch_costs({"table2.csv": paper_table("table2"), "phone.csv": table})


def test_only_complete_batches_are_costs(write: Write) -> None:
    rows = [f"Pixel 8,cpu,int8,LeNet-5,FEMNIST,5,{stage},10,20,s,measured," for stage in ("train", "quantize", "total")]
    assert len(batch_costs({"phone.csv": read_table(write("\n".join([HEADER, *rows]) + "\n"))})) == 1


def test_a_configuration_is_found_under_any_spelling() -> None:
    costs = batch_costs({"table2.csv": paper_table("table2")})
    found = find_batch_cost(costs, device="xiaomi10", model="vgg16", dataset="cifar10", processor="dsp")
    assert (found.time_ms, found.energy_mj, found.provenance) == (397.0, 1100.0, "published")
    assert found.configuration == "Xiaomi 10 dsp int8 VGG-16 CIFAR-10 batch 64 (engine: MNN)"


def test_batch_size_and_conditions_tell_rows_apart(write: Write) -> None:
    rows = [
        f"Pixel 8,cpu,int8,LeNet-5,FEMNIST,{size},total,{time},20,s,measured,{where}"
        for size, time, where in ((5, 10, "cold"), (5, 12, "hot"), (8, 16, "cold"))
    ]
    costs = batch_costs({"phone.csv": read_table(write("\n".join([HEADER, *rows]) + "\n"))})
    with pytest.raises(ValueError, match=r"choose by batch_size \(5, 8\), conditions \(cold, hot\)"):
        find_batch_cost(costs, device="pixel8")
    assert find_batch_cost(costs, device="pixel8", batch_size=8).time_ms == 16
    assert find_batch_cost(costs, device="pixel8", batch_size=5, conditions="Hot").time_ms == 12


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"device": "Xiaomi 12"}, "device 'Xiaomi 12' is not in the measurements; known: Xiaomi 10"),
        ({"device": "Xiaomi 10", "model": "vgg19"}, "model 'vgg19' is not in the measurements; known: LeNet-5, VGG-16"),
        ({"device": "Xiaomi 10", "processor": "gpu"}, "known: cpu, dsp"),
        (
            {"device": "xiaomi10", "dataset": "cifar10", "processor": "dsp", "precision": "fp32"},
            r"precision 'fp32' was not measured for device xiaomi10, dataset cifar10, processor dsp; known: int8$",
        ),
        ({"device": "Xiaomi 10"}, "9 measurements of Xiaomi 10 fit; choose by model"),
        (
            {"device": "Xiaomi 10", "dataset": "CIFAR-10", "processor": "cpu"},
            r"choose by precision \(fp32, int8\)$",
        ),
    ],
)
def test_what_is_not_there_names_the_nearest(wanted: dict[str, str], message: str) -> None:
    costs = batch_costs({"table2.csv": paper_table("table2")})
    with pytest.raises(ValueError, match=message):
        find_batch_cost(costs, **wanted)


def test_the_shipped_workloads_are_the_papers() -> None:
    assert {name: (each.clients, each.samples_per_client, each.batch_size) for name, each in workloads().items()} == {
        "femnist": (192, 226, 5),
        "cifar10": (100, 500, 64),
        "cifar100": (500, 100, 64),
    }
    assert workload_for("vgg16", "cifar 100") == workloads()["cifar100"]
    assert workload_for("LeNet-5", "CIFAR-10") is None
    with pytest.raises(ValueError, match="batch_size must be above 0"):
        Workload("x", "d", "m", clients=1, samples_per_client=1, batch_size=0, source="s")
