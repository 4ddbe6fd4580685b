"""Runs put together: those that differ in their seed alone are one group, and lines of a figure compare groups."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from costmodel.workload import workloads
from fl_sim.finished import FinishedRun
from fl_sim.method import REGISTRY
from profiler.names import fold, printable

# What two lines of one panel share, the cohort being the exception where it is the axis.
_CONDITION = (
    "mode",
    "dataset",
    "data",
    "model",
    "partition",
    "alpha",
    "shards_per_client",
    "clients",
    "epochs",
    "batch_size",
)
_FLOAT_ONLY = ("learning_rate", "momentum", "weight_decay", "bias")
_INT8_ONLY = ("mu_conv", "mu_fc", "activation_rounding", "error_rounding", "update_rounding", "loss_rounding")
_SHORT = {"cohort": "K", "epochs": "E", "learning_rate": "lr"}
_DATASETS = {fold(name): name for name in ("MNIST", "FEMNIST", "CIFAR-10", "CIFAR-100")}


@dataclass(frozen=True, eq=False)
class Group:
    """Runs of one configuration, by rising seed. ``settings`` is all that their result depends on but the seed."""

    runs: tuple[FinishedRun, ...]
    settings: Mapping[str, Any]

    @property
    def method(self) -> str:
        """The method's name in the registry."""
        return str(self.settings["method"])

    @property
    def title(self) -> str:
        """The method's name as the paper writes it."""
        return REGISTRY[self.method].title

    @property
    def dataset(self) -> str:
        """The data set's name as people write it."""
        return dataset_title(str(self.settings["dataset"]))

    @property
    def cohort(self) -> int:
        """Clients of a round."""
        return int(self.settings["cohort"])

    @property
    def seeds(self) -> tuple[int, ...]:
        """The runs' seeds."""
        return tuple(run.config.seed for run in self.runs)

    @property
    def mu(self) -> str:
        """The gradient bit width or its schedule, of convolutions and fully connected layers; empty for FP32."""
        conv, fc = (str(self.settings.get(name, "")) for name in ("mu_conv", "mu_fc"))
        return conv if conv == fc else f"{conv} / {fc}"

    @property
    def origin(self) -> str:
        """Where the group's points are from: its seeds."""
        return f"seed{'s' * (len(self.runs) > 1)} {', '.join(map(str, self.seeds))}"

    def condition(self, cohort: bool = True) -> tuple[object, ...]:
        """Return what a group shares with those it may be compared with; without the cohort where that is the axis."""
        return tuple(self.settings.get(name) for name in (*_CONDITION, *(("cohort",) if cohort else ())))

    def own(self) -> dict[str, Any]:
        """Return the settings that are no part of the condition: the method's knobs, rounds and the like."""
        return {name: value for name, value in self.settings.items() if name not in (*_CONDITION, "cohort", "method")}

    def words(self, cohort: bool = True) -> str:
        """Return the condition for people: ``LeNet-5, K = 20 of 192 clients, E = 1, batch 5, by writer``."""
        settings = self.settings
        registered = self.runs[0].registered
        of = f" of {registered}" if registered else ""
        drawn = {"writer": "by writer", "iid": "IID", "shards": f"{settings.get('shards_per_client')} shards each"}
        split = drawn.get(settings["partition"], f"Dirichlet {settings.get('alpha', 0):g}")
        model = [name for name in [model_title(settings["model"])] if name not in ("", self.dataset)]
        chosen = [f"K = {self.cohort}{of} clients" if cohort else f"{of[4:] or 'all'} clients"]
        return ", ".join([*model, *chosen, f"E = {settings['epochs']}", f"batch {settings['batch_size']}", split])


def grouped(runs: Iterable[FinishedRun]) -> tuple[Group, ...]:
    """Return runs as groups, in the order of the method registry, then by cohort and other settings.

    Raises ValueError naming both runs where two have the same configuration and seed.
    """
    found: dict[tuple[tuple[str, Any], ...], list[FinishedRun]] = {}
    for run in runs:
        found.setdefault(tuple(sorted(_settings(run).items())), []).append(run)
    groups = []
    for same in found.values():
        by_seed: dict[int, FinishedRun] = {}
        for run in same:
            other = by_seed.setdefault(run.config.seed, run)
            if other is not run:
                message = (
                    f"{printable(other.path, 200)} and {printable(run.path, 200)} are runs of one configuration and "
                    f"seed {run.config.seed}; give one of them, or runs that differ in their seed"
                )
                raise ValueError(message)
        ordered = tuple(by_seed[seed] for seed in sorted(by_seed))
        groups.append(Group(ordered, _settings(ordered[0])))
    order = list(REGISTRY)
    return tuple(
        sorted(groups, key=lambda group: (group.dataset, order.index(group.method), group.cohort, _text(group)))
    )


def labels(groups: Iterable[Group], *, method: bool = True, cohort: bool = True) -> list[str]:
    """Return a name for each group: the method's, and what tells it from others of the same method.

    Without ``method`` or ``cohort`` those are left out, because all share them or they are the axis.
    """
    members = list(groups)
    found = []
    for group in members:
        same = [_named(other) for other in members if other.method == group.method]
        mine = _named(group)
        telling = [name for name in mine if any(other.get(name) != mine[name] for other in same)]
        parts = [f"{_SHORT.get(name, name)} = {mine[name]}" for name in telling if cohort or name != "cohort"]
        parts = [group.title, *parts] if method else parts or [f"K = {group.cohort}"]
        found.append(printable(", ".join(parts), 100))
    return found


def dataset_title(name: str) -> str:
    """Return a data set's name as the paper writes it, or as it is."""
    known = _DATASETS | {fold(workload.dataset): workload.dataset for workload in workloads().values()}
    return known.get(fold(name), printable(name, 40))


def model_title(name: str) -> str:
    """Return a model's name as the paper writes it, or as it is."""
    known = {fold(workload.model): workload.model for workload in workloads().values()}
    return known.get(fold(name), printable(name, 30))


def _settings(run: FinishedRun) -> dict[str, Any]:
    """Return a run's settings without its seed and without those that its method and partition never look at."""
    config, settings = run.config, asdict(run.config)
    del settings["seed"], settings["mu"]
    settings["mu_conv"], settings["mu_fc"] = (str(settings[name] or config.mu) for name in ("mu_conv", "mu_fc"))
    settings["model"], settings["clients"] = run.model, run.registered or 0
    settings["data"], settings["mode"] = _data(run), printable(run.manifest.get("mode", "measured"), 40)
    if config.partition == "natural":  # by writer where there are writers
        settings["partition"] = "writer" if dataset_title(config.dataset) == "FEMNIST" else "dirichlet"
    unused: tuple[str, ...] = _INT8_ONLY if REGISTRY[config.method].precision == "fp32" else _FLOAT_ONLY
    unused += ("alpha",) if settings["partition"] != "dirichlet" else ()
    unused += ("shards_per_client",) if settings["partition"] != "shards" else ()
    return {name: value for name, value in settings.items() if name not in unused}


def _data(run: FinishedRun) -> str:
    """Return the hash of the data set's content, so that two data sets of one name are not one; empty if untold."""
    data = run.manifest.get("data")
    return str(data.get("sha256", ""))[:64] if isinstance(data, dict) else ""


def _named(group: Group) -> dict[str, Any]:
    """Return the settings that may stand in a label."""
    own = {name: value for name, value in group.own().items() if name not in ("mu_conv", "mu_fc")}
    return {"cohort": group.cohort, "epochs": group.settings["epochs"], "mu": group.mu} | own


def _text(group: Group) -> str:
    return repr(sorted(group.settings.items()))
