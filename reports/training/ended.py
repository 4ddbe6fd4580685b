"""How groups of training runs ended: accuracy, rounds to converge by a rule, and whether they still rise."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from costmodel.workload import Workload, workload_for
from fl_sim.converged import Converged, Curve, Rule, Spread, converged, curve, rounds_to, spread
from fl_sim.finished import FinishedRun, NotEnded, digests, read_run
from reports.manifest import Input
from reports.training.groups import Group, grouped, labels

_MOST_RUNS = 10_000


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs as groups that differ in their seed alone, their manifest entries, and a line for each that is left out."""

    groups: tuple[Group, ...]
    inputs: tuple[Input, ...]
    left_out: tuple[str, ...]


def read_runs(paths: Sequence[Path]) -> Runs:
    """Return the runs in directories; one that is named twice counts once.

    Among others that have ended, one that has not is left out. Raises FileNotFoundError and ValueError naming what
    cannot be read.
    """
    if len(paths) > _MOST_RUNS:
        message = f"at most {_MOST_RUNS:,} runs are read (got {len(paths):,})"
        raise ValueError(message)
    once: dict[Path, Path] = {}
    for path in paths:
        once.setdefault(path.resolve(), path)
    runs, unended = [], list[NotEnded]()
    for path in once.values():
        try:
            runs.append(read_run(path))
        except NotEnded as error:
            unended.append(error)
    if unended and not runs:
        raise unended[0]
    return Runs(
        grouped(runs),
        tuple(entry for run in runs for entry in _inputs(run)),
        tuple(f"left out: {error}" for error in unended),
    )


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


def ended(groups: Sequence[Group], rule: Rule) -> tuple[tuple[Ended, ...], tuple[str, ...]]:
    """Return how the runs of each group ended, and a line for each run that is left out: too few evaluations.

    Raises ValueError naming the first if no run has as many evaluations as a window.
    """
    kept: list[tuple[Group, list[Curve], list[Converged]]] = []
    left_out = []
    for group in groups:
        runs, curves, ends = [], [], []
        for run in group.runs:
            judged = curve(run, rule.judged)
            try:
                ends.append(converged(judged, rule))
            except ValueError as error:
                left_out.append(f"{run.name}: {error}, or leave this run out")
            else:
                curves.append(judged)
                runs.append(run)
        if runs:
            kept.append((replace(group, runs=tuple(runs)), curves, ends))
    if not kept:
        raise ValueError(left_out[0])
    names = labels(group for group, _, _ in kept)
    found = [
        Ended(group, name, tuple(curves), tuple(ends)) for name, (group, curves, ends) in zip(names, kept, strict=True)
    ]
    return tuple(found), tuple(f"left out: {line}" for line in left_out)


def conditions(found: Iterable[Ended]) -> tuple[str, ...]:
    """Return a line for every setting that runs were trained in, with the data set."""
    return tuple(dict.fromkeys(f"{each.group.dataset}: {each.group.words()}." for each in found))


def judged_words(found: Iterable[Ended]) -> str:
    """Return whose accuracy counts, in a sentence."""
    judged = {each.judged for each in found}
    if len(judged) == 1:
        return f"Accuracy is the {judged.pop()} model's."
    return "Accuracy is that of the model which clients receive: INT8 for methods that broadcast INT8, FP32 for others."
