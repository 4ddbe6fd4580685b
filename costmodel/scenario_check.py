"""What no single parameter of a scenario shows: settings that contradict each other, or have no effect."""

from collections.abc import Iterator

from costmodel.scenario import MOST_BATCHES, Scenario, Throttle, pipeline_of

_NOISE_STAGES = 4
_SHORTEST_GAP_MS = 1.0


def check_scenario(scenario: Scenario, *, timed: bool = True) -> Iterator[str]:
    """Yield a line for everything that does not fit together, with the next step.

    ``timed`` False allows a scenario whose stage times are still to be calibrated.
    """
    yield from _link(scenario)
    yield from _variation(scenario)
    yield from _disturbances(scenario)
    yield from _power(scenario)
    yield from _cohort(scenario)
    if scenario.staging_slots != 2 and (scenario.cpu_threads == 1 or scenario.quantize_on == "dsp"):
        yield "staging_slots matters between two threads that sample and quantize; set cpu_threads = 2 or leave it at 2"
    if scenario.quantize_on == "dsp" and scenario.stage.quantize_dsp_ms is None:
        yield "quantize_on = dsp needs stage.quantize_dsp_ms, the time of quantizing on the DSP"
        return
    if not 1 <= scenario.round_batches <= MOST_BATCHES:
        yield (
            f"a round must have 1 to {MOST_BATCHES:,} batches (got {scenario.round_batches}: {scenario.epochs} epochs,"
            f" {scenario.samples:g} samples, batch size {scenario.batch_size}, {scenario.batches_per_round})"
        )
    elif scenario.failure.probability and getattr(pipeline_of(scenario), f"{scenario.failure.stage}_ms") == 0:
        yield f"failure.stage = {scenario.failure.stage} takes no time here, so it cannot fail; choose another stage"
    elif timed and pipeline_of(scenario).sequential_ms <= 0:
        yield "all stage times are 0; give stage.train_ms and the others at stage.reference_batch_size"


def _link(scenario: Scenario) -> Iterator[str]:
    link = scenario.link
    payload = {name: getattr(link, name) for name in ("bytes_per_sample", "model_bytes", "return_bytes")}
    sent = [f"link.{name}" for name, value in payload.items() if value]
    if sent and link.bytes_per_s is None:
        yield f"{', '.join(sent)} needs a rate; give link.bytes_per_s"
    if link.bytes_per_s is not None and not sent:
        yield "link.bytes_per_s has no effect without a payload; give link.bytes_per_sample or link.model_bytes"


def _variation(scenario: Scenario) -> Iterator[str]:
    noise = scenario.noise
    if noise.kind != "lognormal" and noise.cv:
        yield f"noise.cv contradicts noise.kind = {noise.kind}; set noise.kind = lognormal, or noise.cv = 0"
    if noise.kind == "empirical" and not noise.rows:
        yield "noise.kind = empirical needs noise.rows"
    if noise.kind != "empirical" and noise.rows:
        yield f"noise.rows contradicts noise.kind = {noise.kind}; set noise.kind = empirical"
    if any(len(row) != _NOISE_STAGES for row in noise.rows):
        yield "noise.rows must hold 4 factors each: sample, quantize, transfer, train"
    elif noise.rows and not all(any(column) for column in zip(*noise.rows, strict=True)):
        yield "noise.rows has a stage whose factors are all 0; write 1 for a stage that does not vary"


def _disturbances(scenario: Scenario) -> Iterator[str]:
    throttle, app = scenario.throttle, scenario.foreground
    if (throttle.kind == "curve") != bool(throttle.curve):
        yield "throttle.curve and throttle.kind = curve need each other"
    times = [pair[0] for pair in throttle.curve if pair]
    if any(len(pair) != 2 or not 1e-3 <= pair[1] <= 1 for pair in throttle.curve) or times != sorted(set(times)):
        yield "throttle.curve must be pairs of time in s, rising, and speed from 0.001 to 1; clock.dsp is faster"
    if throttle.kind == "thermal":
        if throttle.resume_c > throttle.limit_c:
            yield f"throttle.resume_c must not be above throttle.limit_c (got {throttle.resume_c:g})"
        if scenario.power.base_w is None or scenario.power.dsp_active_w is None:
            yield "throttle.kind = thermal needs power.base_w and power.dsp_active_w: without power there is no heat"
    if (app.every_ms > 0) != (app.for_ms > 0):
        yield "foreground.every_ms and foreground.for_ms need each other"
    elif app.every_ms and app.for_ms > app.every_ms - _SHORTEST_GAP_MS:
        got = f"(got {app.for_ms:g} of {app.every_ms:g})"
        yield f"foreground.for_ms must be at least {_SHORTEST_GAP_MS:g} ms below foreground.every_ms {got}"
    unused = {
        "throttle.speed": throttle.speed != Throttle().speed,
        "throttle.limit_c": throttle.limit_c != Throttle().limit_c,
    }
    if throttle.kind != "thermal" and any(unused.values()):
        names = [name for name, is_set in unused.items() if is_set]
        yield f"{', '.join(names)} has no effect without throttle.kind = thermal"


def _power(scenario: Scenario) -> Iterator[str]:
    power = scenario.power
    for name in ("cpu", "link", "dsp"):
        idle, active = getattr(power, f"{name}_idle_w"), getattr(power, f"{name}_active_w")
        if idle is not None and active is not None and active < idle:
            yield f"power.{name}_active_w must not be below power.{name}_idle_w (got {active:g} and {idle:g})"
    if power.base_w is not None and power.mean_w is not None and power.base_w > power.mean_w:
        got = f"(got {power.base_w:g} of {power.mean_w:g})"
        yield f"power.base_w must not be above power.mean_w, the whole phone while it trains {got}"
    for name in ("cpu", "dsp"):
        if getattr(scenario.clock, f"{name}_voltage") != 1 and getattr(power, f"{name}_active_w") is None:
            yield f"clock.{name}_voltage has no effect without power.{name}_active_w"
    if "radio" in power.energy_counts and power.radio_w is None:
        yield "power.energy_counts holds radio; give power.radio_w"
    if "wait" in power.energy_counts and power.base_w is None:
        yield "power.energy_counts holds wait; give power.base_w, the power of waiting"
    if "train" not in power.energy_counts:
        yield "power.energy_counts must hold train"


def _cohort(scenario: Scenario) -> Iterator[str]:
    cohort = scenario.cohort
    if cohort.network == "constant" and cohort.network_cv:
        yield "cohort.network = constant contradicts cohort.network_cv; set cohort.network = lognormal"
    if (cohort.round_end == "deadline") != (cohort.deadline_s is not None):
        yield "cohort.deadline_s and cohort.round_end = deadline need each other"
    if len(cohort.phones_train_ms) > cohort.clients:
        count = len(cohort.phones_train_ms)
        yield f"cohort.phones_train_ms names {count} phones, cohort.clients is {cohort.clients}; raise that"
    if cohort.fraction < 1 and cohort.round_end != "fraction":
        yield "cohort.fraction needs cohort.round_end = fraction"
