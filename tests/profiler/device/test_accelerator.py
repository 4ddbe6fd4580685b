"""What is said of a DSP or NPU rests on files and on the table of SoCs, and on nothing else."""

from collections.abc import Callable

import pytest

from profiler.device.accelerator import accelerator_of
from profiler.device.device import Device

Made = Callable[..., Device]


@pytest.mark.parametrize(
    ("properties", "hexagon"),
    [
        (["ro.soc.model=SM8350"], "v68"),
        (["ro.soc.model=sm8550", "ro.board.platform=kona"], "v73"),  # the model counts more
        (["ro.board.platform=kona"], "v66"),
        (["ro.hardware=lahaina"], "v68"),
        (["ro.soc.model=SM9999", "ro.board.platform=taro"], "v69"),
        (["ro.soc.model=MT6769", "ro.board.platform=mt6768"], ""),
        (["ro.soc.model="], ""),
        ([], ""),
    ],
)
def test_the_architecture_is_that_of_the_table(made: Made, properties: list[str], hexagon: str) -> None:
    found = accelerator_of(made(properties=properties, soc=[], accelerators=[]))
    assert found.hexagon == hexagon
    assert found.words == (
        "the SoC has a DSP, but no node or library of it was found" if hexagon else "no evidence of a DSP or NPU"
    )
    assert len(found.evidence) == bool(hexagon)


def test_every_soc_of_the_table_is_found_by_its_model_and_says_its_source(made: Made) -> None:
    from profiler.device.accelerator import _socs

    assert len(_socs()) > 5
    for row in _socs():
        found = accelerator_of(made(properties=[f"ro.soc.model={row['soc_model']}"], accelerators=[]))
        assert found.hexagon == row["hexagon"]
        assert row["source"] in found.evidence[-1]


@pytest.mark.parametrize(
    ("paths", "kinds"),
    [
        (["/dev/adsprpc-smd readable"], "Qualcomm DSP:"),
        (["/dev/fastrpc-cdsp present", "/vendor/lib64/libcdsprpc.so readable"], "Qualcomm DSP:"),
        (["/dev/apusys present"], "MediaTek APU:"),
        (["/dev/apusys present", "/dev/adsprpc-smd present"], "MediaTek APU and Qualcomm DSP:"),
    ],
)
def test_files_are_evidence_and_no_proof(made: Made, paths: list[str], kinds: str) -> None:
    found = accelerator_of(made(properties=[], accelerators=paths))
    assert found.words.startswith(kinds)
    assert "only a call proves access" in found.words
    assert found.evidence == tuple(paths)
