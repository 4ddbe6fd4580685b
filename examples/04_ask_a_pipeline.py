"""Ask a pipeline: the three engines on one scenario, what limits it, and what another link would change."""

from costmodel.engine import ENGINES, answer
from costmodel.paper_scenario import paper_scenario
from costmodel.scenario import pipeline_of
from costmodel.scenario_file import with_settings
from costmodel.timeline import use_of

scenario = with_settings(paper_scenario("xiaomi10_cifar10"), {"stage.sample_ms": 1})

for engine in ENGINES:
    found = answer(scenario, engine=engine)
    before, after = found.sequential.batch_ms.value, found.overlapped.batch_ms.value
    print(f"{engine:10} {before:.1f} ms sequential, {after:.1f} overlapped")

for use in use_of(pipeline_of(scenario), found.spans):
    print(f"{use.resource:5} busy {100 * use.busy_ms / use.makespan_ms:5.1f} %, blocked {use.blocked_ms:6.1f} ms")

for call_ms in (0, 25, 400, 800):
    found = answer(with_settings(scenario, {"link.call_ms": call_ms}))
    print(f"link call {call_ms:3} ms: {found.overlapped.batch_ms.value:.1f} ms per batch, {found.floor.bottleneck}")
