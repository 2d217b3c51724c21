"""The record of a run: results as they come, on the terminal and in the manifest beside them."""

import datetime
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from monai_sr.core import PathLike, SRError, get_logger, printable
from monai_sr.upscaling.manifest import Manifest

logger = get_logger(__name__)

_SAVE_SECONDS = 5.0  # between writes of the manifest: a folder may hold thousands of small files


class RunFailedError(SRError):
    """Some inputs of a run could not be enlarged; the others are done."""


@dataclass(frozen=True)
class FileResult:
    """What became of one input.

    Attributes:
        source: the input as named.
        origin: the input on record, its absolute path.
        output: the result, or None.
        kind: what its values are, see :mod:`monai_sr.formats.meaning`.
        size_in: its sizes in pixels, "W x H", with slices and bands where there are several.
        size_out: those of the result.
        seconds: from reading to the written file.
        lr_psnr: dB by which the stored result, shrunk, agrees with the input; of the worst band.
        off_share: share of the input's pixels that it misses by more than one stored unit.
        bands: both of each band, where there are several.
        worst_off: by how many at most.
        worst_at: where, "column, row" from 0, with slice and band where there are several.
        far_share: share of the pixels far outside of the others' range, of the band that has most.
        unusual: of a result with intervals of uncertainty, how its input differs from what these
            were fitted on, and what that does to them.
        error: one line, where it failed.
        is_unexpected: whether the failure is none that monai-sr foresees: it may pass.
        is_skipped: whether the result was there already.
        input_sha256, output_sha256: checksums, see :mod:`monai_sr.formats.identity`.
        made_by: fingerprint of weights and options.
        bundle: name of the bundle.
        weights: "faithful" or "robust", where the input was measured to choose; else empty.
        found: what was measured, see :class:`monai_sr.upscaling.degraded.Finding`.
        hint: what may serve this input better, where that was noticed.
        files: every file that was written: of a series each slice, and those beside. This, warnings
            and UIDs only of a call of :class:`monai_sr.FileUpscaler`.
        timings: seconds of "read", "enlarge" and "write"; of a raster in windows they overlap, and
            all are "enlarge".
        warnings: what was said meanwhile, a line each.
        study_uid, series_uid, instance_uids: of a DICOM result.
    """

    source: str
    origin: str
    output: str | None = None
    kind: str = ""
    size_in: str = ""
    size_out: str = ""
    seconds: float = 0.0
    lr_psnr: float = float("nan")
    off_share: float = float("nan")
    bands: tuple[tuple[float, float], ...] = ()
    worst_off: float = float("nan")
    worst_at: str = ""
    far_share: float = 0.0
    unusual: str = ""
    error: str | None = None
    is_unexpected: bool = False
    is_skipped: bool = False
    input_sha256: str = ""
    output_sha256: str = ""
    made_by: str = ""
    bundle: str = ""
    weights: str = ""
    found: Mapping[str, float] = field(default_factory=dict)
    hint: str = ""
    files: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    study_uid: str = ""
    series_uid: str = ""
    instance_uids: tuple[str, ...] = ()

    @property
    def worst_band(self) -> int:
        """Number of the band that agrees least, from 1; 0 where there is one, or all are alike."""
        found = [lr_psnr for lr_psnr, _ in self.bands]
        return found.index(self.lr_psnr) + 1 if len(set(found)) > 1 else 0


class RunLog:
    """The results of one run, on the terminal as they come.

    Args:
        total: number of inputs.
        no_images: how many files were passed over, which do not claim to be images.
    """

    def __init__(self, total: int, no_images: int = 0) -> None:
        self.total, self.no_images = total, no_images
        self.results: list[FileResult] = []
        self._began = time.perf_counter()

    def add(self, result: FileResult) -> None:
        """Take one input; a single failure is left to :meth:`finish`."""
        self.results.append(result)
        if result.is_skipped:
            return
        if result.error and self.total != 1:
            logger.error("monai-sr: error: %s", printable(result.error))
        if not result.error:
            logger.info(
                "%s%s -> %s  %s  %s -> %s  %.1f s  LR-PSNR %.1f dB%s%s",
                self._progress(),
                printable(result.source),
                printable(result.output),
                result.kind,
                result.size_in,
                result.size_out,
                result.seconds,
                result.lr_psnr,
                f" in band {worst}" if (worst := result.worst_band) else "",
                f", {result.off_share:.2%} of the pixels off by more than 1, at most by "
                f"{result.worst_off:.3g} ({result.worst_at})"
                if result.off_share
                else "",
            )

    def finish(self) -> None:
        """Say what was skipped, and raise where inputs failed.

        Raises:
            RunFailedError: naming the failure, or how many there were.
        """
        skipped = sum(r.is_skipped for r in self.results)
        failed = [r for r in self.results if r.error]
        done = len(self.results) - len(failed) - skipped
        if skipped:
            logger.info("%d of %d results were there already: skipped", skipped, self.total)
        if self.no_images:
            count = self.no_images
            files = "1 file is no image" if count == 1 else f"{count} files are no images"
            logger.info("%s: skipped", files)
        if len(self.results) == 1 and failed:
            raise RunFailedError(str(failed[0].error))
        if failed:
            raise RunFailedError(
                f"{len(failed)} of {len(self.results)} inputs could not be enlarged, {done} done; "
                "each is named above"
            )

    def _progress(self) -> str:
        """Say how far a run of several inputs is, and how long it may still take."""
        if self.total == 1:
            return ""
        count = len(self.results)
        enlarged = sum(not r.is_skipped for r in self.results)
        left = (time.perf_counter() - self._began) / enlarged * (self.total - count)
        return f"[{count}/{self.total}, {datetime.timedelta(seconds=round(left))} left] "


class RunRecord(RunLog):
    """The results of one run, in the manifest and on the terminal as they come.

    Args:
        output_dir: folder of the results; whether it can be written shows here.
        total: number of inputs.
        no_images: how many files were passed over, which do not claim to be images.

    Raises:
        OutputError: if the output folder cannot be written.
    """

    def __init__(self, output_dir: Path, total: int, no_images: int = 0) -> None:
        super().__init__(total, no_images)
        self.output_dir = output_dir
        self._manifest = Manifest(output_dir)
        self.save()

    def add(self, result: FileResult) -> None:
        """Record one input; a single failure is left to :meth:`finish`."""
        if not result.is_skipped:
            self._manifest.add(**_row(result, self.output_dir))
            if time.perf_counter() - self._saved > _SAVE_SECONDS:
                self.save()
        super().add(result)

    def save(self) -> None:
        """Write the manifest."""
        self._manifest.save()
        self._saved = time.perf_counter()

    def begin(self, source: str, output: PathLike) -> bool:
        """Note that a result is about to be made; False: another run has taken its name."""
        return self._manifest.begin(source, output)

    def end(self) -> None:
        """Write the manifest; nothing is under way any more."""
        self._manifest.end()


def _row(result: FileResult, output_dir: Path) -> dict[str, object]:
    output = Path(result.output) if result.output else None
    inside = output is not None and output.is_relative_to(output_dir)
    return {
        "source": result.origin,
        "output": output.relative_to(output_dir) if output and inside else output,
        "kind": result.kind,
        "size_in": result.size_in,
        "size_out": result.size_out,
        "seconds": f"{result.seconds:.2f}",
        "lr_psnr": "" if result.error else f"{result.lr_psnr:.2f}",
        "off_by_one_share": "" if result.error else f"{result.off_share:.3g}",
        "lr_psnr_bands": " ".join(f"{lr_psnr:.2f}" for lr_psnr, _ in result.bands),
        "off_by_one_bands": " ".join(f"{off:.3g}" for _, off in result.bands),
        "worst_off": "" if result.error else f"{result.worst_off:.3g}",
        "worst_at": result.worst_at,
        "far_share": "" if result.error else f"{result.far_share:.3g}",
        "weights": result.weights,
        "found": " ".join(f"{name}={value:g}" for name, value in result.found.items()),
        "unusual": result.unusual,
        "hint": result.hint,
        "error": result.error,
        "input_sha256": result.input_sha256,
        "output_sha256": result.output_sha256,
        "made_by": result.made_by,
    }
