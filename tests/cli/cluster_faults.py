"""A transform for tests of clusters: what happens to an input goes by its name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any


class Fault:
    """Delay, fail or kill the process, as real inputs and machines do now and then."""

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        path = Path(sample["image"])
        if "slow" in path.name:
            time.sleep(1)
        if "poison" in path.name:
            with (path.parents[1] / "deaths.log").open("a") as log:
                log.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        if "broken" in path.name or ("flaky" in path.name and not self._is_second(path)):
            raise RuntimeError("a cable came loose")
        return sample

    @staticmethod
    def _is_second(path: Path) -> bool:
        mark = path.parents[1] / "flaky.log"
        is_second = mark.exists()
        mark.write_text("x")
        return is_second
