"""The engines of the pipeline side by side: SimPy, salabim, recurrence (scalar and vectorised), O(1) formula.

Run with `make bench`. Microseconds per batch, best of several runs, ratios measured in the same process; then one
million pipelines x 100 batches, with the memory it took. All engines must give the same makespan.
"""

import resource
import time
from collections.abc import Callable

import numpy as np
import salabim

from costmodel import period, recurrence, simulate
from costmodel.spans import Spans
from costmodel.stages import STAGES, Pipeline

PIPELINE = Pipeline(1.0, 2.4, 25.0, 397.0)
BATCHES = 2_000
MANY, SHORT = 1_000_000, 100


def best(function: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def in_salabim(pipeline: Pipeline, batches: int) -> float:
    """Return the makespan by salabim, in the same token style: three components, counting resources between them."""
    env = salabim.Environment(trace=False, yieldless=False)

    def tokens(count: int) -> salabim.Resource:
        claimed = batches + 8 - count
        return salabim.Resource(capacity=batches + 8, anonymous=True, initial_claimed_quantity=claimed)

    host, device, ready, arrived = tokens(pipeline.host_slots), tokens(pipeline.device_slots), tokens(0), tokens(0)

    class Cpu(salabim.Component):
        def process(self):
            for _ in range(batches):
                yield self.hold(pipeline.sample_ms)
                yield self.request(host)
                yield self.hold(pipeline.quantize_ms)
                ready.release(1)

    class Link(salabim.Component):
        def process(self):
            for _ in range(batches):
                yield self.request(ready)
                yield self.request(device)
                host.release(1)
                yield self.hold(pipeline.transfer_ms)
                arrived.release(1)

    class Dsp(salabim.Component):
        def process(self):
            for _ in range(batches):
                yield self.request(arrived)
                yield self.hold(pipeline.train_ms)
                device.release(1)

    Cpu(), Link(), Dsp()
    env.run()
    return float(env.now())


def in_scalar_python(pipeline: Pipeline, batches: int) -> float:
    """Return the makespan by the recurrence written out for one pipeline with two slots of each kind."""
    sample, quantize = pipeline.sample_ms, pipeline.quantize_ms
    transfer, train = pipeline.transfer_ms, pipeline.train_ms
    quantized = moved = trained = trained_before = began = began_before = 0.0
    for _ in range(batches):
        quantized = max(quantized + sample, began_before) + quantize
        start = max(quantized, moved, trained_before)
        began_before, began = began, start
        moved = start + transfer
        trained_before, trained = trained, max(moved, trained) + train
    return trained


def main() -> None:
    times = recurrence.constant_times(PIPELINE, BATCHES)
    expected = period.makespan_ms(PIPELINE, BATCHES)
    engines: list[tuple[str, Callable[[], object], int, int]] = [
        ("salabim (peer)", lambda: in_salabim(PIPELINE, BATCHES), BATCHES, 3),
        ("SimPy", lambda: simulate.spans(PIPELINE, times), BATCHES, 5),
        ("recurrence, scalar Python", lambda: in_scalar_python(PIPELINE, BATCHES), BATCHES, 7),
        ("recurrence, numpy, 1 pipeline", lambda: recurrence.spans(PIPELINE, times), BATCHES, 5),
    ]
    for width in (10, 100, 1_000):
        wide = {stage: np.repeat(array[:SHORT, None], width, axis=1) for stage, array in times.items()}
        name = f"recurrence, numpy, {width:,} pipelines"
        engines.append((name, lambda wide=wide: recurrence.makespan_ms(PIPELINE, wide), SHORT * width, 7))
    engines.append(("formula, O(1), whole makespan", lambda: period.makespan_ms(PIPELINE, BATCHES), BATCHES, 7))

    for name, function, _, _ in engines[:4]:
        made = function()
        makespan = float(made.makespan_ms) if isinstance(made, Spans) else made
        assert isinstance(makespan, float)
        assert abs(makespan - expected) <= 1e-9 * expected, f"{name} disagrees: {makespan} and {expected}"

    found = {name: best(function, repeats) / batches * 1e6 for name, function, batches, repeats in engines}
    print(f"one pipeline of {BATCHES:,} batches (numpy over many: {SHORT} batches each); us per batch")
    for name, each in found.items():
        print(f"  {name:34} {each:12.5f}   {found['SimPy'] / each:12,.1f} x SimPy's speed")

    print("SimPy is linear in batches:")
    for batches in (1_000, 10_000, 100_000):
        longer = recurrence.constant_times(PIPELINE, batches)
        seconds = best(lambda longer=longer: simulate.spans(PIPELINE, longer), 2)
        print(f"  {batches:9,} batches {seconds / batches * 1e6:8.2f} us per batch")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    random = np.random.default_rng(0)
    own = {stage: np.broadcast_to(random.uniform(0, 9, MANY), (SHORT, MANY)) for stage in STAGES}
    seconds = best(lambda: recurrence.makespan_ms(PIPELINE, own), 2)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    each_ns = seconds / MANY / SHORT * 1e9
    print(
        f"{MANY:,} pipelines x {SHORT} batches, every pipeline its own times: {seconds:.2f} s, {each_ns:.1f} ns a batch"
    )
    print(
        f"  largest memory of the process {after / 2**20:.2f} GiB, {(after - before) / 2**10:.0f} MiB more than before"
    )


if __name__ == "__main__":
    main()
