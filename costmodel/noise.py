"""Random stage times: what a batch's stages take when they vary around their means."""

import math

import numpy as np
from numpy.typing import NDArray

from costmodel.scenario import Noise
from costmodel.spans import Array
from costmodel.stages import STAGES, Pipeline, Stage


def draw_times(
    pipeline: Pipeline, noise: Noise, shape: tuple[int, ...], random: np.random.Generator
) -> dict[Stage, Array]:
    """Return stage times in ms of shape ``shape`` = (batches, ...) around the pipeline's means.

    Log-normal: mean as given, standard deviation cv * mean, every stage and batch independent. Empirical: rows of
    factors are drawn with replacement, the four stages of a batch together, so that what varies together stays so;
    each column is scaled to mean 1, and the return is constant. Constant: no draw is made.
    """
    means = {stage: float(getattr(pipeline, f"{stage}_ms")) for stage in STAGES}
    if noise.kind == "constant":
        return {stage: np.full(shape, mean) for stage, mean in means.items()}
    if noise.kind == "lognormal":
        sigma = math.sqrt(math.log1p(noise.cv**2))
        return {
            stage: mean * random.lognormal(-(sigma**2) / 2, sigma, shape) if mean else np.zeros(shape)
            for stage, mean in means.items()
        }
    factors: NDArray[np.float64] = np.asarray(noise.rows, dtype=np.float64)
    average = factors.mean(axis=0)
    factors = factors / np.where(average > 0, average, 1.0)
    drawn = factors[random.integers(0, len(factors), shape)]
    varied = {stage: means[stage] * drawn[..., place] for place, stage in enumerate(STAGES[:4])}
    return {**varied, "return": np.full(shape, means["return"])}
