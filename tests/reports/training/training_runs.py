"""Finished runs for tests: folders with a run log that a formula wrote."""

import json
from pathlib import Path

import numpy as np

from fl_sim.config import Config, to_toml
from fl_sim.runlog import CLIENTS, ROUNDS, ClientRow, RoundRow, frame_of, to_parquet

_ENDS = {"floatfl": 0.84, "quanfl": 0.82, "qfedavg": 0.7, "qfedupdate": 0.81}
NAN = float("nan")


def write_run(folder: Path, config: Config, *, data: str = "ab", clients: int = 192, noise: float = 0.01) -> Path:
    """Write a run whose accuracy rises to an end of its method's, lower for Q-FedAvg with more clients a round."""
    rng = np.random.default_rng([config.seed, config.cohort])
    integer = config.method.startswith("qfed")
    end = _ENDS.get(config.method, 0.8) - (0.05 * np.log2(config.cohort / 5) if config.method == "qfedavg" else 0)
    rounds, client_rows = [], []
    for number in range(1, config.rounds + 1):
        judged = number % config.evaluate_every == 0 or number == config.rounds
        fp32 = float(np.clip(end * (1 - np.exp(-number / 25)) + rng.normal(0, noise), 0, 1)) if judged else NAN
        int8 = max(fp32 - 0.01, 0) if judged and config.method != "floatfl" else NAN
        share = 0.05 / config.cohort * float(np.exp(rng.normal(0, 20 * noise))) if integer else NAN
        sent = 400 if config.method != "floatfl" else 1600
        rounds.append(
            RoundRow(
                round=number, clients=config.cohort, samples=10 * config.cohort, batches=2 * config.cohort,
                download_bytes=sent * config.cohort, upload_bytes=sent * config.cohort, int8_accuracy=int8,
                int8_loss=NAN, fp32_accuracy=fp32, fp32_loss=NAN, train_accuracy=0.5, train_loss=1.0,
                share_above_half_lsb=share, share_changed=1.5 * share, share_saturated=0.0 * share,
                learning_rate=NAN if integer else 0.05, mu_conv=1.0 if integer else NAN, mu_fc=1.0 if integer else NAN,
            )
        )  # fmt: skip
        client_rows += [
            ClientRow(number, client, 10, 10 * config.epochs, 2, sent, sent, 0.5, 1.0)
            for client in range(config.cohort)
        ]
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(to_toml(config))
    about = {"clients": clients, "data": {"sha256": data}, "model": {"name": "lenet5"}, "mode": "measured"}
    (folder / "manifest.json").write_text(json.dumps(about))
    (folder / ROUNDS).write_bytes(to_parquet(frame_of(rounds, RoundRow)))
    (folder / CLIENTS).write_bytes(to_parquet(frame_of(client_rows, ClientRow)))
    return folder


def femnist(method: str, seed: int = 0, cohort: int = 20, rounds: int = 120, **more: object) -> Config:
    """Return a configuration on FEMNIST."""
    known = {"dataset": "femnist", "partition": "writer", "epochs": 1, "batch_size": 5, "mu": "1"}
    return Config(method=method, seed=seed, cohort=cohort, rounds=rounds, **(known | more))  # type: ignore[arg-type]
