"""A bundle workflow that finds its bundle by name and answers a misspelt option."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from monai_sr.core.address import is_address
from monai_sr.core.contents import file_sha256
from monai_sr.core.defaults import undisturbed
from monai_sr.core.devices import usable_device
from monai_sr.core.distributed import from_first
from monai_sr.core.errors import OptionError
from monai_sr.core.fingerprint import code_digest, fingerprint, source_digest
from monai_sr.core.log import get_logger
from monai_sr.core.models import find_model
from monai_sr.core.options import UPSCALE, path_options
from monai_sr.core.plain_options import check_plain, check_types
from monai_sr.core.registry import unknown_name
from monai_sr.core.shared import silent_monai_bundle
from monai_sr.core.types import PathLike
from monai_sr.networks.systems import find_system, generator_class, read_system

logger = get_logger(__name__)

PATH_OPTIONS = {"cache_dir", *path_options()}
"""Options that name one file or folder."""

# What a result does not depend on. Files among them count by their content.
_PLACES = (
    "imports", "bundle_root", "input", "dataset_dir", "output_dir", "device", "system", "ckpt_path",
    "perceptual_path", "slices_path", "dataset", "dataloader", "handlers", "initialize", "run",
    "deidentify_key",
)  # fmt: skip
_FILES = ("system", "ckpt_path", "perceptual_path", "slices_path", "deidentify_key")
_DIGITS = 16
_DATASET = "monai_sr.upscaling.FileDataset"


class SRWorkflow(ConfigWorkflow):
    """Run one of a bundle's configurations from anywhere; a program's logging stays as it is.

    Args:
        bundle: folder of a bundle, or the name of an installed one, or of a model in it.
        config: "inference", "train", ...: which file of its ``configs``.
        workflow_type: "infer" or "train"; by the configuration's name where None.
        system: name or file of a system in place of the bundle's own model; for "evaluate" also
            a list, see :func:`monai_sr.evaluation.candidates.find_candidates`.
        overlays: further YAML files, each overriding what is before it.
        **override: entries of the configuration to replace; strings that begin with "$", "@" or
            "%", which a configuration obeys, are refused.

    Raises:
        OptionError: if the bundle, the configuration or an entry is unknown, a value would be
            executed, or, in training, the device is absent or the system learns nothing.
    """

    def __init__(
        self,
        bundle: PathLike,
        config: str = "inference",
        workflow_type: str | None = None,
        *,
        system: Any = None,
        overlays: Sequence[PathLike] = (),
        **override: Any,
    ) -> None:
        model = find_model(bundle)
        override = model.with_given({"system": system, **override})
        check_plain(override)
        if config == "inference":
            UPSCALE.check(override)
        system, root = override.pop("system"), model.bundle
        known = {f.stem: f for f in sorted((root / "configs").glob("*.yaml"))}
        if config not in known:
            raise unknown_name("configuration", config, known)
        files = [str(known[config])]
        if config == "evaluate":
            override["system"] = system
        elif system is not None:
            # Whatever a file calls itself: stage 2 finds the system of stage 1 by this.
            override["system"] = str(find_system(system))
            if "train" in config:
                # A system's file overrides the recipe; inference builds its network alone.
                files.append(override["system"])
        files += [str(file) for file in overlays]
        with silent_monai_bundle():
            super().__init__(
                config_file=files,
                workflow_type=workflow_type or ("train" if "train" in config else "infer"),
                logging_file=False,
                # A Path, not a string: MONAI rewrites "#" and "::" inside strings.
                bundle_root=root,
            )
        self._check_names(override)
        if config != "evaluate":  # which reads such text itself
            check_types(override, self.parser.get(), is_training="train" in config)
        # Of some, a list may be given.
        paths = {k: _path(v) for k, v in override.items() if k in PATH_OPTIONS and _is_path(v)}
        self.parser.update({**override, **paths})
        if "train" in config:
            if override.get("device") is not None:
                usable_device(override["device"])
            if system is not None:
                self._check_system(system)

    def _check_names(self, override: Iterable[str]) -> None:
        for key in override:
            if key.replace("::", "#").split("#")[0] not in self.parser:
                raise unknown_name("option", key, self.parser.get())

    @undisturbed()
    def run(self) -> Any:
        """Run; results are recorded with the fingerprint of what made them."""
        if str(self.workflow_type).startswith("infer") and self.has_file_dataset():
            self.sign()
        return super().run()

    def sign(self) -> None:
        """Tell the bundle's dataset the fingerprint of this workflow."""
        self.parser.update({"dataset#made_by": self.fingerprint()})

    def has_file_dataset(self) -> bool:
        """Tell whether the bundle reads its inputs through :class:`.FileDataset`."""
        dataset = self.parser.get("dataset")
        return isinstance(dataset, dict) and dataset.get("_target_") == _DATASET

    def fingerprint(self) -> str:
        """Return what tells runs apart that may give other results: code, options, weights.

        The device is none of it: a GPU computes in bfloat16 where the bundle says so, and a result
        made there is as good as one made on a CPU.
        """
        options = {k: v for k, v in self.parser.get().items() if k not in _PLACES}
        named: dict[str, Any] = {
            key: self.parser.get_parsed_content(key) if key in self.parser else None
            for key in _FILES
        }
        sums = {
            key: file_sha256(file) if file is not None and Path(file).is_file() else None
            for key, file in named.items()
        }
        own = own_code(self.parser.get(), named["system"])
        return fingerprint(code=[code_digest(), own], options=options, files=sums)[:_DIGITS]

    def _check_system(self, system: PathLike) -> None:
        if generator_class(self.parser["network_def"]).info.learns == "nothing":
            raise OptionError(
                f"{system}: learns nothing, there is nothing to train; use it as it is, "
                f"monai-sr upscale --system {system}"
            )


def own_code(config: object, system: PathLike | None) -> str:
    """Return the hash of code that a configuration, or the system in it, brings along.

    Args:
        config: content of the configuration.
        system: name or file of the system; None: there is none.

    Raises:
        OptionError: if there is no such system, or its network cannot be imported.
    """
    own = generator_class(read_system(system)["network_def"]).__module__ if system else ""
    named = {target.rpartition(".")[0] for target in _targets(config)}
    for name in sorted(named - {""}):
        with suppress(ImportError):  # a class inside of a class; building it says what is wrong
            importlib.import_module(name)
    return source_digest(sorted({own, *named} - {""}))


def _targets(content: object) -> Iterator[str]:
    """Yield what a configuration builds."""
    if isinstance(content, Mapping):
        if isinstance(content.get("_target_"), str):
            yield content["_target_"]
        content = list(content.values())
    if isinstance(content, list):
        for part in content:
            yield from _targets(part)


def _is_path(value: Any) -> bool:
    return isinstance(value, str | Path)


def _path(value: str | Path) -> Path | _Text:
    # A Path would make one slash of two.
    return _Text(value) if is_address(value) else Path(value)


class _Text:
    """A string that MONAI's configuration leaves as it is.

    Args:
        text: what it stands for.
    """

    def __init__(self, text: Any) -> None:
        self._text = str(text)

    def __str__(self) -> str:
        """Return the text."""
        return self._text


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
