"""Two-stage training as one run: stage 1 where its weights are not there yet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_sr.core import PathLike, from_first, get_logger
from monai_sr.upscaling.workflow import SRWorkflow

logger = get_logger(__name__)


def first_stage(
    bundle: PathLike,
    output_dir: PathLike,
    options: Mapping[str, Any],
    *,
    pretrained: PathLike | None = None,
    system: PathLike | None = None,
) -> str:
    """Return the weights that stage 2 starts from, trained first where there are none.

    Args:
        bundle: folder or name of the bundle, whose ``train.yaml`` is stage 1.
        output_dir: folder of the whole run; stage 1 goes to its ``stage_1``.
        options: overrides of ``train.yaml``.
        pretrained: weights of an earlier stage 1, which are returned as they are.
        system: name or file of the system that is trained; None: the bundle's own model.

    Raises:
        OptionError: if an option does not fit.
    """
    if pretrained is not None:
        return str(pretrained)
    folder = Path(output_dir) / "stage_1"
    weights = folder / "model.pt"
    if weights.exists() and (Path(output_dir) / "state.pt").exists():
        return str(weights)  # stage 2 is under way
    logger.info("stage 1, into %s", folder)
    workflow = SRWorkflow(bundle, "train", system=system, output_dir=str(folder), **options)
    workflow.initialize()
    workflow.run()
    # The first of several processes is still writing the weights that the others read next.
    from_first(0.0)
    weights = Path(workflow.parser.get_parsed_content("run_dir")) / "model.pt"
    workflow.finalize()
    logger.info("stage 2 starts from %s", weights)
    return str(weights)
