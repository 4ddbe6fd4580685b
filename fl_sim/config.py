"""The settings of a run: everything its result depends on, and nothing else."""

import stat
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from fl_sim.data.catalog import NAMES
from fl_sim.method import REGISTRY, Method, find_method
from fl_sim.model import MODELS
from fl_sim.schedule import Schedule, read_schedule
from fl_sim.trainer import Fp32, Niti, Trainer
from profiler.names import did_you_mean, fold, printable
from profiler.native.rules import ROUNDINGS, Rounding

Partitioning = Literal["natural", "writer", "dirichlet", "shards", "iid"]
PARTITIONINGS: tuple[Partitioning, ...] = ("natural", "writer", "dirichlet", "shards", "iid")

_MOST_BYTES = 1 << 20  # of a configuration file
# What a run may be asked for; far beyond any that ends.
_MOST = {"rounds": 10**6, "clients": 10**7, "cohort": 10**6, "epochs": 10**4, "batch_size": 65536, "every": 10**6}


@dataclass(frozen=True)
class Config:
    """A run of federated training. Its fields are the keys of a configuration file and options of ``fedjoule train``.

    ``clients`` 0 takes all writers, or 100. A ``natural`` partition is by writer where the data set has writers, else
    by Dirichlet(alpha). ``model`` empty is the data set's usual one. Schedules are texts such as ``3 2@100`` (see
    ``fl_sim.schedule``). Server settings of None are the method's own. Method, data set and model are kept under their
    own names, however they are spelled: they name the run's folder, and two spellings are one configuration.
    """

    method: str = "qfedupdate"
    dataset: str = "digits"
    model: str = ""
    bias: bool = False
    partition: Partitioning = "natural"
    alpha: float = 0.5
    shards_per_client: int = 2
    clients: int = 0
    cohort: int = 10
    rounds: int = 100
    epochs: int = 1
    batch_size: int = 5
    learning_rate: str = "0.05"
    momentum: float = 0.0
    weight_decay: float = 0.0
    mu: str = "1"
    mu_conv: str = ""
    mu_fc: str = ""
    activation_rounding: Rounding = "nearest"
    error_rounding: Rounding = "nearest"
    update_rounding: Rounding = "pseudo-stochastic"
    loss_rounding: Rounding = "pseudo-stochastic"
    server_rate: float | None = None
    server_momentum: float | None = None
    evaluate_every: int = 1
    evaluation_batch: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", self.found_method().name)
        for name, known in (("dataset", NAMES), ("model", MODELS)):
            own = {fold(each): each for each in known}.get(fold(getattr(self, name)))
            object.__setattr__(self, name, own or getattr(self, name))
        for name in _SCHEDULES:  # from Python they may be numbers; the file of the run has texts
            value = getattr(self, name)
            object.__setattr__(self, name, str(value) if isinstance(value, (int, float)) else value)
        for name in ("rounds", "cohort", "epochs", "batch_size", "shards_per_client", "evaluate_every"):
            _check_whole(name, getattr(self, name), 1)
        _check_whole("evaluation_batch", self.evaluation_batch, 1)
        _check_whole("clients", self.clients, 0)
        _check_whole("seed", self.seed, 0, 2**63 - 1)
        _check_choice("partition", self.partition, PARTITIONINGS)
        for name in ("activation", "error", "update", "loss"):
            _check_choice(f"{name}_rounding", getattr(self, f"{name}_rounding"), ROUNDINGS)
        _check_number("alpha", self.alpha, 1e-6, 1e9)
        _check_number("momentum", self.momentum, 0, 0.999999)
        _check_number("weight_decay", self.weight_decay, 0, 1e3)
        _check_number("server_rate", self.server_rate, 0, 1e6)
        _check_number("server_momentum", self.server_momentum, 0, 0.999999)
        self.trainer()  # reads the schedules

    def found_method(self) -> Method:
        """Return the method by its name."""
        return find_method(self.method, REGISTRY)

    def trainer(self) -> Trainer:
        """Return how a client trains. Raises ValueError naming a bad schedule."""
        rate = read_schedule(self.learning_rate, "learning_rate")
        if min(rate.values) < 0:
            message = f"learning_rate must be 0 or more (got {rate})"
            raise ValueError(message)
        conv, fc = (self._mu(name) for name in ("mu_conv", "mu_fc"))
        if self.found_method().precision == "fp32":
            return Fp32(rate, self.momentum, self.weight_decay)
        roundings = self.activation_rounding, self.error_rounding, self.update_rounding, self.loss_rounding
        return Niti(conv, fc, *roundings)

    def _mu(self, name: str) -> Schedule:
        text = getattr(self, name)
        schedule = read_schedule(text or self.mu, name if text else "mu", whole=True)
        if not all(-31 <= value <= 31 for value in schedule.values):
            message = f"{name if text else 'mu'} must be from -31 to 31 (got {schedule}); the paper's range is 0 to 5"
            raise ValueError(message)
        return schedule


def read_config(raw: bytes, name: str) -> dict[str, Any]:
    """Return the settings of a TOML file's bytes, for ``Config(**settings)``.

    Raises ValueError naming the file and the key for TOML that is none, unknown keys and values of another type.
    """
    try:
        settings = tomllib.loads(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        message = f"{printable(name, 200)}: not a TOML file ({printable(error, 120)})"
        raise ValueError(message) from error
    known = {field.name: field for field in fields(Config)}
    for key, value in settings.items():
        if key not in known:
            advice = f"give it as --{key.replace('_', '-')}" if key in _OPTIONS else did_you_mean(key, known)
            message = f"{printable(name, 200)}: {printable(key, 40)!r} is no setting; {advice}"
            raise ValueError(message)
        settings[key] = _typed(name, key, known[key].default, value)
    return settings


def read_config_file(path: Path) -> dict[str, Any]:
    """Return the settings of a TOML file, as ``read_config`` does.

    Raises FileNotFoundError where there is none, ValueError for what is no regular file of at most 1 MiB.
    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode) or about.st_size > _MOST_BYTES:
        message = f"{printable(path, 200)}: must be a regular file of at most {_MOST_BYTES >> 20} MiB"
        raise ValueError(message)
    with path.open("rb") as file:
        return read_config(file.read(_MOST_BYTES), str(path))


def to_toml(config: Config) -> str:
    """Return a configuration as a TOML file, settings of None left out."""
    lines = (f"{key} = {_literal(value)}" for key, value in asdict(config).items() if value is not None)
    return "\n".join(lines) + "\n"


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return what differs between two configurations, a text for each setting."""
    names = sorted({*one, *other})
    return [f"{name}: {one.get(name)!r}, now {other.get(name)!r}" for name in names if one.get(name) != other.get(name)]


def _typed(name: str, key: str, default: object, value: object) -> object:
    """Return a value in its setting's type: whole numbers may stand for others, numbers for schedules."""
    wanted: Any = float if default is None else type(default)
    numbers = (int, float) if wanted is float else (str, int, float) if key in _SCHEDULES else (wanted,)
    if not isinstance(value, numbers) or (isinstance(value, bool) and wanted is not bool):
        message = f"{printable(name, 200)}: {key} must be {_TYPES[wanted]} (got {printable(repr(value), 60)})"
        raise ValueError(message)
    return wanted(value)


_SCHEDULES = ("learning_rate", "mu", "mu_conv", "mu_fc")
_TYPES: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
# Where and how a run is trained is no part of its result, so a configuration does not hold it.
_OPTIONS = ("data_dir", "out", "engine", "workers", "torch_device", "product")


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


def _check_whole(name: str, value: int, least: int, most: int | None = None) -> None:
    most = most or _MOST.get("every" if name.startswith("evaluat") else name, 10**6)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        message = f"{name} must be a whole number from {least} to {most} (got {printable(value, 40)})"
        raise ValueError(message)


def _check_number(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        message = f"{name} must be from {least:g} to {most:g} (got {printable(value, 40)})"
        raise ValueError(message)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        message = f"{name} must be one of {', '.join(choices)} (got {printable(value, 40)!r})"
        raise ValueError(message)
