"""Re-cost 10,000 client-rounds on 1,000 devices, and a finished run on one phone: vectorised against Python loops.

Run with `make bench`. Prints seconds of the best of several runs and ratios measured in the same process.
"""

import time
from collections.abc import Callable

import numpy as np

from costmodel.batch import BatchCost
from costmodel.round import client_round, mean_client_energy_j
from fl_sim.recost import ClientRounds, recost, recost_by_loop, run_cost

ROUNDS, DEVICES, LOOP_ROUNDS = 10_000, 1_000, 200
RUN_ROUNDS, COHORT, CLIENTS = 300, 20, 192  # a run of the paper's size; a cell of its table may take 50 ms


def best(function: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    random = np.random.default_rng(0)
    samples = random.integers(20, 2000, ROUNDS)
    down, up = random.integers(10**5, 10**8, (2, ROUNDS))
    time_ms, energy_mj = random.uniform(5, 3000, DEVICES), random.uniform(20, 15000, DEVICES)

    def vectorised(rounds: int) -> tuple[np.ndarray, np.ndarray]:
        cost = client_round(
            batch_time_ms=time_ms,
            batch_energy_mj=energy_mj,
            samples=samples[:rounds, None],
            batch_size=20,
            epochs=4,
            download_bytes=down[:rounds, None],
            upload_bytes=up[:rounds, None],
            bandwidth_bit_per_s=10e6,
        )
        assert cost.energy_j is not None
        return cost.time_s, mean_client_energy_j(cost.energy_j, 100, 20, 192)

    def loop(rounds: int) -> list[list[tuple[float, float]]]:
        table = []
        for n, download, upload in zip(
            samples[:rounds].tolist(), down[:rounds].tolist(), up[:rounds].tolist(), strict=True
        ):
            line = []
            for t, e in zip(time_ms.tolist(), energy_mj.tolist(), strict=True):
                batches = 4 * (n / 20)
                seconds = 8 * download / 10e6 + batches * t / 1e3 + 8 * upload / 10e6
                line.append((seconds, batches * e / 1e3 * 100 * (20 / 192)))
            table.append(line)
        return table

    seconds, joules = vectorised(LOOP_ROUNDS)
    slow = np.array(loop(LOOP_ROUNDS))
    assert np.array_equal(slow[..., 0], seconds), "the fast path and its slow twin disagree"
    assert np.allclose(slow[..., 1], joules, rtol=1e-14)

    fast_s = best(lambda: vectorised(ROUNDS), 7)
    loop_s = best(lambda: loop(LOOP_ROUNDS), 3) * ROUNDS / LOOP_ROUNDS
    cells = ROUNDS * DEVICES
    print(f"re-cost {ROUNDS:,} client-rounds x {DEVICES:,} devices ({cells:,} cells)")
    print(f"  vectorised     {fast_s:8.3f} s   {fast_s / cells * 1e9:7.2f} ns per cell")
    print(f"  Python loop    {loop_s:8.3f} s   {loop_s / cells * 1e9:7.2f} ns per cell (from {LOOP_ROUNDS} rounds)")
    print(f"  ratio          {loop_s / fast_s:8.1f}")
    finished_run(random)


def finished_run(random: np.random.Generator) -> None:
    """Cost a run of 300 rounds of 20 clients on one phone: rounds, slowest clients, energies, sums."""
    count = RUN_ROUNDS * COHORT
    batches, down, up = (random.integers(1, most, count).astype(float) for most in (80, 10**7, 10**7))
    work = ClientRounds(np.arange(0, count, COHORT), batches, down, up, CLIENTS)
    batch = BatchCost("a phone", "cpu", "int8", "LeNet-5", "FEMNIST", 5, 30.0, 150.0, "", "", "", "", "")

    fast, slow = (run_cost(way(work, batch, 10e6)) for way in (recost, recost_by_loop))
    assert np.allclose(list(vars(fast).values()), list(vars(slow).values()), rtol=1e-12), "the two ways disagree"
    fast_s = best(lambda: run_cost(recost(work, batch, 10e6)), 50)
    loop_s = best(lambda: run_cost(recost_by_loop(work, batch, 10e6)), 5)
    print(f"re-cost a finished run of {RUN_ROUNDS} rounds x {COHORT} clients on one phone (one cell of the table)")
    print(f"  vectorised     {1e3 * fast_s:8.3f} ms")
    print(f"  Python loop    {1e3 * loop_s:8.3f} ms")
    print(f"  ratio          {loop_s / fast_s:8.1f}")


if __name__ == "__main__":
    main()
