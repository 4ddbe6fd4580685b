"""How long FLASH's raw state traces take to read: 1,000 devices made up from a seed, 37 MB as the public file has.

Run from the repository root: python benchmarks/flash_traces.py [devices]. The goal for 1,000 is 5 s. The slow twin,
which takes one line after the other, reads a part of the devices' messages in turns with the fast way.
"""

import json
import statistics
import sys
import time
from datetime import datetime, timedelta

import numpy as np

from traces.flash.messages import read_messages, read_messages_by_line
from traces.flash.states import read_states

EVENTS, PART, ROUNDS = 1220, 10, 5
WORDS = ["screen_on", "screen_off", "screen_lock", "screen_unlock", "wifi", "4g", "3g", "unknown"]
WORDS += ["battery_charged_on", "battery_charged_off"]


def messages(random: np.random.Generator) -> str:
    """Five days of a phone: its screen, network and charger at random times, and its level as often."""
    begin = datetime(2020, 1, 28) + timedelta(seconds=int(random.integers(0, 2 * 86_400)))
    at = np.sort(random.integers(0, 5 * 86_400, EVENTS)).tolist()
    words = random.integers(0, 2 * len(WORDS), EVENTS).tolist()
    level = np.clip(np.cumsum(random.normal(0, 2, EVENTS)) + 60, 1, 100).round().tolist()
    return "\n".join(
        f"{begin + timedelta(seconds=s)}\t{WORDS[word] if word < len(WORDS) else f'{level[i]}%'}"
        for i, (s, word) in enumerate(zip(at, words, strict=True))
    )


def main() -> None:
    devices = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    random = np.random.default_rng(7)
    texts = [messages(random) for _ in range(devices)]
    file = {str(i): {"guid": f"guid-{i}", "model": "phone", "messages": text} for i, text in enumerate(texts)}
    data = json.dumps(file).encode()

    begin = time.perf_counter()
    states = read_states(data)
    took_s = time.perf_counter() - begin
    print(f"{devices} devices, {len(data) / 1e6:.1f} MB, {devices * EVENTS} events: {took_s:.2f} s to read", end="; ")
    print(f"{states.report.kept} kept, {len(states.availability.start_s)} ready intervals")

    ratios = []
    for _ in range(ROUNDS):
        times = []
        for read in (read_messages, read_messages_by_line):
            begin = time.perf_counter()
            for text in texts[:PART]:
                read(text, 1)
            times.append(time.perf_counter() - begin)
        ratios.append(times[1] / times[0])
    print(
        f"one line after the other: {statistics.median(ratios):.0f} times as long ({ROUNDS} rounds of {PART} devices,",
        end=" ",
    )
    print(f"{min(ratios):.0f} to {max(ratios):.0f})")


if __name__ == "__main__":
    main()
