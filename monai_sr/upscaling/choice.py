"""Chooses the bundle that fits an input, by what its header says, and runs each input with its own.

A photo model sharpens a radiograph without a word, and the result looks right. So where the user
names no bundle, modality, reference system and bands decide, and the choice is said with its
reason.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nibabel.filebasedimages import ImageFileError

from monai_sr.core import (
    DEFAULT,
    OptionError,
    PathLike,
    SRError,
    WeightsError,
    find_bundle,
    get_logger,
    printable,
)
from monai_sr.formats import UNKNOWN, format_of, split_part
from monai_sr.networks import weights_file
from monai_sr.upscaling.evaluator import UpscaleEvaluator
from monai_sr.upscaling.files import FileDataset
from monai_sr.upscaling.record import FileResult, RunFailedError
from monai_sr.upscaling.workflow import SRWorkflow

logger = get_logger(__name__)


@dataclass(frozen=True)
class Choice:
    """A bundle for an input.

    Attributes:
        bundle: its name.
        reason: why, in words that follow "since".
    """

    bundle: str
    reason: str


def choose_bundle(source: PathLike | Sequence[PathLike]) -> Choice:
    """Choose the installed bundle for an input by its header; NIfTI also by a look at its values.

    Args:
        source: a file, the files of a DICOM series, or a part of a Sentinel-2 product.

    Returns:
        "natural_sr" for what cannot be read, too: its reader will say why.
    """
    if isinstance(source, str) and split_part(source):
        return Choice("satellite_sr", "it is a Sentinel-2 product")
    first = source if isinstance(source, str | Path) else source[0]  # type: ignore[index]
    try:
        found = format_of(first).subject(Path(first))
    except (SRError, OSError, ValueError, ImageFileError):
        found = UNKNOWN
    return Choice(f"{found.domain}_sr" if found.domain else DEFAULT, found.reason)


def fitting_bundle(choice: Choice, system: PathLike | None, scale: float) -> Choice:
    """Return the choice, or the bundle of photos where only that has weights of a system."""
    if system is None or choice.bundle == DEFAULT:
        return choice
    try:
        weights_file(find_bundle(choice.bundle) / "models", system=system, scale=scale)
    except WeightsError:
        return Choice(DEFAULT, f"{choice.bundle} has no weights of {Path(system).stem}")
    return choice


def upscale_each(*, system: PathLike | None = None, **options: Any) -> list[FileResult]:
    """Enlarge everything that an input names, each through the bundle that fits it, as one run.

    Args:
        system: name or file of a system in place of the bundles' own models.
        **options: entries of the bundles' ``inference.yaml``, ``input`` and ``output_dir`` among
            them.

    Returns:
        One result for each input.

    Raises:
        BadImageError: if the input is missing or holds nothing to enlarge.
        OptionError: if an option does not fit a bundle that is needed.
        RunFailedError: after the run, if some inputs failed.
    """
    plan = _planned(options)
    groups: dict[str, list[dict[str, Any]]] = {}
    reasons: Counter[Choice] = Counter()
    for item, choice in zip(plan.data, _choices(plan, system, options), strict=True):
        groups.setdefault(choice.bundle, []).append(item)
        reasons[choice] += 1
    # All are built, and their options checked, before the first works for hours.
    workflows = {name: SRWorkflow(name, system=system, **options) for name in groups}
    for choice, count in reasons.items():
        what = plan.data[0]["source"] if len(plan.data) == 1 else f"{count} of {len(plan.data)}"
        logger.info("%s: bundle %s, since %s", printable(what), choice.bundle, choice.reason)
    results: list[FileResult] = []
    for name, items in groups.items():
        is_last = name == list(groups)[-1]
        results += _upscale(workflows[name], plan, items, is_last, is_all=len(groups) == 1)
    failed = sum(bool(result.error) for result in results)
    if failed:
        raise RunFailedError(
            f"{failed} of {len(results)} inputs could not be enlarged, "
            f"{len(results) - failed} done; each is named above"
        )
    return results


def only_bundle(*, system: PathLike | None = None, **options: Any) -> str:
    """Return the one bundle that fits everything that an input names.

    Raises:
        OptionError: if there are several.
    """
    names = sorted({choice.bundle for choice in _choices(_planned(options), system, options)})
    if len(names) > 1:
        raise OptionError(
            f"cluster: must have inputs of one bundle, got some for {', '.join(names)}; "
            "add --bundle, or leave --cluster out"
        )
    return names[0]


def _choices(
    plan: FileDataset, system: PathLike | None, options: Mapping[str, Any]
) -> list[Choice]:
    scale = options.get("scale", _volume_scale(options))
    return [fitting_bundle(choose_bundle(i["image"]), system, scale) for i in plan.data]


def _planned(options: Mapping[str, Any]) -> FileDataset:
    """Find and name everything once, whatever enlarges it."""
    return FileDataset(
        options.get("input"),
        lambda sample: sample,
        options["output_dir"],
        options.get("scale", _volume_scale(options)),
        options.get("spacing"),
        bool(options.get("deidentify")),
        options.get("deidentify_key"),
        skip_done=bool(options.get("dataset#skip_done")),
    )


def _volume_scale(options: Mapping[str, Any]) -> int:
    """Return the scale by default, as the bundles' configurations have it."""
    return 2 if options.get("spatial_dims") == 3 else 4


def _upscale(
    workflow: SRWorkflow,
    plan: FileDataset,
    items: list[dict[str, Any]],
    is_last: bool,
    *,
    is_all: bool,
) -> list[FileResult]:
    """Enlarge the inputs of one bundle; the failures of a part of the run are only named."""
    workflow.parser.update({"dataset#items": [{} for _ in items]})
    workflow.initialize()
    workflow.sign()
    evaluator: UpscaleEvaluator = workflow.parser.get_parsed_content("evaluator")
    loader: Any = evaluator.data_loader
    loader.dataset.adopt(plan, items)
    loader.dataset.no_images = plan.no_images if is_last else 0  # said once, at the end
    try:
        evaluator.run()
    except RunFailedError as error:
        if is_all:
            raise
        if len(items) == 1:
            logger.error("monai-sr: error: %s", printable(error))
    workflow.finalize()
    return evaluator.results
