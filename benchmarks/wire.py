"""What a client's upload costs the server: encode, decode and add, as ratios to a copy of the same bytes.

Run from the repository root: python benchmarks/wire.py [rounds]. Processor time of this thread; what is compared takes
turns, so that what else the machine does hits all alike, and a ratio is the median over the rounds. The last column is
encode, decode and add together, beside the goal of 0.1 ms for all that a client-round costs but its training.
"""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from fl_sim import sums
from fl_sim.codec import Codec, Dense, Quantize, Sign, decode, encode
from fl_sim.method import REGISTRY
from fl_sim.model import Model, find_model, initial_weights
from fl_sim.streams import Purpose, stream
from fl_sim.weights import FloatWeights, Weights, floats, layer_exponents, quantized
from profiler.native.library import library

Step = Callable[[], object]

GOAL_MS = 0.1
SAMPLES, COHORT = 226, 20
MODELS = (("lenetleaf", True), ("lenetleaf", False), ("lenet5", False))
CODECS = {
    "fp32": Codec(Dense()),
    "int8 mantissas": REGISTRY["qfedupdate"].uplink,
    "int8 of floats": REGISTRY["quanfl"].uplink,
    "int4 of floats": Codec(Quantize(bits=4, exponents="dynamic")),
    "update, memory": REGISTRY["quanfl_ef"].uplink,
    "signs": Codec(Sign(), update=True),
}


def seconds(step: Step) -> float:
    """Return the seconds of one call, from as many as take a few milliseconds."""
    calls, spent = 1, 0.0
    while spent < 4e-3:
        start = time.thread_time()
        for _ in range(calls):
            step()
        spent = time.thread_time() - start
        calls *= 2
    return 2 * spent / calls


def steps_of(codec: Codec, model: Model, name: str) -> dict[str, Step]:
    """Return what is done with one upload, and the copy of its bytes."""
    start = initial_weights(model, stream(0, Purpose.WEIGHTS))
    exponents = layer_exponents(model, start)
    trained: Weights = FloatWeights(start * np.float32(1.01))
    if name == "int8 mantissas":
        trained = quantized(model, start, exponents)
    reference = FloatWeights(start)
    memory = np.zeros(model.parameters, dtype=np.float32) if codec.error_feedback else None
    rng = stream(0, Purpose.UPLOAD)
    unit = sums.unit_of(SAMPLES * COHORT, exponents if name == "int8 mantissas" else None)
    total = np.zeros(model.parameters, dtype=np.int64)

    def coded() -> bytes:
        sent, _ = encode(codec, model, trained, exponents=exponents, rng=rng, reference=reference, memory=memory)
        return sent.payload

    sent, _ = encode(codec, model, trained, exponents=exponents, rng=rng, reference=reference, memory=memory)
    received = decode(codec, model, sent)
    raw = np.frombuffer(sent.payload, dtype=np.uint8)
    place = np.empty_like(raw)
    return {
        "copy": lambda: np.copyto(place, raw),
        "encode": coded,
        "decode": lambda: decode(codec, model, sent),
        "add": lambda: sums.add(total, [sums.as_unit(model, received, unit)], [SAMPLES], unit),
        "add, numpy": lambda: _in_numpy(total, sums.as_unit(model, received, unit), unit),
    }


def _in_numpy(total: sums.Sums, weights: Weights, unit: sums.Unit) -> None:
    if isinstance(weights, FloatWeights):
        sums.add_fp32(total, [weights.values], unit.scale, [SAMPLES])
    else:
        sums.add_int8(total, [weights.values], [SAMPLES])


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    library()  # as with the native engine: sums are then made by the kernels
    names = ("encode", "decode", "add", "add, numpy")
    print("ratios to a copy of the message's bytes")
    for model_name, bias in MODELS:
        model = find_model(model_name, 62, bias=bias)
        head = f"{'bytes':>10}{'copy µs':>9}" + "".join(f"{name:>12}" for name in names) + f"{'all, ms':>10}"
        print(f"\n{model.parameters:,} parameters\n{'':16}{head}  goal {GOAL_MS} ms")
        for name, codec in CODECS.items():
            if name == "int8 mantissas" and bias:
                continue
            steps = steps_of(codec, model, name)
            taken: dict[str, list[float]] = {step: [] for step in steps}
            for _ in range(rounds):
                for step, call in steps.items():
                    taken[step].append(seconds(call))
            ratios = [statistics.median(np.divide(taken[step], taken["copy"])) for step in names]
            shown = "".join(f"{ratio:12.1f}" for ratio in ratios)
            whole = 1e3 * statistics.median(np.sum([taken[step] for step in names[:3]], axis=0))
            nbytes = len(steps["encode"]())  # type: ignore[arg-type]
            copy_us = 1e6 * statistics.median(taken["copy"])
            print(f"{name:16}{nbytes:10,}{copy_us:9.2f}{shown}{whole:10.3f}")
    model = find_model("lenetleaf", 62, bias=True)
    start = initial_weights(model, stream(0, Purpose.WEIGHTS))
    exponents = layer_exponents(model, start)
    mantissas = quantized(model, start, exponents)
    once: dict[str, Step] = {
        "quantized": lambda: quantized(model, start, exponents),
        "floats": lambda: floats(model, mantissas),
        "stream": lambda: stream(0, Purpose.ORDER, 1, 1),
    }
    print("\n" + ", ".join(f"{name} {1e6 * seconds(step):.0f} µs" for name, step in once.items()))


if __name__ == "__main__":
    main()
