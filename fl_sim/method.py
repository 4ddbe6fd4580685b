"""The federated methods a table can hold: what each one trains in and what it sends."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from profiler.names import did_you_mean, fold


@dataclass(frozen=True)
class Method:
    """What a method costs a client: the precision it trains in and the format of the model each way.

    ``downlink`` and ``uplink`` are payload formats (``fp32`` or ``int8``), the keys of a reading's payload sizes.
    """

    name: str
    title: str
    precision: str
    downlink: str
    uplink: str


# QuanFL's INT8 downlink is not printed; with an FP32 one only 13 of Table 4's 18 times close (methods of the
# closure in docs/background/table4.md). Q-FedAvg and Q-FedUpdate differ on the server alone, so not in cost.
METHODS: Mapping[str, Method] = MappingProxyType(
    {
        method.name: method
        for method in (
            Method("floatfl", "FloatFL", precision="fp32", downlink="fp32", uplink="fp32"),
            Method("quanfl", "QuanFL", precision="fp32", downlink="int8", uplink="int8"),
            Method("qfedavg", "Q-FedAvg", precision="int8", downlink="int8", uplink="int8"),
            Method("qfedupdate", "Q-FedUpdate", precision="int8", downlink="int8", uplink="int8"),
        )
    }
)


def find_method(name: str) -> Method:
    """Return the method called ``name`` (folded: ``Q-FedUpdate`` is ``qfedupdate``), or raise ValueError."""
    method = METHODS.get(fold(name))
    if method is None:
        message = f"method {name[:80]!r} is unknown; {did_you_mean(name, METHODS)}"
        raise ValueError(message)
    return method
