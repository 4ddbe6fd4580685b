"""A job: the files of one measurement's folder on the device."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from profiler.campaign.source import Source
from profiler.device.device import Device

SCRIPTS = ("job.sh", "sampler.sh", "dumper.sh", "workload.sh")
HOTTEST_C, LOWEST_LEVEL, WORST_STATUS = 45.0, 15, 3  # limits that the job keeps by itself
_FILE_BLOCKS = (60 << 20) // 512  # no file of a workload may grow beyond 60 MiB: 64 MiB are collected at most
_DUMPS_PERIOD_S = 1.0


@dataclass(frozen=True)
class Job:
    """What a measurement runs: ``command`` is a shell command line, empty for an idle phone; times are the device's.

    ``native_sampler`` is the shell words that start it, empty for the shell's sampler; ``sampler_words`` name it.
    """

    command: str
    idle_s: float
    deadline_s: float
    sample_period_s: float
    cpus: str = ""
    perfetto_trace: str = ""
    native_sampler: str = ""
    sampler_words: str = "shell"


def job_files(job: Job, device: Device, source: Source) -> Mapping[str, bytes]:
    """Return the files of a job's folder by name: its settings and the scripts that read them."""
    files = {"settings": settings(job, device, source).encode()}
    for name in SCRIPTS:
        files[name] = script(name)
    if source.kind == "perfetto":
        from profiler.power.perfetto_trace import trace_config

        files["perfetto.cfg"] = trace_config(job.sample_period_s, job.deadline_s).encode()
    return files


def script(name: str) -> bytes:
    """Return one of the shipped shell scripts."""
    return (resources.files("profiler") / "campaign" / name).read_bytes()


def settings(job: Job, device: Device, source: Source) -> str:
    """Return the shell text with a job's settings, every value quoted."""
    values = {
        "UPTIME": f"{device.root}/proc/uptime",
        "IDLE_CS": _hundredths(job.idle_s),
        "DEADLINE_CS": _hundredths(job.deadline_s),
        "PERIOD_CS": _hundredths(job.sample_period_s),
        "SAMPLED_HEADER": source.header,
        "SAMPLED_FILES": source.files,
        "NATIVE_SAMPLER": job.native_sampler,
        "SAMPLER": job.sampler_words,
        "DUMPS_PERIOD_CS": _hundredths(_DUMPS_PERIOD_S) if source.kind == "dumpsys" else "",
        "PERFETTO_TRACE": job.perfetto_trace if source.kind == "perfetto" else "",
        "HAVE_DUMPSYS": "1" if "dumpsys" in device.tools else "",
        "TEMPERATURE_FILE": source.columns.get("temperature", ""),
        "LEVEL_FILE": source.columns.get("level", ""),
        "HOTTEST_DECI_C": str(round(10 * HOTTEST_C)),
        "LOWEST_LEVEL": str(LOWEST_LEVEL),
        "WORST_STATUS": str(WORST_STATUS),
        "SETSID": "setsid" if "setsid" in device.tools else "",
        "FILE_BLOCKS": str(_FILE_BLOCKS),
        "CPUS": job.cpus,
        "COMMAND": job.command,
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _hundredths(seconds: float) -> str:
    return str(max(1, round(100 * seconds)))
