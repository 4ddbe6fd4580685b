"""Training runs costed again on every phone that fits: until they converged, until a target, and in all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from costmodel.batch import BatchCost, batch_costs
from costmodel.overlap import Pipelined, measured_stages, pipelined, without_twins
from costmodel.round import PhasePower
from fl_sim.converged import Rule, rounds_to
from fl_sim.reading import find_reading
from fl_sim.recost import CountedBatches, Fit, RunCost, client_rounds, fitting, kernel_of, recost, run_cost
from profiler.names import did_you_mean, fold, printable
from profiler.plausibility import plausibility_warnings
from reports.manifest import Manifest, manifest
from reports.report import read_measurements
from reports.table4 import NO_CHANGES, Changes, paper_costs
from reports.training.ended import Ended, check_target, ended, read_runs

_READING = "epochs4_int8_payload"


@dataclass(frozen=True)
class RunsRequest:
    """What a person asks ``fedjoule cost`` about runs; None leaves phones and bandwidth open.

    ``counted``: the batches as trained, or a short last one as the share of a batch it is.
    """

    runs: tuple[Path, ...]
    rule: Rule = field(default_factory=Rule)
    target: float | None = None
    measurements: tuple[Path, ...] = ()
    device: str | None = None
    processor: str | None = None
    conditions: str | None = None
    counted: CountedBatches = "trained"
    changes: Changes = NO_CHANGES
    power: PhasePower = field(default_factory=PhasePower)


@dataclass(frozen=True, eq=False)
class Priced:
    """A group of runs on one phone.

    Costs are by seed: until it ``converged``, until it ``reached`` the target (None: never), and of all rounds.
    """

    ended: Ended
    fit: Fit
    how: Pipelined
    converged: tuple[RunCost, ...]
    reached: tuple[RunCost | None, ...]
    whole: tuple[RunCost, ...]

    @property
    def title(self) -> str:
        """Method and phone, and what a reader must know of the measurement."""
        batch = self.fit.batch
        marks = [
            *([] if self.fit.same_data else [f"measured on {printable(batch.dataset, 30) or 'no data set'}"]),
            *([] if self.fit.measured else ["unmeasured"]),
        ]
        name = f"{self.ended.label} on {printable(batch.device, 40)} {batch.processor}"
        return f"{name} ({', '.join(marks)})" if marks else name


@dataclass(frozen=True, eq=False)
class PricedRuns:
    """What ``price`` finds: ``rows`` by whose measurements they are made of (own, published), and what was read."""

    rows: Mapping[str, tuple[Priced, ...]]
    found: tuple[Ended, ...]
    manifest: Manifest
    warnings: tuple[str, ...]


def price(request: RunsRequest) -> PricedRuns:
    """Return the costs of runs on every phone that fits: model, batch size and arithmetic, and data set if any has it.

    Raises ValueError and OSError for what cannot be read, and ValueError if no measurement fits any of the runs.
    """
    check_target(request.target)
    runs = read_runs(request.runs)
    found, short = ended(runs.groups, request.rule)
    own, inputs = read_measurements(request.measurements)
    costs = {"own": batch_costs(own), "published": paper_costs()}
    _check_device(request.device, (*costs["own"], *costs["published"]))
    changes = replace(request.changes, pipelining=replace(request.changes.pipelining, stages=measured_stages(own)))
    asked = replace(request, changes=changes)
    rows = {kind: tuple(_priced(found, _chosen(every, asked), asked)) for kind, every in costs.items()}
    if not any(rows.values()):
        raise ValueError("\n".join(_unfit(found, (*costs["own"], *costs["published"]), request)))
    priced = {id(each.ended) for every in rows.values() for each in every}
    missing = [line for each in found if id(each) not in priced for line in _unfit((each,), (), request)]
    warnings = [line for name, entry in own.items() for line in plausibility_warnings(entry, name)]
    made = manifest("fedjoule cost", _parameters(request), [*inputs, *runs.inputs])
    return PricedRuns(rows, found, made, (*runs.left_out, *short, *missing, *warnings))


def bandwidth_of(request: RunsRequest) -> float:
    """Return the network rate in bit/s: the person's, or the paper's default."""
    given = request.changes.bandwidth_bit_per_s
    return find_reading(_READING).bandwidth_bit_per_s if given is None else given


def _chosen(costs: Iterable[BatchCost], request: RunsRequest) -> tuple[BatchCost, ...]:
    """Return the costs of the phone, processor and conditions that were asked for; overlap twins count once."""
    wanted = {name: getattr(request, name) for name in ("device", "processor", "conditions")}
    kept = [
        cost
        for cost in costs
        if all(value is None or fold(getattr(cost, name)) == fold(value) for name, value in wanted.items())
    ]
    return tuple(kept) if request.conditions is not None else without_twins(kept, request.changes.pipelining)


def _check_device(device: str | None, costs: Iterable[BatchCost]) -> None:
    known = sorted({cost.device for cost in costs})
    if device is not None and fold(device) not in {fold(name) for name in known}:
        message = f"device {device[:80]!r} is not in the measurements; {did_you_mean(device, known)}"
        raise ValueError(message)


def _unfit(found: Iterable[Ended], costs: Sequence[BatchCost], request: RunsRequest) -> Iterator[str]:
    """Yield a line for each group that no measurement fits, with what there is instead."""
    asked = [getattr(request, name) for name in ("device", "processor", "conditions")]
    where = f" on {' '.join(word for word in asked if word)}" if any(asked) else ""
    known = sorted({f"{cost.model} batch {cost.batch_size} {cost.precision}" for cost in costs})
    have = f"; the measurements have {printable('; '.join(known), 400)}" if known else ""
    for each in found:
        run = each.group.runs[0]
        wanted = f"{run.model or 'a model without a name'} in batches of {run.config.batch_size}"
        yield (
            f"{each.label} on {each.group.dataset}: no measurement of {printable(wanted)} in {kernel_of(run.method)[0]}"
            f"{where}{have}; measure it with 'fedjoule profile', or give a table with --measurements"
        )


def _parameters(request: RunsRequest) -> Mapping[str, object]:
    rule = request.rule
    chosen = {name: getattr(request, name) for name in ("device", "processor", "conditions", "target")}
    return {
        **{"window": rule.window, "margin_points": rule.margin_points, "judged": rule.judged},
        **{name: value for name, value in chosen.items() if value is not None},
        **{"bandwidth_bit_per_s": bandwidth_of(request), "batches": request.counted},
        **{name: value for name, value in vars(request.power).items() if value is not None},
        "changed": request.changes.words or "nothing",
    }


def _priced(found: Iterable[Ended], costs: Sequence[BatchCost], request: RunsRequest) -> Iterator[Priced]:
    bandwidth_bit_per_s = bandwidth_of(request)
    for each in found:
        runs = each.group.runs
        work = [client_rounds(run, request.counted) for run in runs]
        to_target = [
            None if request.target is None else rounds_to(of, request.rule.window, request.target) for of in each.curves
        ]
        for fit in fitting(runs[0], costs):
            how = pipelined(fit.batch, request.changes.pipelining, runs[0].config.epochs)
            courses = [recost(one, how.cost, bandwidth_bit_per_s, request.power) for one in work]
            yield Priced(
                ended=each,
                fit=fit,
                how=how,
                converged=tuple(run_cost(course, end.round) for course, end in zip(courses, each.ends, strict=True)),
                reached=tuple(
                    None if rounds is None else run_cost(course, rounds)
                    for course, rounds in zip(courses, to_target, strict=True)
                ),
                whole=tuple(run_cost(course) for course in courses),
            )
