"""What fedjoule's runner could never train is refused before anything is built."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from profiler.campaign.plan_file import DEMO, pipeline_plan, table_plan
from profiler.campaign.trainer import refuse_absent_cores, refuse_pieces, trainer_of
from profiler.device.device import Core, Device
from profiler.device.probe import probe
from profiler.native import build
from profiler.transport.address import open_transport

DESCRIBED = "28x28x1-conv20k5-pool-conv50k5-pool-fc500-fc62"
CORES = tuple(Core(number) for number in (0, 1))


@pytest.fixture(scope="module")
def host() -> Device:
    link = open_transport("local")
    try:
        return replace(probe(link), kernel="Linux 6.1.0 x86_64")
    finally:
        link.close()


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The programs that were to be built."""
    done: list[str] = []

    def built(program: str, _target: object, **_: object) -> Path:
        done.append(program)
        return Path("/nowhere")

    monkeypatch.setattr(build, "built", built)
    return done


def asked(
    device: Device,
    model: str = "lenet5",
    precisions: Sequence[str] = ("fp32", "int8"),
    batch_sizes: Sequence[int] = (5,),
    dataset: str | None = None,
) -> dict[str, object]:
    plan = table_plan(DEMO, [model], precisions, ["cpu", "dsp"], batch_sizes, dataset)
    return dict(trainer_of(device, plan.workloads).keys)


@pytest.mark.parametrize("model", ["lenet5", "LeNet-5", "vgg11", "vgg16", "VGG-16", DESCRIBED, "1x1x3-fc65536"])
def test_what_can_be_trained_is_built(model: str, host: Device, builds: list[str]) -> None:
    assert asked(host, model)["use"] == "runner"
    assert builds == ["runner"]


def test_the_pipeline_of_the_runner_can_be_trained(host: Device, builds: list[str]) -> None:
    for precision in ("int8", "fp32"):
        trainer_of(host, pipeline_plan(DEMO, precision=precision, processor="cpu").workloads)
    assert builds == ["runner", "runner"]


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("lenet6", "no height of the input at 'lenet6'"),
        ("VGG-11", "no height of the input"),
        ("28x28x1-conv-fc10", "a convolution needs channels and kernel at '-fc10'"),
        ("28x28x1-conv3k5-pool", "the last layer must be fully connected"),
        ("28x28x1-conv3k5x", "a '-' is missing at 'x'"),
        ("4x4x1-conv3k5-fc2", "the kernel is larger"),
    ],
)
def test_a_model_that_is_none_is_refused(model: str, why: str, host: Device, builds: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^--models") as raised:
        asked(host, model)
    said = str(raised.value)
    assert f"--models '{model}'" in said
    assert why in said
    assert said.endswith(f"trains lenet5, vgg11, vgg16 or a description such as {DESCRIBED}")
    assert "\n" not in said
    assert builds == []


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ({"precisions": ("int4",)}, ("--precisions int4", "fp32 or int8", "--workload")),
        ({"precisions": ("fp32",), "batch_sizes": (65537,)}, ("--batch-sizes 65537", "1 to 65536", "smaller one")),
        ({"batch_sizes": (4, 232)}, ("--batch-sizes 232", "1 to 231 of lenet5 in int8", "or --precisions fp32")),
        ({"model": "400x400x1-fc2"}, ("--models '400x400x1-fc2' is too large", "in int8", "--precisions fp32")),
        (
            {"model": "28x28x1-fc10", "dataset": "FEMNIST"},
            ("--dataset FEMNIST has 62 classes", "'28x28x1-fc10' ends in 10 outputs", "fc62"),
        ),
    ],
)
def test_what_the_runner_cannot_train_is_refused(
    words: dict[str, object], parts: tuple[str, ...], host: Device, builds: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"^--") as raised:
        asked(host, **words)  # type: ignore[arg-type]
    assert all(part in str(raised.value) for part in parts), raised.value
    assert "\n" not in str(raised.value)
    assert builds == []


def test_the_largest_batches_are_taken(host: Device, builds: list[str]) -> None:
    asked(host, precisions=("fp32",), batch_sizes=(1, 65536))
    asked(host, precisions=("int8",), batch_sizes=(231,))
    asked(host, "vgg16", dataset="CIFAR-100")  # named models end in the classes of the data set
    asked(host, "28x28x1-fc10", dataset="MNIST")
    assert len(builds) == 4


def test_a_phone_of_32_bits_is_asked_for_less(host: Device, builds: list[str]) -> None:
    small = replace(host, kernel="Linux 4.9.0 armv7l")
    with pytest.raises(ValueError, match="--batch-sizes 4096: must be from 1 to 3236 of vgg16 in fp32 on this device"):
        asked(small, "vgg16", ("fp32",), (4096,))
    asked(host, "vgg16", ("fp32",), (4096,))
    assert builds == ["runner"]


def test_a_program_that_is_there_takes_what_it_takes(host: Device, builds: list[str]) -> None:
    phone = replace(host, tools=host.tools | {"demo_trainer"})
    plan = table_plan(DEMO, ["anything"], ["int4"], ["cpu"], [70000])
    assert trainer_of(phone, plan.workloads) == DEMO
    assert builds == []


@pytest.mark.parametrize("piece", ["28x28x1:conv20k5", "conv32k5", "conv32k3p1", "pool", "fc62", "28x28x1:fc62"])
def test_a_piece_of_a_description_is_known(piece: str) -> None:
    with pytest.raises(ValueError, match="commas part the models") as raised:
        refuse_pieces(["lenet5", piece])
    assert f"--models '{piece}'" in str(raised.value)
    assert f"'-' between its parts, as {DESCRIBED}" in str(raised.value)


def test_whole_models_are_no_pieces() -> None:
    refuse_pieces(["lenet5", "vgg16", DESCRIBED, "resnet18", "28x28x1-fc62", "convnext"])


@pytest.mark.parametrize(
    ("cpus", "why"),
    [
        ("f0", r"\(4, 5, 6, 7\)"),
        ("4", r"\(2\)"),
        ("7", r"\(2\)"),
        ("fffff", r"\(2, 3, 4, 5, \.\.\.\)"),
        ("00", "no core"),
    ],
)
def test_cores_that_are_not_there_are_refused(cpus: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        refuse_absent_cores(cpus, CORES)
    assert str(raised.value).startswith(f"--cpus {cpus} names ")
    assert "\n" not in str(raised.value)


def test_cores_that_are_there_or_unknown_are_taken() -> None:
    for cpus in ("", "1", "2", "3", "003"):
        refuse_absent_cores(cpus, CORES)
    refuse_absent_cores("f0", ())
    with pytest.raises(ValueError, match=r"all of its 2 cores are 81"):
        refuse_absent_cores("3", (Core(0), Core(7)))
