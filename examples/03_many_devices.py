"""Cost every round of a cohort on many devices in one call, and let all clients wait for the slowest."""

import numpy as np

from costmodel.round import PhasePower, client_round, synchronous

random = np.random.default_rng(0)
rounds, cohort = 100, 50
batch_time_ms = random.choice([810.0, 397.0, 300.0], size=(rounds, cohort))  # low, medium and high DSP, Table 3
batch_energy_mj = np.select([batch_time_ms == 810, batch_time_ms == 397], [1700.0, 1100.0], 1000.0)
power = PhasePower(wait_w=0.5)  # half a watt while waiting: an assumption of this example

alone = client_round(
    batch_time_ms=batch_time_ms,
    batch_energy_mj=batch_energy_mj,
    samples=500,
    batch_size=64,
    epochs=4,
    download_bytes=15_000_000,
    upload_bytes=15_000_000,
    bandwidth_bit_per_s=10e6,
)
together = synchronous(alone, power=power)

assert together.train_j is not None
assert together.wait_j is not None
print(f"a client on its own     {alone.time_s.mean():6.2f} s")
print(f"a round for everyone    {together.time_s.mean():6.2f} s")
print(f"training, per client    {together.train_j.mean():6.2f} J")
print(f"waiting, per client     {together.wait_j.mean():6.2f} J")
