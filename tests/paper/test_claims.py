"""Every ratio and percentage claim of the paper, with the outcome worked out apart from this code base."""

from pathlib import Path

import pytest

from fl_sim.reading import readings
from reports.claims import claims, claims_table, compute, evidence, outcome

GIVEN = evidence(readings()["epochs4_int8_payload"])


def computed(says: str) -> tuple[list[float], list[float], str]:
    claim = next(claim for claim in claims() if claim.says.startswith(says))
    printed, unrounded = compute(claim, GIVEN)
    return list(printed), list(unrounded), outcome(claim, (printed, unrounded))


@pytest.mark.parametrize(
    ("says", "from_printed", "from_unrounded", "result"),
    [
        ("Q-FedUpdate needs fewer rounds than FloatFL", [], [35.0, 12.5, 20.0], "agrees (used to infer)"),
        ("Q-FedUpdate needs fewer rounds than QuanFL", [], [40.91, 30.0, 33.33], "agrees (used to infer)"),
        ("Q-FedUpdate needs fewer rounds than Q-FedAvg", [], [43.48, 80.0, 30.07], "differs"),
        ("Q-FedAvg converges slower", [], [4.375], "differs"),
        ("Q-FedAvg needs more rounds", [], [1.143], "differs"),
        ("Q-FedUpdate on the medium DSP saves", [14.17, 28.0], [14.13, 23.08], "agrees with printed cells only"),
        ("Q-FedUpdate saves energy over QuanFL", [22.42], [20.71], "differs"),
        ("The same average", [3.05], [3.04], "differs"),
        ("Even the low DSP", [9.24, 14.0], [9.14, 15.38], "agrees with printed cells only"),
        ("The low DSP takes more", [100.0], [70.0], "differs"),
        ("Q-FedUpdate on the CPU saves", [2.25, 3.11], [2.25, 3.08], "agrees with printed cells only"),
        ("The medium DSP saves", [6.3, 9.0], [6.27, 7.5], "agrees with printed cells only"),
        ("FloatFL on CIFAR-10 costs", [42.5], [42.5], "agrees"),
        ("Energy to converge", [0.02, 3.0, 0.14], [0.0245, 3.008, 0.1375], "differs"),
        ("42.5 kJ are 24 hours", [], [], "contradiction in words"),
        ("That loss on average", [2], [], "agrees"),
        ("Slides: the DSP saves 32x", [33.33], [], "differs"),
        ("Slides: accuracy", [2.517], [], "differs"),
        ("Q-FedUpdate on the medium DSP is faster", [5.05, 7.125], [5.05, 7.01], "agrees with printed cells only"),
        ("QuanFL is slower", [2.10, 5.0], [2.10, 4.855], "agrees with printed cells only"),
        ("The medium DSP is faster", [1.163, 1.75], [1.16, 1.757], "agrees"),
        ("Q-FedUpdate on the CPU is faster", [3.19, 4.43], [3.19, 4.435], "differs"),
        ("Time to converge on", [0.08, 1.77, 1.47], [0.0821, 1.7697, 1.4726], "differs"),
        ("One VGG-16 batch", [], [2.076], "agrees"),
        ("Q-FedUpdate loses accuracy", [1, 3, 2], [], "agrees"),
        ("Q-FedAvg loses accuracy", [16], [], "agrees"),
        ("Q-FedAvg's accuracy on CIFAR-100", [41], [], "differs"),
        ("Q-FedAvg's accuracy by section 4.2", [78, 68, 61], [], "agrees"),
        ("Q-FedAvg's accuracy falls", [85.25], [], "differs"),
        ("The DSP is faster than the CPU", [2.77, 15.48], [], "agrees"),
        ("The DSP saves energy over the CPU", [33.33], [], "differs"),
        ("LeNet-5 is 1.6 MB", [1.644], [], "agrees"),
        ("VGG-16 is 15 MB", [14.716], [], "agrees"),
        ("A FEMNIST batch", [27.4], [], "differs"),
        ("Algorithm 2", [], [], "contradiction in words"),
        ("Equation 1", [], [], "contradiction in words"),
        ("Slides: DSP inference", [7.06], [], "differs"),
        ("Slides: time", [5.78], [5.74], "agrees"),
        ("Slides: energy", [19.29], [17.71], "differs"),
    ],
)
def test_each_claim_comes_out_as_worked_out_by_hand(
    says: str, from_printed: list[float], from_unrounded: list[float], result: str
) -> None:
    printed, unrounded, outcome_ = computed(says)
    assert printed == pytest.approx(from_printed, abs=6e-3)
    assert unrounded == pytest.approx(from_unrounded, abs=6e-3)
    assert outcome_ == result


def test_all_eighteen_ratios_in_table_4_follow_from_its_printed_cells() -> None:
    brackets = [claim for claim in claims() if claim.says.startswith("Table 4's brackets")]
    assert sum(len(claim.printed) for claim in brackets) == 18
    for claim in brackets:
        assert outcome(claim, compute(claim, GIVEN)) in {"agrees", "agrees with printed cells only"}


def test_the_eighteen_contradictions_are_all_there() -> None:
    assert {claim.contradiction for claim in claims()} - {None} == set(range(1, 19))


def test_with_one_local_epoch_a_whole_number_of_rounds_prints_30_percent() -> None:
    claim = next(claim for claim in claims() if claim.kind == "nearest_fewer_rounds")
    one_epoch = evidence(readings()["epochs1_fp32_payload"])
    assert outcome(claim, compute(claim, one_epoch)) == "agrees"


def test_the_table_shows_every_claim() -> None:
    for name, exact in (("epochs4_int8_payload", "differs"), ("epochs1_fp32_payload", "agrees")):
        table = claims_table(readings()[name])
        assert len(table.rows) == len(claims()) == len(table.data)
        assert table.title.endswith(name)
        by_claim = table.data.set_index("says")["outcome"]
        assert by_claim[by_claim.index.str.startswith("Q-FedUpdate needs fewer rounds than Q-FedAvg")].tolist() == [
            exact
        ]


def test_what_is_claimed_where_is_pinned() -> None:
    pinned = Path(__file__).with_name("claims.txt").read_text().splitlines()
    assert [f"{claim.where} | {' / '.join(claim.printed)} {claim.unit}".strip() for claim in claims()] == pinned
