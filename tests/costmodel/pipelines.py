"""Random pipelines and stage times, for property tests."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from costmodel.stages import STAGES, Pipeline

# Whole and half milliseconds make ties, which is where an order of events could differ; others do not.
times = st.one_of(st.integers(0, 12).map(lambda n: n / 2), st.floats(0.0, 50.0))
some_time = st.one_of(st.integers(1, 12).map(lambda n: n / 2), st.floats(0.01, 50.0))
slots = st.integers(1, 5)


def pipelines(**fixed: Any) -> st.SearchStrategy[Pipeline]:
    """Return any pipeline, but for what is fixed."""
    fields: dict[str, Any] = {
        "sample_ms": times,
        "quantize_ms": times,
        "transfer_ms": times,
        "train_ms": some_time,
        "return_ms": st.one_of(st.just(0.0), times),
        "quantize_on": st.sampled_from(["cpu", "dsp"]),
        "cpu_threads": st.sampled_from([1, 2]),
        "staging_slots": slots,
        "host_slots": slots,
        "device_slots": slots,
        "host_slot_freed": st.sampled_from(["transfer_start", "transfer_end"]),
        "link_holds": st.sampled_from(["nothing", "cpu", "dsp"]),
        "half_duplex": st.booleans(),
    }
    fields |= {name: st.just(value) for name, value in fixed.items()}
    return st.builds(Pipeline, **fields)


def free_pipelines() -> st.SearchStrategy[Pipeline]:
    """Return any pipeline whose claimants have a fixed order."""
    return pipelines().filter(lambda pipeline: not pipeline.contended)


@st.composite
def runs(draw: st.DrawFn, contended: bool = False) -> tuple[Pipeline, dict[Any, np.ndarray]]:
    """Return a pipeline and random times of 1 to 25 batches; the return takes no time where the pipeline says so."""
    pipeline = draw(pipelines() if contended else free_pipelines())
    batches = draw(st.integers(1, 25))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    grid = draw(st.booleans())
    drawn = {
        stage: random.integers(0, 9, batches) / 2.0 if grid else random.exponential(10.0, batches) for stage in STAGES
    }
    if pipeline.return_ms == 0:
        drawn["return"] = np.zeros(batches)
    return pipeline, drawn
