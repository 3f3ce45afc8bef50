"""From the ring to the decoder: records in the order of time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from workbench.capture.records import RAW_DTYPE

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.capture.decoder import Decoder
    from workbench.capture.probe import Probes


@dataclass(slots=True)
class Drain:
    """Takes what the probes recorded, and gives it to the decoder."""

    probes: Probes
    decoder: Decoder
    _waiting: npt.NDArray[np.void] = field(default_factory=lambda: np.zeros(0, RAW_DTYPE))

    def until(self, time_ns: int) -> None:
        """Decode what was recorded up to a time: an older record is not to be expected any more."""
        batch = np.concatenate([self._waiting, self.probes.read()])
        batch = batch[np.argsort(batch["time_ns"], kind="stable")]
        ready = int(np.searchsorted(batch["time_ns"], time_ns, side="right"))
        self._waiting = batch[ready:]
        self.decoder.feed(batch[:ready])
        self.decoder.finish_faults(time_ns)

    def finish(self, time_ns: int) -> None:
        """Decode the rest, with the faults that nobody has served."""
        self.until(time_ns)
        self.decoder.feed(self.probes.read_unserved())
        self.decoder.finish()
