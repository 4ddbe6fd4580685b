"""Which hardware is which measured phone: texts, files, what is found without a map, and what is refused."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.batch import BatchCost
from fl_sim.device_map import DeviceMap, Mapped, Target, map_devices, read_device_map
from fl_sim.method import Method, find_method
from reports.table4 import paper_costs
from traces.hardware import TIERS, Hardware, Tier

INT8, FP32 = find_method("qfedupdate"), find_method("floatfl")
PIXEL = BatchCost("Pixel 8", "cpu", "int8", "VGG-16", "CIFAR-10", 64, 900.0, None, "", "measured", "", "", "own.csv")


def kinds(*named: tuple[str, str, Tier]) -> Hardware:
    """Return hardware of (model, SoC, tier)."""
    models, socs, tiers = zip(*named, strict=True)
    return Hardware(models, socs, tiers, np.full(len(named), np.nan))


def mapped(
    hardware: Hardware, given: str | DeviceMap | None = None, *, method: Method = INT8, own: Sequence[BatchCost] = (),
    batch_size: int = 64,
) -> Mapped:  # fmt: skip
    known = read_device_map(given) if isinstance(given, str) else given
    costs = (*own, *paper_costs())
    return map_devices(hardware, costs, method, model="vgg16", dataset="cifar-10", batch_size=batch_size, given=known)


BY_TIER = kinds(*(("", "", tier) for tier in TIERS))


# --- texts and files -------------------------------------------------------------------------------------------------


def test_a_text_names_kinds_and_devices() -> None:
    found = read_device_map(" low = Redmi Note 9:dsp, SM-G960F=Xiaomi 10 : CPU,default=Xiaomi 11 Pro,")
    assert found == {
        "low": Target("Redmi Note 9", "dsp"),
        "smg960f": Target("Xiaomi 10", "cpu"),
        "default": Target("Xiaomi 11 Pro", ""),
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("map.toml", b'low = "Redmi Note 9:dsp"\n"Xiaomi 10" = "Xiaomi 10"\n'),
        ("map.csv", b"kind,device,processor\nlow,Redmi Note 9,dsp\n\nXiaomi 10,Xiaomi 10,\n"),
        ("map.CSV", b'\xef\xbb\xbfdevice,kind,remark\r\n"Redmi Note 9:dsp",low,x\r\nXiaomi 10,xiaomi10,\r\n'),
    ],
)
def test_files_say_the_same(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_device_map(str(tmp_path / name)) == {
        "low": Target("Redmi Note 9", "dsp"), "xiaomi10": Target("Xiaomi 10"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must have from 1 to 10,000 entries .*got 0.*KIND=DEVICE:PROCESSOR"),
        (",,", "must have from 1 to 10,000 entries"),
        ("low=", "entry 'low=' is none; write KIND=DEVICE:PROCESSOR"),
        ("Pixel A", "entry 'Pixel A' has no '='; write KIND=DEVICE:PROCESSOR, .*or name a .toml or .csv file"),
        ("low=Xiaomi 10, map.txt", "entry 'map.txt' has no '='"),
        ("=Xiaomi 10", "entry '=Xiaomi 10' is none"),
        ("low=:dsp", "entry 'low=:dsp' is none"),
        ("low=Xiaomi 10:tpu", r"entry 'low=Xiaomi 10:tpu' is none; .*\(cpu, dsp, gpu, npu\)"),
        ("low=A,LOW=B", "names 'LOW' twice; keep one"),
        ("low=\x1b[2J:tpu", r"entry 'low=\?\[2J:tpu' is none"),
        (",".join(f"k{i}=A" for i in range(10_001)), "from 1 to 10,000 entries .got 10001"),
    ],
)
def test_texts_that_are_no_map_are_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_device_map(text)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.toml", b"low = ", "cannot be read"),
        ("a.toml", b"\xff\xfe", "cannot be read"),
        ("a.toml", b'[low]\ndevice = "A"\n', r'a.toml: low must be a text "DEVICE:PROCESSOR" \(got a dict\)'),
        ("a.toml", b"low = 5\n", "low must be a text .*got a int"),
        ("a.toml", b"low = " + b"[" * 5000, "cannot be read"),
        ("a.toml", b"#" * ((1 << 20) + 1), "at most 1 MiB"),
        ("a.csv", b"phone,device\nlow,A\n", "line 2 must have a kind and a device; columns are kind, device"),
        ("a.csv", b"kind,device\nlow,A\nhigh\n", "line 3 must have a kind and a device"),
        ("a.csv", b'kind,device\nlow,"A\n', "cannot be read"),
        ("a.csv", b"kind,device\n", "from 1 to 10,000 entries"),
        ("a.csv", b"kind,device\nlow," + b"A" * 200_000, "cannot be read"),
    ],
)
def test_files_that_are_no_map_are_refused(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_device_map(str(tmp_path / name))


def test_a_file_may_have_an_equals_sign_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "a=b.toml").write_text('low = "Xiaomi 10"')
    assert read_device_map(str(tmp_path / "a=b.toml")) == {"low": Target("Xiaomi 10")}


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_device_map(str(tmp_path / "none.toml"))
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.toml").mkdir()
    for name in ("pipe.csv", "folder.toml"):
        with pytest.raises(ValueError, match="must be a regular file"):
            read_device_map(str(tmp_path / name))


@given(st.text(max_size=60))
def test_any_text_is_a_map_or_refused_with_words_that_can_be_printed(text: str) -> None:
    if text.lower().endswith((".toml", ".csv")):
        return
    try:
        found = read_device_map(text)
    except ValueError as error:
        assert "\x1b" not in str(error)
    else:
        assert all(target.device for target in found.values())


# --- without a map ---------------------------------------------------------------------------------------------------


def test_tiers_are_the_papers_phones() -> None:
    found = mapped(BY_TIER)
    assert found.batch_time_ms.tolist() == [810, 397, 300]
    assert found.batch_energy_mj.tolist() == [1700, 1100, 1000]
    assert [(cost.device, cost.processor) for cost in found.costs] == [
        ("Redmi Note 9", "dsp"), ("Xiaomi 10", "dsp"), ("Xiaomi 11 Pro", "dsp"),
    ]  # fmt: skip
    assert found.notes == ()


def test_a_measured_phone_is_itself_before_it_is_its_tier() -> None:
    hardware = kinds(("xiaomi-10", "", "high"), ("M2007", "Redmi Note 9", "medium"), ("Xiaomi 10 Pro", "", "low"))
    assert mapped(hardware).batch_time_ms.tolist() == [397, 810, 810]


def test_what_one_phone_alone_was_measured_in_is_every_phones_cost_and_is_said() -> None:
    hardware = kinds(("", "", "low"), ("Nokia", "", ""), ("", "", "medium"))
    found = mapped(hardware, method=FP32)
    assert found.batch_time_ms.tolist() == [2076] * 3
    assert len(found.notes) == 1
    assert found.notes[0].startswith("unmeasured: vgg16 on cifar-10, batch 64, fp32 was measured on Xiaomi 10 alone")
    assert (
        mapped(
            kinds(
                ("", "", "medium"),
            ),
            method=FP32,
        ).notes
        == ()
    )


def test_an_inferred_cost_is_said() -> None:
    found = map_devices(BY_TIER, paper_costs(), INT8, model="LeNet-5", dataset="FEMNIST", batch_size=5)
    assert found.batch_time_ms.tolist() == [23, 11, 8]
    assert found.notes == ("The cost of Xiaomi 11 Pro dsp is inferred, not measured.",)


def test_kinds_that_nothing_stands_for_are_named() -> None:
    hardware = kinds(("Nokia\x1b 3", "", ""), ("", "SoC X", ""), ("", "", ""), ("", "", "low"))
    with pytest.raises(
        ValueError, match=r"3 of 4 kinds of hardware have no measured device \(Nokia\? 3, SoC X, kind 2\)"
    ):
        mapped(hardware)
    many = kinds(*((f"phone {number}", "", "") for number in range(7)))
    words = r"7 of 7 kinds .*phone 4 and others.*default=DEVICE; .*Redmi Note 9:dsp, .*Xiaomi 10:cpu, Xiaomi 10:dsp"
    with pytest.raises(ValueError, match=words):
        mapped(many)


def test_a_batch_size_that_nobody_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing was measured for vgg16 on cifar-10, batch 32, int8; give a table"):
        mapped(BY_TIER, batch_size=32)


def test_no_time_is_scaled_by_a_score() -> None:
    scored = replace(BY_TIER, scores=np.array([1.0, 10.0, 1000.0]))
    assert mapped(scored).batch_time_ms.tolist() == mapped(BY_TIER).batch_time_ms.tolist()


# --- with a map ------------------------------------------------------------------------------------------------------


def test_a_kind_is_found_by_model_then_soc_then_tier_then_default() -> None:
    hardware = kinds(("A", "S", "low"), ("B", "S", "low"), ("B", "T", "low"), ("B", "T", "high"))
    found = mapped(hardware, "a=Xiaomi 11 Pro, s=Xiaomi 10:cpu, low=Redmi Note 9, default=Xiaomi 10:dsp", own=[PIXEL])
    assert found.batch_time_ms.tolist() == [300, 1075, 810, 397]
    assert found.notes == ()


def test_a_map_is_all_there_is_once_it_is_given() -> None:
    with pytest.raises(ValueError, match=r"2 of 3 kinds of hardware have no measured device \(medium, high\)"):
        mapped(BY_TIER, "low=Redmi Note 9")
    with pytest.raises(ValueError, match="2 of 3 kinds"):
        mapped(BY_TIER, "low=Xiaomi 10", method=FP32)


def test_int8_is_on_the_dsp_where_that_was_measured_else_on_what_was() -> None:
    assert mapped(BY_TIER, "default=Xiaomi 10").batch_time_ms.tolist() == [397] * 3
    found = mapped(BY_TIER, "default=pixel8", own=[PIXEL])
    assert found.batch_time_ms.tolist() == [900] * 3
    assert np.isnan(found.batch_energy_mj).all()
    assert found.notes == ("No energy was measured for Pixel 8 cpu.",)
    assert mapped(BY_TIER, "default=Xiaomi 10", method=FP32).batch_time_ms.tolist() == [2076] * 3


def test_entries_that_no_kind_has_are_said() -> None:
    found = mapped(BY_TIER, "lwo=Redmi Note 9, default=Xiaomi 10")
    assert found.notes == ("The device map names 1 kind(s) that the fleet does not have (lwo).",)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("default=Xiaomi 12", "device 'Xiaomi 12' was not measured for vgg16 on cifar-10, batch 64, int8; "),
        ("default=Redmi Note 9:cpu", "Redmi Note 9 was not measured on the cpu for vgg16 .*; it was on: dsp"),
    ],
)
def test_devices_that_were_not_measured_are_refused(given: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        mapped(BY_TIER, given)


def test_several_measurements_of_one_phone_are_told_apart_or_refused() -> None:
    gpu, hot = replace(PIXEL, processor="gpu", time_ms=500.0), replace(PIXEL, conditions="hot", time_ms=990.0)
    assert mapped(BY_TIER, "default=Pixel 8:gpu", own=[PIXEL, gpu]).batch_time_ms.tolist() == [500] * 3
    with pytest.raises(
        ValueError, match=r"2 measurements of Pixel 8 fit .*: Pixel 8:cpu, Pixel 8:gpu; name the processor"
    ):
        mapped(BY_TIER, "default=Pixel 8", own=[PIXEL, gpu])
    with pytest.raises(ValueError, match=r"Pixel 8:cpu, Pixel 8:cpu \(hot\); .*give a table with one of them"):
        mapped(kinds(("Pixel 8", "", "")), own=[PIXEL, hot])


def test_a_score_chooses_a_class_of_phones_and_scales_nothing() -> None:
    hardware = Hardware(("a", "b", "c", "d"), ("",) * 4, ("", "", "", "low"), np.array([500.0, 20000, np.nan, 90000]))
    text = "score<1e3=Redmi Note 9:dsp,score<20001=Xiaomi 10,default=Xiaomi 11 Pro"
    found = mapped(hardware, text)
    assert [cost.device for cost in found.costs] == ["Redmi Note 9", "Xiaomi 10", "Xiaomi 11 Pro", "Xiaomi 11 Pro"]
    assert found.notes == ()
    edges = replace(hardware, scores=np.array([1000.0, 20001, 999.9, 1.0]))
    assert [cost.device for cost in mapped(edges, f"low=Xiaomi 10,{text}").costs] == [
        "Xiaomi 10", "Xiaomi 11 Pro", "Redmi Note 9", "Xiaomi 10",
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["score<", "score<x", "score<-1", "score<nan", "score<inf", "score<0"])
def test_no_score(key: str) -> None:
    with pytest.raises(ValueError, match="such as score<20000"):
        read_device_map(f"{key}=Xiaomi 10")


def test_one_score_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        read_device_map("score<1000=Xiaomi 10,score<1e3=Xiaomi 11 Pro")


def test_scores_are_compared_to_the_last_digit() -> None:
    text = "score<1234567=Redmi Note 9,score<1e-5=Xiaomi 10,score<1e22=Xiaomi 11 Pro"
    scores = np.array([1234566.9, 1234567.0, 1234569.0, 9e-6, 1e-5, 9e21])
    hardware = Hardware(("m",) * 6, ("",) * 6, ("",) * 6, scores)
    assert mapped(hardware, text).batch_time_ms.tolist() == [810, 300, 300, 397, 810, 300]
    with pytest.raises(ValueError, match="1 of 1 kinds of hardware have no measured device"):
        mapped(replace(hardware, models=("m",), socs=("",), tiers=("",), scores=np.array([1e22])), text)
