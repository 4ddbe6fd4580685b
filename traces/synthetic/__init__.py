"""Fleets that are made up, with stated statistics: fitted to public traces, or written by hand."""

from traces.synthetic.built_in import built_in_fleets, find_statistics
from traces.synthetic.fit import fit
from traces.synthetic.generate import synthetic_fleet
from traces.synthetic.statistics import Statistics
from traces.synthetic.statistics_file import format_statistics, read_statistics

__all__ = [
    "Statistics",
    "built_in_fleets",
    "find_statistics",
    "fit",
    "format_statistics",
    "read_statistics",
    "synthetic_fleet",
]
