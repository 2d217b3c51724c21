"""Runs the real pipeline on one file after another, in a process that may be killed for it.

One JSON object a line: {"source", "output_dir", "as_limit"} comes in on standard input, and
{"error", "output", "seconds", "peak", "said"} goes out on standard output. {"source", "output"}
asks for a comparison of the two, {"mismatch"} is its answer.
"""

from __future__ import annotations

import io
import json
import logging
import os
import resource
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monai_sr.upscaling.record import FileResult

SCALE = 2


def own_peak() -> int:
    """Return the largest resident memory in bytes since the last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


def reset_peak() -> None:
    """Let VmHWM start again from what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


class Pipeline:
    """The bundle's reader, network, inferer and writer; nearest neighbor, so that all is exact."""

    def __init__(self) -> None:
        from monai_sr.upscaling.workflow import SRWorkflow

        workflow = SRWorkflow("xray_sr", system="nearest", scale=SCALE, consistency=0, device="cpu")
        parser = workflow.parser
        self.preprocessing = parser.get_parsed_content("preprocessing")
        self.postprocessing = parser.get_parsed_content("postprocessing")
        self.network = parser.get_parsed_content("network_def")
        self.inferer = parser.get_parsed_content("inferer")
        self.inferer.progress = False

    def run(self, source: str, output_dir: str) -> dict[str, object]:
        """Enlarge one file as the bundle's evaluator does; return its result or its message."""
        from monai_sr.core.errors import user_message

        try:
            (result,) = self.results(source, output_dir)
        except Exception as error:
            message = user_message(error)
            return {"error": message or f"Traceback: {type(error).__name__}: {error}"}
        return {"error": result.error, "output": result.output}

    def results(self, source: str, output_dir: str) -> list[FileResult]:
        """Enlarge all that an input stands for; those that fail are among the results."""
        from monai.data import DataLoader

        from monai_sr.upscaling.evaluator import UpscaleEvaluator
        from monai_sr.upscaling.files import FileDataset
        from monai_sr.upscaling.record import RunFailedError

        dataset = FileDataset(source, self.preprocessing, output_dir, SCALE)
        evaluator = UpscaleEvaluator(
            "cpu",
            DataLoader(dataset, batch_size=1, num_workers=0),
            self.network,
            inferer=self.inferer,
            output_dir=output_dir,
            postprocessing=self.postprocessing,
        )
        with suppress(RunFailedError):
            evaluator.run()
        return evaluator.results


def main() -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    from tests.robustness.references import mismatch

    logging.getLogger("ignite").setLevel(logging.CRITICAL + 1)
    logging.getLogger("monai_sr").addHandler(said := logging.StreamHandler(io.StringIO()))
    pipeline = Pipeline()
    print(json.dumps({"ready": own_peak(), "virtual": _virtual()}), file=answers, flush=True)
    for line in sys.stdin:
        case = json.loads(line)
        if "output" in case:
            answer = {"mismatch": mismatch(case["source"], case["output"], SCALE)}
        else:
            answer = _measured(pipeline, case, said)
        print(json.dumps(answer), file=answers, flush=True)


def _virtual() -> int:
    pages = Path("/proc/self/statm").read_text().split()[0]
    return int(pages) * resource.getpagesize()


def _measured(
    pipeline: Pipeline, case: dict[str, Any], said: logging.StreamHandler[Any]
) -> dict[str, object]:
    said.setStream(text := io.StringIO())
    reset_peak()
    started = time.perf_counter()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (case["as_limit"], before[1]))
    answer = pipeline.run(case["source"], case["output_dir"])
    resource.setrlimit(resource.RLIMIT_AS, before)
    seconds = time.perf_counter() - started
    return {**answer, "seconds": seconds, "peak": own_peak(), "said": text.getvalue()}


if __name__ == "__main__":
    main()
