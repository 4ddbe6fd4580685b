"""How groups of training runs ended: accuracy, rounds to converge by a rule, and whether they still rise."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from costmodel.workload import Workload, workload_for
from fl_sim.converged import Converged, Curve, Rule, Spread, converged, curve, rounds_to, spread
from fl_sim.finished import FinishedRun, digests, read_run
from reports.manifest import Input
from reports.training.groups import Group, grouped, labels

_MOST_RUNS = 10_000


def read_runs(paths: Sequence[Path]) -> tuple[tuple[Group, ...], tuple[Input, ...]]:
    """Return runs as groups that differ in their seed alone, and their manifest entries.

    A run that is named twice counts once. Raises FileNotFoundError and ValueError naming what cannot be read.
    """
    if len(paths) > _MOST_RUNS:
        message = f"at most {_MOST_RUNS:,} runs are read (got {len(paths):,})"
        raise ValueError(message)
    once: dict[Path, Path] = {}
    for path in paths:
        once.setdefault(path.resolve(), path)
    runs = [read_run(path) for path in once.values()]
    return grouped(runs), tuple(entry for run in runs for entry in _inputs(run))


def _inputs(run: FinishedRun) -> list[Input]:
    """Return the manifest entries of a run: its own manifest, where that states the digests of the other files."""
    every = [Input(*digest) for digest in digests(run)]
    stated = run.manifest.get("files_sha256")
    covered = stated if isinstance(stated, dict) else {}
    return [entry for entry in every if entry.name.rpartition("/")[2] not in covered]


def check_target(target: float | None) -> None:
    """Raise ValueError for a target accuracy that is no share."""
    if target is not None and not 0 < target <= 1:
        message = f"target must be a share above 0 and at most 1, such as 0.8 for 80 % (got {target})"
        raise ValueError(message)


@dataclass(frozen=True, eq=False)
class Ended:
    """A group of runs that differ in their seed, and how each of them ended. ``label`` tells it from the others."""

    group: Group
    label: str
    curves: tuple[Curve, ...]
    ends: tuple[Converged, ...]

    @property
    def rounds(self) -> Spread:
        """Rounds to converge over seeds."""
        return spread([end.round for end in self.ends])

    @property
    def rising(self) -> int:
        """Seeds whose accuracy is still rising at the end."""
        return sum(end.rising for end in self.ends)

    @property
    def judged(self) -> str:
        """The model whose accuracy counts: INT8 or FP32."""
        return self.curves[0].judged.upper()

    @property
    def workload(self) -> Workload | None:
        """The paper's workload with this model and data set; None if it has none."""
        run = self.group.runs[0]
        return workload_for(run.model, run.config.dataset)

    def rounds_to(self, rule: Rule, target: float) -> Spread:
        """Return the rounds over seeds until the smoothed accuracy is ``target``, a share."""
        return spread([rounds_to(each, rule.window, target) for each in self.curves])


def ended(groups: Sequence[Group], rule: Rule) -> tuple[Ended, ...]:
    """Return how the runs of each group ended. Raises ValueError naming a run with fewer evaluations than a window."""
    found = []
    for group, label in zip(groups, labels(groups), strict=True):
        curves = tuple(curve(run, rule.judged) for run in group.runs)
        ends = []
        for run, each in zip(group.runs, curves, strict=True):
            try:
                ends.append(converged(each, rule))
            except ValueError as error:
                message = f"{run.name}: {error}, or leave this run out"
                raise ValueError(message) from error
        found.append(Ended(group, label, curves, tuple(ends)))
    return tuple(found)


def conditions(found: Iterable[Ended]) -> tuple[str, ...]:
    """Return a line for every setting that runs were trained in, with the data set."""
    return tuple(dict.fromkeys(f"{each.group.dataset}: {each.group.words()}." for each in found))


def judged_words(found: Iterable[Ended]) -> str:
    """Return whose accuracy counts, in a sentence."""
    judged = {each.judged for each in found}
    if len(judged) == 1:
        return f"Accuracy is the {judged.pop()} model's."
    return "Accuracy is that of the model which clients receive: INT8 for methods that broadcast INT8, FP32 for others."
