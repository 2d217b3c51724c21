"""Test whether small synthetic lesions survive reduction and enlargement, and whether any appear.

Discs are inserted into the large reference image before it is made small. A system enlarges the
small image, the observers of :mod:`monai_sr.evaluation.detection` look at the result, and
:mod:`monai_sr.evaluation.lesion_figures` sums up. The threshold of marks is that of a fixed rate of
marks in the references without lesions, for each radius its own. A mark is near a place that is not
further away than the radius or one small pixel.

It is a test of image processing with synthetic discs and says nothing about diagnosis.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from monai_sr.core import OptionError
from monai_sr.evaluation.benchmark import System
from monai_sr.evaluation.detection import (
    BLOB_REACH,
    Floats,
    Places,
    are_marked,
    blob_response,
    find_marks,
    observe,
    observer_template,
)
from monai_sr.functional import choose_places, disc, disc_reach, insert_discs
from monai_sr.metrics import Protocol, make_lr
from monai_sr.metrics.protocol import to_stored

Corrupt = Callable[[Tensor, int], Tensor]
"""(small image (1, 1, H, W) float32 in [0, 1], seed) -> what a sensor would have delivered."""


@dataclass(frozen=True, kw_only=True)
class LesionTest:
    """State which lesions are inserted and how the observers look.

    Args:
        scale: the enlargement.
        diameters: of the discs, in pixels of the small image.
        contrasts: as a share of the intensity around, rising.
        kind: see :func:`monai_sr.functional.lesions.insert_discs`.
        body: smallest and largest value in [0, 1] of what counts as body.
        passes: how many lesions are inserted at each place, one after the other, each of another
            diameter or contrast.
        spacing_px: smallest distance of two places, in large pixels.
        edge_px: standard deviation of the edges, in large pixels.
        pixel_deg: angle of a large pixel, see :func:`observer_template`.
        template_px: pixels on each side of a place that the model observer sees.
        marks_per_megapixel: rate of marks in references without lesions.
    """

    scale: int
    diameters: Sequence[float]
    contrasts: Sequence[float]
    kind: str
    body: Sequence[float]
    passes: int
    spacing_px: int
    edge_px: float
    pixel_deg: float
    template_px: int
    marks_per_megapixel: float

    def __post_init__(self) -> None:
        """Refuse a plan that cannot be followed."""
        if not 1 <= self.passes <= self.conditions:
            raise OptionError(
                f"passes: must be 1 ... {self.conditions}, the number of diameters times that of "
                f"contrasts, got {self.passes}; choose another"
            )
        if list(self.contrasts) != sorted(self.contrasts) or min(self.contrasts) <= 0:
            raise OptionError(f"contrasts: must be positive and rise, got {list(self.contrasts)}")

    @property
    def conditions(self) -> int:
        """How many pairs of diameter and contrast there are."""
        return len(self.diameters) * len(self.contrasts)

    @property
    def radii_px(self) -> list[float]:
        """Radii in large pixels."""
        return [diameter * self.scale / 2 for diameter in self.diameters]

    @property
    def margin_px(self) -> int:
        """How far from the edge observers look no more."""
        blob = math.ceil(BLOB_REACH * max(self.radii_px) / math.sqrt(2))
        return max(blob, self.template_px, disc_reach(max(self.radii_px), self.edge_px))

    def near_px(self, radius_px: float) -> float:
        """Return how far a mark may be from a place."""
        return max(radius_px, self.scale)

    def templates(self) -> list[Tensor]:
        """Return the model observer's template of each radius."""
        return [
            observer_template(disc(radius, self.edge_px, self.template_px), self.pixel_deg)
            for radius in self.radii_px
        ]


@dataclass(frozen=True, kw_only=True)
class Case:
    """Hold a reference image, and which lesions are inserted where, pass after pass.

    Attributes:
        name: of the image.
        image: the reference without lesions, (H, W) float64 in [0, 1].
        body: where marks count, (H, W) bool.
        places: (N, 2) row and column.
        condition: (passes, N), number of the diameter times that of contrasts, plus that of the
            contrast.
        protocol: how images are stored.
        seed: of everything that is drawn.
    """

    name: str
    image: Tensor
    body: Tensor
    places: Places
    condition: npt.NDArray[np.int64]
    protocol: Protocol
    seed: int

    def references(self, test: LesionTest) -> Iterator[Tensor]:
        """Yield the image without lesions, and then that of every pass; (H, W) as stored."""
        yield self.image
        count = len(test.contrasts)
        for condition in self.condition:
            found = insert_discs(
                self.image,
                self.places,
                [test.radii_px[c // count] for c in condition],
                [test.contrasts[c % count] for c in condition],
                edge_px=test.edge_px,
                kind=test.kind,
            )
            yield _stored(found, self.protocol)

    def results(
        self, test: LesionTest, system: System | None, corrupt: Corrupt | None = None
    ) -> Iterator[Tensor]:
        """Yield what a system makes of each of them, reduced; None leaves them as they are."""
        for number, reference in enumerate(self.references(test)):
            if system is None:
                yield reference
                continue
            lr = make_lr(reference[None, None], test.scale, self.protocol).float()
            if corrupt is not None:
                lr = _stored(corrupt(lr, self.seed + number), self.protocol).float()
            yield _stored(system(lr, test.scale)[0][0, 0], self.protocol)


def make_case(test: LesionTest, image: Tensor, protocol: Protocol, *, name: str, seed: int) -> Case:
    """Choose the lesions of an image.

    Shape: image (H, W) in [0, 1], sides multiples of the scale.

    Raises:
        OptionError: if no lesion fits.
    """
    low, high = test.body
    places = choose_places(
        image,
        (low, high),
        reach_px=math.ceil(max(test.radii_px)),
        spacing_px=test.spacing_px,
        margin_px=test.margin_px,
        seed=seed,
    )
    if not len(places):
        raise OptionError(
            f"{name}: must have a place for a lesion within the body, got none; leave it out"
        )
    random = np.random.default_rng((seed, 1))
    drawn = [random.permutation(test.conditions)[: test.passes] for _ in places]
    body = torch.zeros(image.shape, dtype=torch.bool)
    edge = test.margin_px
    body[edge:-edge, edge:-edge] = True
    body &= (image >= low) & (image <= high)
    return Case(
        name=name,
        image=_stored(image, protocol),
        body=body,
        places=places,
        condition=np.array(drawn).T,
        protocol=protocol,
        seed=seed,
    )


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Hold what the observers saw in the results of one case.

    Attributes:
        absent: scores without lesions, (diameters, N).
        present: scores with them, of the diameter that was inserted, (passes, N).
        is_found: whether the blob detector marks them, (passes, N).
        is_marked: whether it marks the place without a lesion, (diameters, N).
        marks: local maxima without lesions, high or not, of each diameter.
        heights: their responses.
    """

    absent: Floats
    present: Floats
    is_found: npt.NDArray[np.bool_]
    is_marked: npt.NDArray[np.bool_]
    marks: list[Places]
    heights: list[Floats]


def calibrate(test: LesionTest, cases: Sequence[Case]) -> list[float]:
    """Return for each diameter the response above which references have the asked rate of marks."""
    area = sum(int(case.body.sum()) for case in cases) / 1e6
    heights: list[list[Floats]] = [[] for _ in test.diameters]
    for case in cases:
        responses = blob_response(case.image, test.radii_px)
        for number, response in enumerate(responses):
            heights[number].append(find_marks(response, case.body)[1])
    wanted = round(test.marks_per_megapixel * area)
    found = []
    for each in heights:
        ordered = np.sort(np.concatenate(each))[::-1]
        if not 0 < wanted < len(ordered):
            raise OptionError(
                f"marks_per_megapixel: must be possible on these images, got {wanted} marks of "
                f"{len(ordered)}; choose another rate"
            )
        found.append(float(ordered[wanted]))
    return found


def lesion_heights(test: LesionTest, cases: Sequence[Case], number: int) -> list[float]:
    """Return the response to a lesion of each contrast, where a body is of median intensity."""
    level = float(torch.cat([case.image[case.body] for case in cases]).median())
    radius = test.radii_px[number]
    profile = disc(radius, test.edge_px, test.margin_px)
    height = float(blob_response(profile, [radius]).max())
    return [contrast * level * height for contrast in test.contrasts]


def look(
    test: LesionTest,
    case: Case,
    thresholds: Sequence[float],
    system: System | None,
    corrupt: Corrupt | None = None,
) -> Seen:
    """Let the observers look at what a system makes of a case.

    Args:
        test: what is tested.
        case: the image and its lesions.
        thresholds: of the blob detector, see :func:`calibrate`.
        system: enlarges; None shows the observers the references.
        corrupt: what happens to small images before; nothing if None.
    """
    templates = test.templates()
    results = case.results(test, system, corrupt)
    blank = next(results)
    numbers = range(len(test.diameters))
    found = [find_marks(r, case.body) for r in blob_response(blank, test.radii_px)]
    marks, heights = [where for where, _ in found], [height for _, height in found]
    absent = [observe(blank, case.places, template) for template in templates]
    near = [test.near_px(radius) for radius in test.radii_px]
    is_marked = [
        are_marked(case.places, marks[n][heights[n] > thresholds[n]], near[n]) for n in numbers
    ]
    present = np.full(case.condition.shape, math.nan)
    is_found = np.zeros(case.condition.shape, dtype=np.bool_)
    for turn, result in enumerate(results):
        size = case.condition[turn] // len(test.contrasts)
        responses = blob_response(result, test.radii_px)
        for n in numbers:
            here = case.places[size == n]
            present[turn, size == n] = observe(result, here, templates[n])
            where, height = find_marks(responses[n], case.body)
            is_found[turn, size == n] = are_marked(here, where[height > thresholds[n]], near[n])
    return Seen(
        absent=np.stack(absent),
        present=present,
        is_found=is_found,
        is_marked=np.stack(is_marked),
        marks=marks,
        heights=heights,
    )


def _stored(image: Tensor, protocol: Protocol) -> Tensor:
    return (to_stored(image, protocol) / protocol.data_range).clamp(0, 1)
