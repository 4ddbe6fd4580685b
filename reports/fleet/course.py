"""What became of a run on a fleet: its rounds, all client-rounds side by side, and the tiers of its phones."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from fl_sim.fleet_log import to_frames
from fl_sim.fleet_summary import UNKNOWN
from fl_sim.participation import FleetRound
from traces.fleet import Fleet
from traces.hardware import TIERS

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]
PHASES = {"training": "train", "download": "download", "upload": "upload", "waiting": "wait"}


@dataclass(frozen=True, eq=False)
class Course:
    """The rounds of a run, or the versions of an asynchronous server, in order, and the fleet they were played on.

    ``least``: a round with fewer updates is void.
    """

    fleet: Fleet
    rounds: tuple[FleetRound, ...]
    least: int = 1

    @cached_property
    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The tables of client-rounds and of rounds, as the log has them."""
        return to_frames(self.rounds, self.least)

    def clients(self, name: str) -> Floats:
        """Return a column of the client-rounds, in the order of their rounds."""
        return self.frames[0][name].to_numpy(np.float64)

    @cached_property
    def phone(self) -> Counts:
        """Whose client-rounds they are, int64 [client-rounds]."""
        return self.frames[0]["phone"].to_numpy(np.int64)

    @cached_property
    def done(self) -> Truths:
        """Which client-rounds went into the model."""
        return (self.frames[0]["outcome"] == "done").to_numpy()

    @property
    def round_s(self) -> Floats:
        """How long rounds took, float64 [rounds]."""
        return (self.frames[1]["end_s"] - self.frames[1]["begin_s"]).to_numpy(np.float64)

    @property
    def work_s(self) -> Floats:
        """Seconds at work of each client-round."""
        return self.clients("download_s") + self.clients("train_s") + self.clients("upload_s")

    @cached_property
    def tier_of(self) -> npt.NDArray[np.int64]:
        """The place of each phone's tier in ``tiers``, int64 [phones]."""
        places = np.array([self.tiers.index(tier or UNKNOWN) if self._has(tier) else 0 for tier in self._tiers])
        return places[self.fleet.hardware_of]

    @cached_property
    def tiers(self) -> tuple[str, ...]:
        """The tiers that phones have, from low to high; ``unknown`` last."""
        return tuple(tier or UNKNOWN for tier in (*TIERS, "") if self._has(tier))

    @property
    def _tiers(self) -> tuple[str, ...]:
        return self.fleet.hardware.tiers

    def _has(self, tier: str) -> bool:
        return tier in self._used

    @cached_property
    def _used(self) -> frozenset[str]:
        return frozenset(self._tiers[kind] for kind in np.unique(self.fleet.hardware_of).tolist())

    @cached_property
    def delivered(self) -> Counts:
        """How many updates each phone delivered, int64 [phones]."""
        return np.bincount(self.phone[self.done], minlength=self.fleet.phones).astype(np.int64)

    @cached_property
    def asked(self) -> Counts:
        """How often each phone was asked, int64 [phones]."""
        return np.bincount(self.phone, minlength=self.fleet.phones).astype(np.int64)

    def of_tier(self, place: int) -> Truths:
        """Return which client-rounds are of phones of a tier."""
        return np.asarray(self.tier_of[self.phone] == place)

    @property
    def phases(self) -> dict[str, str]:
        """The phases whose energy is counted: title -> column."""
        columns = {title: f"{name}_j" for title, name in PHASES.items()}
        return {title: name for title, name in columns.items() if not np.isnan(self.clients(name)).all()}

    @cached_property
    def client_j(self) -> Floats:
        """Joules of each client-round in all phases that are counted; NaN where training was not measured."""
        counted = [self.clients(name) for name in ("train_j", *self.phases.values())]
        return np.asarray(np.sum(counted[1:], axis=0) if len(counted) > 1 else counted[0])
