"""A run's directory made of given accuracies, as `fedjoule train` writes one; nothing is trained."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fl_sim.config import Config, to_toml
from fl_sim.runlog import CLIENTS, ROUNDS, ClientRow, RoundRow, frame_of, to_parquet

NAN = float("nan")
INT8_BYTES, FP32_BYTES = 456_504, 1_826_000  # LeNet-5 with 62 classes, without biases


def write_run(
    folder: Path, config: Config, accuracies: Sequence[float], *, clients: int = 192, model: str = "lenet5",
    most_samples: int = 300,
) -> Path:  # fmt: skip
    """Write a run whose round r has accuracy ``accuracies[r - 1]``, NaN where it was not judged; return its folder."""
    rng = np.random.default_rng(config.seed)
    held = rng.integers(2, most_samples, clients)
    method = config.found_method()
    down, up = (INT8_BYTES if codec.format == "int8" else FP32_BYTES for codec in (method.downlink, method.uplink))
    rounds, client_rounds = list[RoundRow](), list[ClientRow]()
    for number, accuracy in enumerate(accuracies, start=1):
        rows = []
        for client in sorted(rng.choice(clients, config.cohort, replace=False).tolist()):
            samples = int(held[client])
            batches = config.epochs * -(-samples // config.batch_size)
            rows.append(ClientRow(number, client, samples, samples * config.epochs, batches, down, up, 0.5, 1.0))
        client_rounds += rows
        int8 = accuracy if method.downlink.format == "int8" else NAN
        row = RoundRow(
            number, len(rows), sum(row.samples for row in rows), sum(row.batches for row in rows),
            sum(row.download_bytes for row in rows), sum(row.upload_bytes for row in rows),
            int8, NAN, accuracy, NAN, 0.5, 1.0, NAN, NAN, NAN, NAN, NAN, NAN,
        )  # fmt: skip
        rounds.append(row)
    files = {
        "config.toml": to_toml(config).encode(),
        ROUNDS: to_parquet(frame_of(rounds, RoundRow)),
        CLIENTS: to_parquet(frame_of(client_rounds, ClientRow)),
    }
    manifest = {
        "clients": clients,
        "data": {"sha256": "0" * 64},
        "model": {"name": model},
        "files_sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (files | {"manifest.json": json.dumps(manifest).encode()}).items():
        (folder / name).write_bytes(content)
    return folder


def femnist(method: str = "qfedupdate", rounds: int = 40, seed: int = 0, cohort: int = 4, epochs: int = 1) -> Config:
    """Return a small configuration that a phone of Table 2 could have run."""
    return Config(
        method=method, dataset="femnist", partition="writer", cohort=cohort, rounds=rounds, epochs=epochs, batch_size=5,
        seed=seed,
    )  # fmt: skip


def rise(rounds: int, best: float = 0.8, half: float = 5.0) -> list[float]:
    """Return accuracies that rise towards ``best`` and have half of it after ``half`` rounds."""
    return [best * (1 - 0.5 ** (number / half)) for number in range(1, rounds + 1)]
