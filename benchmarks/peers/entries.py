"""The engines that are measured, and what ours shall be worth beside them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """``environment`` is a peer's, or empty for the Python that runs the benchmark; ``command`` follows ``python``.

    Quick engines are timed for ``more_rounds`` times as many rounds: CPU time is counted in hundredths of a second.
    """

    name: str
    title: str
    environment: str
    command: tuple[str, ...]
    integers: bool = False
    more_rounds: int = 1


def _torchrun(processes: int, script: str) -> tuple[str, ...]:
    return ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", script)


ENTRIES = (
    Entry(
        "native-2t", "fedjoule native FP32, 2 threads", "", ("fedjoule_engine.py", "native", "fp32", "2"), more_rounds=8
    ),
    Entry(
        "native-1t", "fedjoule native FP32, 1 thread", "", ("fedjoule_engine.py", "native", "fp32", "1"), more_rounds=8
    ),
    Entry(
        "native-int8-2t", "fedjoule native INT8, 2 threads", "", ("fedjoule_engine.py", "native", "int8", "2"), True, 8
    ),
    Entry(
        "native-int8-1t", "fedjoule native INT8, 1 thread", "", ("fedjoule_engine.py", "native", "int8", "1"), True, 8
    ),
    Entry("eager", "fedjoule eager FP32 (torch)", "", ("fedjoule_engine.py", "eager", "fp32", "1")),
    Entry("stacked", "fedjoule stacked FP32 (torch)", "", ("fedjoule_engine.py", "stacked", "fp32", "1")),
    Entry("lean", "torch loop, functional", "", ("torch_loop.py", "lean")),
    Entry("module", "torch loop, nn.Module + optim.SGD", "", ("torch_loop.py", "module")),
    Entry("pfl-2p", "pfl, 2 processes", "pfl", _torchrun(2, "pfl_peer.py")),
    Entry("pfl-1p", "pfl, 1 process", "pfl", ("pfl_peer.py",)),
    Entry("flower-2a", "Flower, 2 Ray actors", "flower", ("flower_peer.py", "2")),
    Entry("flower-1a", "Flower, 1 Ray actor", "flower", ("flower_peer.py", "1")),
    Entry("flower-grid", "Flower in-process, no Ray", "flower", ("flower_peer.py", "grid")),
    Entry("fedjax", "FedJAX, jit backend", "fedjax", ("fedjax_peer.py",)),
)
OURS = "native-2t"


@dataclass(frozen=True)
class Goal:
    """``slow`` takes at least ``times`` as long as ``fast``; below ``gate`` the engine is not fast enough."""

    slow: str
    fast: str
    times: float
    gate: float


GOALS = (
    Goal("pfl-2p", "native-2t", 7.5, 5.0),
    Goal("flower-2a", "native-2t", 12.0, 8.0),
    Goal("fedjax", "native-2t", 11.0, 22 / 3),
    Goal("pfl-1p", "native-1t", 6.5, 13 / 3),
    Goal("native-2t", "native-int8-2t", 1.0, 1.0),
    Goal("native-1t", "native-int8-1t", 1.0, 1.0),
    Goal("native-1t", "native-2t", 1.9, 1.27),
    Goal("lean", "eager", 1 / 1.02, 1 / 1.02),
    Goal("pfl-1p", "eager", 1 / 0.85, 1.0),
)
# Of the native engine: its memory, and from its start to the end of the first full round.
MOST_MB, MOST_FIRST_S = 300, 1.5


def chosen(names: str) -> list[Entry]:
    """Return the entries whose names begin with one of a comma-separated list; all for an empty text.

    Raises ValueError for a name that none begins with.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if not any(entry.name.startswith(name) for entry in ENTRIES):
            message = f"--only: {name!r} is none of {', '.join(entry.name for entry in ENTRIES)}, nor how one begins"
            raise ValueError(message)
    return [entry for entry in ENTRIES if not wanted or entry.name.startswith(tuple(wanted))]
