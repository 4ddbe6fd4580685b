"""The federated methods: what each one trains in, what it sends each way, and what the server makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from fl_sim.aggregator import AccumulateUpdates, Aggregator, AverageWeights, MajorityVote
from fl_sim.codec import Codec, Dense, Quantize, Sign
from profiler.names import did_you_mean, fold, printable


@dataclass(frozen=True)
class Method:
    """One row of any table. ``precision`` is what a client trains in; clients are drawn uniformly.

    The client's reference is always the decoded broadcast, and only ``aggregator`` decides: replace, or accumulate.
    """

    name: str
    title: str
    precision: Literal["fp32", "int8"]
    downlink: Codec
    uplink: Codec
    aggregator: Aggregator
    about: str = ""

    def __post_init__(self) -> None:
        if (fault := _fault(self)) is not None:
            message = f"method {printable(self.name, 40)!r}: {fault}"
            raise ValueError(message)

    @property
    def fixed_exponents(self) -> bool:
        """Whether clients send mantissas of the exponents that the server chose once."""
        return self.precision == "int8"


def _fault(method: Method) -> str | None:
    """Return why a method cannot work, None if it can."""
    down, up = method.downlink, method.uplink
    if down.update or down.error_feedback or isinstance(down.form, Sign):
        return "the downlink must carry weights: clients keep nothing that a change could be added to"
    if isinstance(method.aggregator, MajorityVote) != isinstance(up.form, Sign) or (
        isinstance(up.form, Sign) and not up.update
    ):
        return "signs of updates are for MajorityVote, and only those"
    if method.precision == "int8":
        for name, codec in (("downlink", down), ("uplink", up)):
            form = codec.form
            if not isinstance(form, Quantize) or form.bits != 8 or form.exponents != "fixed" or codec.update:
                return f"the {name} of INT8 training must be weights of 8 bits with fixed exponents"
    return None


_INT8 = Codec(Quantize())
_DYNAMIC = Codec(Quantize(exponents="dynamic"))
_SIGNSGD_RATE = 2e-5  # the artifact's step (methods.md 5.5)

_ALL = (
    Method("floatfl", "FloatFL", "fp32", Codec(), Codec(), AverageWeights(), "FedAvg in FP32"),
    # QuanFL's INT8 downlink is not printed; with an FP32 one only 13 of Table 4's 18 times close (see
    # docs/background/table4.md). Q-FedAvg and Q-FedUpdate differ on the server alone, so not in cost.
    Method("quanfl", "QuanFL", "fp32", _DYNAMIC, _DYNAMIC, AverageWeights(), "FP32 training, INT8 both ways"),
    Method("qfedavg", "Q-FedAvg", "int8", _INT8, _INT8, AverageWeights(), "INT8 training, weights replaced"),
    Method("qfedupdate", "Q-FedUpdate", "int8", _INT8, _INT8, AccumulateUpdates(), "INT8 training, updates added"),
    Method(
        "qfedupdate_momentum", "Q-FedUpdate + momentum", "int8", _INT8, _INT8, AccumulateUpdates(momentum=0.9),
        "Q-FedUpdate with momentum 0.9 on the server's FP32 weights; nothing changes for clients",
    ),
    Method(
        "qfedavg_sr", "Q-FedAvg, stochastic dispatch", "int8", Codec(Quantize(rounding="stochastic")), _INT8,
        AverageWeights(), "Q-FedAvg whose broadcast is rounded stochastically; nothing changes for clients",
    ),
    Method(
        "quanfl_update", "QuanFL, updates added", "fp32", _DYNAMIC, _DYNAMIC, AccumulateUpdates(),
        "QuanFL with Q-FedUpdate's server: what the broadcast's rounding cut off is kept",
    ),
    Method(
        "quanfl_ef", "QuanFL, error feedback", "fp32", _DYNAMIC,
        Codec(Quantize(rounding="stochastic", exponents="dynamic"), update=True, error_feedback=True),
        AccumulateUpdates(),
        "the reading of the paper's reference 38: clients send quantized updates and keep what was cut off",
    ),
    Method(
        "quanfl_signsgd", "QuanFL, signSGD", "fp32", Codec(Dense()), Codec(Sign(), update=True),
        MajorityVote(_SIGNSGD_RATE), "the reading of the authors' artifact: one bit per weight, majority vote",
    ),
)  # fmt: skip

REGISTRY: Mapping[str, Method] = MappingProxyType({method.name: method for method in _ALL})

# Those of the paper's Table 4, which have a cost without training.
METHODS: Mapping[str, Method] = MappingProxyType(
    {name: REGISTRY[name] for name in ("floatfl", "quanfl", "qfedavg", "qfedupdate")}
)


def find_method(name: str, among: Mapping[str, Method] = METHODS) -> Method:
    """Return the method called ``name`` (folded: ``Q-FedUpdate`` is ``qfedupdate``), or raise ValueError."""
    by_fold = {fold(known): method for known, method in among.items()}
    method = by_fold.get(fold(name))
    if method is None:
        meant = "FedAvg in floats is floatfl" if fold(name) == fold("FedAvg") else did_you_mean(name, among)
        message = f"method {printable(name)!r} is unknown; {meant}"
        raise ValueError(message)
    return method
