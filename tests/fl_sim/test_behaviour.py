"""What training must show on real images (digits): INT8 close to FP32, and the paper's claim about Q-FedAvg.

Seeds are fixed and INT8 is exact, so these are the same numbers everywhere; the margins say what is claimed.
"""

from functools import cache

import numpy as np

from fl_sim.config import Config
from fl_sim.data.catalog import load
from fl_sim.engine import Place, open_engine
from fl_sim.run import rounds, work_of
from fl_sim.runlog import RoundRow
from fl_sim.server import first_server
from fl_sim.setting import make_setting


@cache
def trained(**settings: object) -> list[RoundRow]:
    """Return the judged rounds of a run on digits on the native engine."""
    setting = make_setting(Config(dataset="digits", **settings), load("digits"))  # type: ignore[arg-type]
    engine = open_engine("native", work_of(setting), Place())
    try:
        made = [done.row for done in rounds(setting, engine, first_server(setting))]
    finally:
        engine.close()
    return [row for row in made if not np.isnan(row.fp32_accuracy)]


def at_the_end(method: str, **settings: object) -> float:
    rows = trained(method=method, **settings)[-3:]
    return float(np.mean([row.fp32_accuracy if np.isnan(row.int8_accuracy) else row.int8_accuracy for row in rows]))


def test_int8_is_within_three_points_of_fp32_in_one_place() -> None:
    alone = {"clients": 1, "cohort": 1, "partition": "iid", "rounds": 15, "batch_size": 32}
    fp32 = at_the_end("floatfl", learning_rate="0.1", **alone)
    int8 = at_the_end("qfedupdate", mu="3 2@9", **alone)
    assert fp32 > 0.95
    assert int8 > fp32 - 0.03


FEDERATED = {"clients": 50, "rounds": 100, "batch_size": 20, "mu": "1", "evaluate_every": 5}


def test_qfedavg_falls_with_the_cohort_and_qfedupdate_does_not() -> None:
    """int8_training.md 5.2 and 6.1 (9): two local steps a round, as CIFAR-100 in the paper."""
    small, large = (at_the_end("qfedavg", cohort=cohort, **FEDERATED) for cohort in (5, 20))
    assert large < small - 0.05
    assert at_the_end("qfedupdate", cohort=20, **FEDERATED) > large + 0.15
    assert at_the_end("qfedupdate", cohort=20, **FEDERATED) > at_the_end("qfedupdate", cohort=5, **FEDERATED)


def test_effective_updates_fall_with_the_cohort() -> None:
    """Figure 3: the mean of many clients' changes seldom reaches half a step of the grid."""

    def share(cohort: int) -> float:
        return float(
            np.mean([row.share_above_half_lsb for row in trained(method="qfedavg", cohort=cohort, **FEDERATED)])
        )

    assert share(20) < share(5) / 2


def test_what_is_free_for_the_client_closes_most_of_the_gap() -> None:
    plain = at_the_end("qfedupdate", cohort=20, **FEDERATED)
    assert at_the_end("qfedupdate_momentum", cohort=20, **FEDERATED) > plain + 0.1
    assert at_the_end("qfedavg_sr", cohort=20, **FEDERATED) > plain - 0.03
