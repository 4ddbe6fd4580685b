from dataclasses import replace
from pathlib import Path

import pytest

from fl_sim.aggregator import AccumulateUpdates, AverageWeights, MajorityVote
from fl_sim.codec import Codec, Dense, Quantize, Sign, payload_bytes
from fl_sim.method import METHODS, REGISTRY, Method, find_method
from fl_sim.model import Model, find_model

FLOATFL, QFEDAVG, QFEDUPDATE = (REGISTRY[name] for name in ("floatfl", "qfedavg", "qfedupdate"))
SIGNSGD = REGISTRY["quanfl_signsgd"]


def test_the_paper_methods() -> None:
    """methods.md 5.2, and the table of section 11."""
    eight, dynamic = Codec(Quantize()), Codec(Quantize(exponents="dynamic"))
    rows = {name: (m.precision, m.downlink, m.uplink, m.aggregator, m.fixed_exponents) for name, m in METHODS.items()}
    assert rows == {
        "floatfl": ("fp32", Codec(Dense()), Codec(Dense()), AverageWeights(), False),
        "quanfl": ("fp32", dynamic, dynamic, AverageWeights(), False),
        "qfedavg": ("int8", eight, eight, AverageWeights(), True),
        "qfedupdate": ("int8", eight, eight, AccumulateUpdates(rate=1.0, momentum=0.0), True),
    }


@pytest.mark.parametrize(
    ("name", "beside", "field", "value"),
    [
        ("qfedupdate", "qfedavg", "aggregator", AccumulateUpdates()),
        ("qfedupdate_momentum", "qfedupdate", "aggregator", AccumulateUpdates(momentum=0.9)),
        ("qfedavg_sr", "qfedavg", "downlink", Codec(Quantize(rounding="stochastic"))),
        ("quanfl_update", "quanfl", "aggregator", AccumulateUpdates()),
        (
            "quanfl_ef", "quanfl_update", "uplink",
            Codec(Quantize(rounding="stochastic", exponents="dynamic"), update=True, error_feedback=True),
        ),
    ],
)  # fmt: skip
def test_a_variant_differs_in_one_field(name: str, beside: str, field: str, value: object) -> None:
    one, other = REGISTRY[name], REGISTRY[beside]
    assert getattr(one, field) == value != getattr(other, field)
    assert one == replace(other, name=one.name, title=one.title, about=one.about, **{field: value})


def test_signsgd_is_the_artifact_reading() -> None:
    """methods.md 5.5: FP32 down, one bit a weight up, steps of 2e-5."""
    assert (SIGNSGD.precision, SIGNSGD.downlink) == ("fp32", Codec(Dense()))
    assert (SIGNSGD.uplink, SIGNSGD.aggregator) == (Codec(Sign(), update=True), MajorityVote(2e-5))


def test_names_and_titles_are_told_apart() -> None:
    assert all(name == method.name for name, method in REGISTRY.items())
    assert len({method.title for method in REGISTRY.values()}) == len(REGISTRY)
    assert all(method.about for method in REGISTRY.values())


@pytest.mark.parametrize("name", ["Q-FedUpdate", "qfedupdate", "QFEDUPDATE", "q_fed_update"])
def test_names_in_any_spelling(name: str) -> None:
    assert find_method(name) is QFEDUPDATE


@pytest.mark.parametrize("name", ["fedprox", "", "\x1b[31m", "q" * 5000])
def test_an_unknown_method_is_refused_in_few_words(name: str) -> None:
    with pytest.raises(ValueError, match="is unknown; ") as caught:
        find_method(name, REGISTRY)
    assert len(str(caught.value)) < 300
    assert "\x1b" not in str(caught.value)


def test_variants_are_found_only_where_asked_for() -> None:
    assert find_method("QuanFL signSGD", REGISTRY) is SIGNSGD
    with pytest.raises(ValueError, match="is unknown"):
        find_method("quanfl_signsgd")


@pytest.mark.parametrize(
    ("method", "changes", "says"),
    [
        (FLOATFL, {"downlink": Codec(update=True)}, "the downlink must carry weights"),
        (FLOATFL, {"downlink": Codec(error_feedback=True)}, "the downlink must carry weights"),
        (SIGNSGD, {"downlink": Codec(Sign())}, "the downlink must carry weights"),
        (SIGNSGD, {"uplink": Codec(Sign())}, "signs of updates are for MajorityVote"),
        (SIGNSGD, {"uplink": Codec(update=True)}, "signs of updates are for MajorityVote"),
        (FLOATFL, {"uplink": Codec(Sign(), update=True)}, "signs of updates are for MajorityVote"),
        (QFEDAVG, {"downlink": Codec()}, "the downlink of INT8 training"),
        (QFEDAVG, {"downlink": Codec(Quantize(exponents="dynamic"))}, "the downlink of INT8 training"),
        (QFEDAVG, {"uplink": Codec(Quantize(bits=4))}, "the uplink of INT8 training"),
        (QFEDAVG, {"uplink": Codec(Quantize(), update=True)}, "the uplink of INT8 training"),
    ],
)
def test_a_method_that_cannot_work_is_refused(method: Method, changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=f"method '{method.name}': {says}"):
        replace(method, **changes)  # type: ignore[arg-type]


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "methods.md"


def test_the_page_lists_every_method_with_its_bytes() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.read_text().splitlines()]
    listed = {row[0].strip("`"): row for row in rows if len(row) == 7 and row[0].startswith("`") and "--" not in row[0]}
    assert list(listed) == list(REGISTRY)
    lenet, vgg = find_model("lenet5", 62), find_model("vgg16", 10)
    codecs = {codec for method in REGISTRY.values() for codec in (method.downlink, method.uplink)}
    nbytes = {codec: f"{payload_bytes(codec, lenet):,} / {_of_vgg(codec, vgg):,}" for codec in codecs}
    for name, (_, precision, down, down_bytes, up, up_bytes, server) in listed.items():
        method = REGISTRY[name]
        assert precision.lower() == method.precision
        for codec, words, told in ((method.downlink, down, down_bytes), (method.uplink, up, up_bytes)):
            assert told == nbytes[codec]
            assert words.startswith("updates" if codec.error_feedback else "signs" if codec.update else "weights")
            assert ("INT8" in words) == (codec.format == "int8")
        kinds = {AverageWeights: "replaces", AccumulateUpdates: "accumulates", MajorityVote: "majority vote"}
        assert server.startswith(kinds[type(method.aggregator)])


def _of_vgg(codec: Codec, model: Model) -> int:
    """Bytes of a message of VGG-16 by a formula: making one takes a second, and test_codec makes one of each form."""
    bits = {"fp32": 32, "int8": 8, "sign": 1}[codec.format]
    return -(-model.parameters * bits // 8) + len(model.layers) * (codec.format == "int8")
