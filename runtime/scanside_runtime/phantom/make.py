"""A thorax by construction, scanned by a thick-slice scanner: pixels with a known answer.

Anatomy is drawn in thin layers (about 1.25 mm); a slice is the mean of the layers inside its thickness, then blurred
in the plane, then noise is added. Truth comes from the same layers: a voxel belongs to a label when at least half of
it does, volumes are counted from those labels on the native grid, and iHU is the mean of the noise-free slice inside
the infection label.

The lung label holds parenchyma, its vessels and smaller bronchi, and all infection. Trachea, main bronchi and the
trunks at the hilum (a ball of some 17 mm of soft tissue on each side), fluid and tumours are outside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from scanside_runtime.phantom.painter import LayerPainter
from scanside_runtime.phantom.patients import demo_spec, pleural_consolidation_spec, random_spec
from scanside_runtime.phantom.spec import Lesion, PhantomSpec, Tumour
from scanside_runtime.phantom.thorax import Field
from scanside_runtime.volume import HU_MAX, HU_MIN, Bools, Hu, Volume

__all__ = [
    "Lesion",
    "Phantom",
    "PhantomSpec",
    "Truth",
    "Tumour",
    "demo_spec",
    "make_phantom",
    "pleural_consolidation_spec",
    "random_spec",
]

ABOVE_APEX_MM = 22.0


@dataclass(frozen=True, slots=True)
class Truth:
    """The known answer, from the labels on the native grid; None where there is no infection."""

    poi_percent: float
    ihu_hu: float | None
    lung_volume_ml: float
    infection_volume_ml: float
    right_poi_percent: float
    right_ihu_hu: float | None
    right_lung_volume_ml: float
    right_infection_volume_ml: float
    left_poi_percent: float
    left_ihu_hu: float | None
    left_lung_volume_ml: float
    left_infection_volume_ml: float


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """What the scanner shows and what is true.

    hu: (z, y, x) int16 HU, LPS order. right_lung, left_lung, infection: (z, y, x) bool on that grid, infection within
    the lungs. spacing_mm: (z, y, x). All arrays read-only.
    """

    spec: PhantomSpec
    hu: Hu
    right_lung: Bools
    left_lung: Bools
    infection: Bools
    spacing_mm: tuple[float, float, float]
    truth: Truth

    def __post_init__(self) -> None:
        for array in (self.hu, self.right_lung, self.left_lung, self.infection):
            array.setflags(write=False)

    @property
    def origin_mm(self) -> tuple[float, float, float]:
        """LPS (x, y, z) of the centre of the first voxel."""
        edge = -0.5 * self.spec.field_of_view_mm + 0.5 * self.spacing_mm[1]
        return (edge, edge, self.spec.first_centre_mm)

    @property
    def lungs(self) -> Bools:
        """Both lungs, (z, y, x) bool."""
        return self.right_lung | self.left_lung

    def volume(self) -> Volume:
        """The phantom as the reader of a series would give it."""
        dz, dy, dx = self.spacing_mm
        affine = np.diag([dx, dy, dz, 1.0])
        affine[:3, 3] = self.origin_mm
        return Volume(self.hu, affine, self.spacing_mm, self.spec.slice_thickness_mm)


@dataclass(frozen=True, slots=True, eq=False)
class _ScannedSlice:
    """One slice before noise: hu (n, n) float32, labels (n, n) bool."""

    hu: Field
    right_lung: Bools
    left_lung: Bools
    infection: Bools


def make_phantom(spec: PhantomSpec) -> Phantom:
    """Build the patient and scan him; the same spec gives the same bytes."""
    painter = LayerPainter(spec)
    shape = (slice_count(spec), spec.matrix, spec.matrix)
    hu = np.empty(shape, dtype=np.int16)
    right, left, infection = (np.zeros(shape, dtype=np.bool_) for _ in range(3))
    ihu = [(0.0, 0), (0.0, 0)]
    for k in range(shape[0]):
        one = _scan_slice(painter, spec.first_centre_mm + k * spec.increment_mm)
        right[k], left[k], infection[k] = one.right_lung, one.left_lung, one.infection
        ihu = [_add(ihu[i], one.hu[infection[k] & side[k]]) for i, side in enumerate((right, left))]
        hu[k] = _with_noise(one.hu, spec, k)
    pixel_mm = spec.field_of_view_mm / spec.matrix
    spacing_mm = (spec.increment_mm, pixel_mm, pixel_mm)
    truth = _truth(right, left, infection, ihu, spacing_mm)
    return Phantom(spec, hu, right, left, infection, spacing_mm, truth)


def slice_count(spec: PhantomSpec) -> int:
    """Slices from below the lungs to above the apex."""
    return math.floor((spec.lung_height_mm + ABOVE_APEX_MM - spec.first_centre_mm) / spec.increment_mm) + 1


def _scan_slice(painter: LayerPainter, centre_mm: float) -> _ScannedSlice:
    """The mean of the layers inside one slice, blurred; labels by majority."""
    spec = painter.spec
    layers = max(1, math.ceil(spec.slice_thickness_mm / spec.layer_mm))
    hu = np.zeros((spec.matrix, spec.matrix), dtype=np.float32)
    votes = np.zeros((3, spec.matrix, spec.matrix), dtype=np.uint8)  # right, left, infection
    for i in range(layers):
        layer = painter.paint(centre_mm + ((i + 0.5) / layers - 0.5) * spec.slice_thickness_mm)
        hu += layer.hu
        votes[0] += layer.right_lung
        votes[1] += layer.left_lung
        votes[2] += layer.infection
    right, left, infection = 2 * votes >= layers
    return _ScannedSlice(_blurred(hu / np.float32(layers), spec), right, left, infection & (right | left))


def _blurred(hu: Field, spec: PhantomSpec) -> Field:
    """The scanner's point spread in the plane."""
    sigma = spec.blur_mm * spec.matrix / spec.field_of_view_mm
    return np.asarray(cv2.GaussianBlur(hu, (0, 0), sigma), dtype=np.float32) if sigma > 0.05 else hu


def _with_noise(hu: Field, spec: PhantomSpec, k: int) -> Hu:
    """Noise with a grain of about a pixel, its own in each slice. -> (n, n) int16 HU."""
    rng = np.random.default_rng((spec.seed, 51, k))
    noise = cv2.GaussianBlur(rng.standard_normal(hu.shape, dtype=np.float32), (0, 0), 0.7)
    scaled = np.asarray(noise, dtype=np.float32) * np.float32(spec.noise_hu / max(float(np.std(noise)), 1e-6))
    return np.clip(np.rint(hu + scaled), HU_MIN, HU_MAX).astype(np.int16)


def _add(sum_and_count: tuple[float, int], values: Field) -> tuple[float, int]:
    return sum_and_count[0] + float(values.sum(dtype=np.float64)), sum_and_count[1] + values.size


def _truth(
    right: Bools, left: Bools, infection: Bools, ihu: list[tuple[float, int]], spacing_mm: tuple[float, float, float]
) -> Truth:
    """Volumes counted on the native grid."""
    voxel_ml = spacing_mm[0] * spacing_mm[1] * spacing_mm[2] / 1000.0
    lung_ml = [float(np.count_nonzero(side)) * voxel_ml for side in (right, left)]
    infection_ml = [float(np.count_nonzero(side & infection)) * voxel_ml for side in (right, left)]
    both = (ihu[0][0] + ihu[1][0], ihu[0][1] + ihu[1][1])
    return Truth(
        *_measures(sum(lung_ml), sum(infection_ml), both),
        *_measures(lung_ml[0], infection_ml[0], ihu[0]),
        *_measures(lung_ml[1], infection_ml[1], ihu[1]),
    )


def _measures(lung_ml: float, infection_ml: float, ihu: tuple[float, int]) -> tuple[float, float | None, float, float]:
    """POI, iHU, lung volume, infection volume."""
    poi_percent = 100.0 * infection_ml / lung_ml if lung_ml else 0.0
    return poi_percent, ihu[0] / ihu[1] if ihu[1] else None, lung_ml, infection_ml
