"""The Python interface: one object that enlarges arrays, tensors, MetaTensors and files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.utils import CommonKeys
from torch import Tensor, nn

from monai_sr.core import (
    UPSCALE,
    BadImageError,
    OptionError,
    PathLike,
    check_plain,
    check_types,
    find_model,
    random_state_kept,
    undisturbed,
    unwrapped,
    usable_device,
    weights_sha256,
)
from monai_sr.formats import Facts, announce
from monai_sr.inferers import TiledInferer
from monai_sr.networks import load_faces
from monai_sr.transforms import VALID_SUFFIX, PlanGrid, are_codes
from monai_sr.upscaling.chooser import Chooser, check_auto
from monai_sr.upscaling.degraded import AUTO, image_sample, scene_sample
from monai_sr.upscaling.in_memory import as_tensor, check_image, settled
from monai_sr.upscaling.scene import Scenes
from monai_sr.upscaling.scene_job import SceneResult

Sample = dict[str, Any]


class SuperResolver:
    """Enlarge images with a trained generator.

    Args:
        network: generator, weights loaded; or the name of a model, with which everything else is
            that of its bundle, see :meth:`from_bundle`.
        inferer: how whole images are run.
        device: where the network runs; None: on the processor, a model that is named on a GPU if
            there is one.
        read: path -> sample with "image" in [0, 1]; None: paths are refused.
        restore: sample with "pred" in [0, 1] -> sample with stored values; likewise.
        grid: decides on sizes and slice axis of images in memory; None: by the inferer's scale.
        scenes: enlarges rasters that memory does not hold; None: they are refused.
        weights_sha256: hash of the weights file, for records; of a mixture of two faces both,
            joined by "+".
        either: chooses between these weights and robust ones for each image; None: it gets these.
        **options: of :meth:`from_bundle`, for a model that is named.

    Attributes:
        scale: factor of every result.
        in_channels: channels that the generator takes; other numbers go band by band.

    Example:
        >>> from monai_sr import SuperResolver
        >>> resolver = SuperResolver("natural_sr:fast", scale=2)
        >>> resolver(np.zeros((3, 5, 7), dtype=np.float32)).shape
        (3, 10, 14)
    """

    def __init__(
        self,
        network: nn.Module | PathLike,
        inferer: TiledInferer | None = None,
        *,
        device: torch.device | str | None = None,
        read: Callable[[Sample], Sample] | None = None,
        restore: Callable[[Sample], Sample] | None = None,
        grid: PlanGrid | None = None,
        scenes: Scenes | None = None,
        weights_sha256: str = "",
        either: Chooser[SuperResolver] | None = None,
        **options: Any,
    ) -> None:
        if not isinstance(network, nn.Module):
            vars(self).update(vars(self.from_bundle(network, device=device, **options)))
            return
        if inferer is None or options:
            raise OptionError(
                f"inferer: a network needs one and no other options, got {inferer} and "
                f"{', '.join(options) or 'none'}; name a model for those: 'natural_sr', ..."
            )
        self.device = usable_device("cpu" if device is None else device)
        self.network = network.to(self.device).eval()
        self.inferer = inferer
        self.read = read
        self.restore = restore
        self.grid = grid
        self.scenes = scenes
        self.weights_sha256 = weights_sha256
        self.either = either
        self.scale = inferer.check(network)
        self.in_channels = int(getattr(network, "in_channels", 1))

    @classmethod
    @undisturbed()
    @random_state_kept()
    def from_bundle(
        cls,
        bundle: PathLike,
        *,
        scale: float | None = None,
        consistency: int | None = None,
        device: torch.device | str | None = None,
        weights: PathLike | None = None,
        **overrides: Any,
    ) -> SuperResolver:
        """Build one from a bundle's ``inference.yaml``.

        Args:
            bundle: folder of a bundle, or the name of an installed one ("natural_sr"), or of a
                model ("natural_sr:fast"; see docs/how-to/models.md).
            scale: factor; the bundle's own where None.
            consistency: back-projection steps; the bundle's own where None.
            device: where to run; a GPU if there is one, where None.
            weights: weights file instead of the bundle's.
            **overrides: further entries of the configuration, as ``monai.bundle run`` takes them:
                ``runtime="openvino"``, ``precision="int8"``, ... They are data: what begins with
                "$", "@" or "%", which a configuration obeys, is refused. ``robust="auto"`` measures
                each image and gives it faithful or robust weights, see
                :mod:`monai_sr.upscaling.degraded`; ``network``, ``inferer`` and
                ``weights_sha256`` are of the faithful ones then.

        Raises:
            OptionError: if there is no such bundle or option, the scale was not trained, or the
                runtime that was named cannot run the network.
            MissingDependencyError: if that runtime is not installed.
            WeightsError: if the weights are missing or do not fit.
        """
        given = {"scale": scale, "consistency": consistency, "device": device, "ckpt_path": weights}
        if overrides.get("robust") == AUTO:
            return cls._of_either(bundle, given | overrides)
        parser = inference_config(bundle, given | overrides)
        with unwrapped():
            network: nn.Module = parser.get_parsed_content("network_def")
            inferer: TiledInferer = parser.get_parsed_content("inferer")
            inferer.progress = False
            checkpoint, perceptual, share = (
                parser.get_parsed_content(key)
                for key in ("ckpt_path", "perceptual_path", "perception")
            )
            load_faces(network, checkpoint, perceptual, share)
            place = usable_device(parser.get_parsed_content("device"))
            choose = parser.get_parsed_content("runtime_choice")
            return cls(
                choose(network, place, inferer.check(network)),
                inferer,
                device=place,
                read=parser.get_parsed_content("preprocessing"),
                restore=parser.get_parsed_content("restore"),
                grid=parser.get_parsed_content("grid"),
                scenes=parser.get_parsed_content("scenes"),
                weights_sha256=weights_in_use(parser),
            )

    @classmethod
    def _of_either(cls, bundle: PathLike, options: Mapping[str, Any]) -> SuperResolver:
        """Build one that chooses between faithful and robust weights."""
        model = find_model(bundle)
        check_auto(model.with_given(options))
        given = {"weights" if k == "ckpt_path" else k: v for k, v in options.items()}
        faithful = cls.from_bundle(bundle, **{**given, "robust": False})
        faithful.either = Chooser(
            model.bundle, lambda: cls.from_bundle(bundle, **{**given, "robust": True})
        )
        return faithful

    @overload
    def __call__(self, image: np.ndarray) -> np.ndarray: ...
    @overload
    def __call__(self, image: Tensor) -> Tensor: ...
    @overload
    def __call__(self, image: PathLike) -> MetaTensor: ...
    @undisturbed()
    def __call__(self, image: np.ndarray | Tensor | PathLike) -> np.ndarray | Tensor:
        """Enlarge one image.

        Shape: (C, H, W) or (N, C, H, W), as MetaTensor (C, X, Y[, Z]) or a collated batch of them,
        values in [0, 1]; no axis is ever transposed -> the same layout with enlarged axes, float32,
        clipped to [0, 1] (an image of our readers: to what its file can store). Values may
        overshoot [0, 1] a little, as after bicubic resizing; an image on another range is refused.

        Args:
            image: numpy array; tensor on any device (the result is on the same); MetaTensor
                (C, X, Y[, Z]), whose geometry is updated; or a path, for which the result holds
                stored values (data type and range of the file) with the file's metadata.

        Returns:
            The enlarged image, of the kind that was given; a MetaTensor for a path.

        Raises:
            BadImageError: if the image has a wrong rank, type or range, is empty, or holds NaN or
                masked values; if a MetaTensor of rank 4 is no batch, and its ``spatial_shape`` that
                of a plane.
        """
        if isinstance(image, np.ndarray):
            return self._enlarge(self._planned(as_tensor(image))).cpu().numpy()
        if isinstance(image, Tensor):
            return self._enlarge(self._planned(image)).to(image.device)
        return self._enlarge_file(image)

    @undisturbed()
    def upscale_scene(self, source: PathLike, output: PathLike) -> SceneResult:
        """Enlarge a raster of any size, or a part of it, into a file.

        Which part, and how it is written, say ``window``, ``bbox`` and ``cog`` of
        :meth:`from_bundle`. A run that was killed goes on where it was.

        Args:
            source: the raster.
            output: the result, .tif or .png; the name of a part's says which.

        Raises:
            OptionError: if the resolver has no configuration, or an option does not fit.
            BadImageError: if the raster cannot be used.
            OutputError: if the result cannot be written.
        """
        if self.scenes is None:
            raise OptionError("scenes: need a resolver made by SuperResolver.from_bundle")
        with unwrapped():
            if self.either is None:
                return self._enlarge_scene(source, output)
            finding = self.either.measure(source, scene_sample(source, self.scenes))
            said = "" if finding is None else finding.verdict
            return self.either.pick(finding, self)._enlarge_scene(source, output, said)

    def _enlarge_scene(self, source: PathLike, output: PathLike, found: str = "") -> SceneResult:
        assert self.scenes is not None
        return self.scenes.upscale(
            source, output, self.network, self.inferer, self.device, found=found
        )

    def _enlarge(self, image: Tensor) -> Tensor:
        """Check and enlarge an image or a batch."""
        is_batch = check_image(image)
        batch = image if is_batch else image[None]
        result = self._run(batch) if self.either is None else self._run_each(batch, self.either)
        return result if is_batch else result[0]

    def _run_each(self, batch: Tensor, either: Chooser[SuperResolver]) -> Tensor:
        """Enlarge a batch that was checked, each image by the weights that it needs."""
        meta = batch.meta if isinstance(batch, MetaTensor) else None
        images = (batch.as_tensor() if isinstance(batch, MetaTensor) else batch).cpu()
        samples = (image_sample(i if meta is None else MetaTensor(i, meta=meta)) for i in images)
        picked = [either.pick(either.measure("image", sample), self) for sample in samples]
        result = picked[0]._run(batch)
        for other in {*picked} - {picked[0]}:
            which = torch.tensor([each is other for each in picked], device=result.device)
            where = which.view(-1, *[1] * (result.ndim - 1))
            result = torch.where(where, other._run(batch), result)
        return result

    def _run(self, batch: Tensor) -> Tensor:
        """Enlarge a batch that was checked."""
        is_code = isinstance(batch, MetaTensor) and are_codes(batch.meta)
        # From a processor's memory tiles go to the device by themselves, while it computes. The
        # views of an estimate are turned and summed up in whole images: better there.
        stays = batch.device.type == "cpu" and not getattr(self.inferer, "spread", False)
        place = batch.device if stays else self.device
        result: Tensor = self.inferer(
            batch.to(place, batch.dtype if is_code else torch.float32), self.network
        )
        return result

    def _planned(self, image: Tensor) -> Tensor:
        image = settled(image)
        is_batch = isinstance(image, MetaTensor) and (image.is_batch or image.ndim < 3)
        return image if self.grid is None or is_batch else self.grid(image)

    def _enlarge_file(self, path: Any) -> MetaTensor:
        if not isinstance(path, str | os.PathLike):
            kind = type(path).__name__
            raise BadImageError(f"image: must be an array, a tensor or a path, got a {kind}")
        if self.read is None or self.restore is None:
            raise OptionError("image: paths need a resolver made by SuperResolver.from_bundle")
        with unwrapped():
            sample = self.read({CommonKeys.IMAGE: os.fspath(path)})
            image: MetaTensor = sample[CommonKeys.IMAGE]
            announce(path, image.meta)
            resolver = self
            if self.either is not None:
                valid = sample.get(f"{CommonKeys.IMAGE}{VALID_SUFFIX}")
                finding = self.either.measure(path, image_sample(image, valid))
                resolver = self.either.pick(finding, self)
                Facts(image.meta).found = "" if finding is None else finding.verdict
            check_image(image)
            sample[CommonKeys.PRED] = resolver._run(image[None])[0].cpu()
            assert resolver.restore is not None
            result: MetaTensor = resolver.restore(sample)[CommonKeys.PRED]
        return result


def inference_config(bundle: PathLike, options: Mapping[str, Any]) -> ConfigParser:
    """Read a bundle's ``inference.yaml`` with other values for some of its entries.

    Args:
        bundle: folder of a bundle, or the name of an installed one, or of a model in it.
        options: entry -> value; one that is None stays as it is.

    Raises:
        OptionError: if there is no such bundle or entry, or a value would be executed.
    """
    model = find_model(bundle)
    options = model.with_given(options)
    UPSCALE.check(options)
    parser = ConfigParser()
    parser.read_config(model.bundle / "configs" / "inference.yaml")
    pairs = {key: value for key, value in options.items() if value is not None}
    check_plain(pairs, may_build=False)
    unknown = [key for key in pairs if key.replace("::", "#").split("#")[0] not in parser]
    if unknown:
        raise OptionError(f"{unknown[0]}: is no entry of {bundle}'s inference.yaml")
    check_types(pairs, parser.get())
    if "device" in pairs:
        pairs["device"] = str(pairs["device"])
    # Paths, not strings: MONAI rewrites "#" and "::" inside strings.
    if "ckpt_path" in pairs:
        pairs["ckpt_path"] = Path(pairs["ckpt_path"])
    parser.update({"bundle_root": model.bundle, **pairs})
    return parser


def weights_in_use(parser: ConfigParser) -> str:
    """Return the hash of the weights of a configuration; of two faces both, joined by "+".

    Raises:
        WeightsError: if there are none.
    """
    with unwrapped():
        share = parser.get_parsed_content("perception")
        faces = (("ckpt_path", 1 - share), ("perceptual_path", share))
        files = [parser.get_parsed_content(key) for key, part in faces if part]
    return "+".join(weights_sha256(file) for file in files if file)
