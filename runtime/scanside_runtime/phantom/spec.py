"""What a phantom is made from: shape, lesions, neighbours of the lung, scanner. Lengths in mm, densities in HU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Side = Literal["right", "left"]
LesionKind = Literal["ground_glass", "consolidation", "crazy_paving"]


@dataclass(frozen=True, slots=True)
class Lesion:
    """One patch of infection, cut by the border of its lung.

    height: 0 at the lowest recess, 1 at the apex. azimuth_deg: direction from the middle of the lung at that height,
    0 lateral, 90 posterior, 180 medial, -90 anterior. reach: 0 in the middle of the lung, 1 at the pleura.
    radii_mm: (z, y, x) before the edge is made irregular. edge: standard deviation of that irregularity, as a share of
    the radius. softness_mm: width of the ramp from healthy to infected; the label ends at its middle.
    """

    kind: LesionKind
    side: Side
    height: float
    azimuth_deg: float
    reach: float
    radii_mm: tuple[float, float, float]
    mean_hu: float
    edge: float = 0.18
    softness_mm: float = 4.0


@dataclass(frozen=True, slots=True)
class Tumour:
    """A solid ball of soft tissue beside the lung, never part of the lung label; placed as a `Lesion` is."""

    side: Side
    height: float
    azimuth_deg: float
    reach: float
    radius_mm: float


@dataclass(frozen=True, slots=True)
class PhantomSpec:
    """One patient on one scanner; the same spec gives the same bytes.

    The anatomy depends on the seed and the shape only, so the same patient can be scanned with other slices.
    layer_mm: a slice is the mean of layers so thick, or thinner; fewer are drawn sooner.
    """

    seed: int = 0
    matrix: int = 256
    field_of_view_mm: float = 360.0
    slice_thickness_mm: float = 5.0
    increment_mm: float = 5.0
    first_centre_mm: float = -32.0
    layer_mm: float = 1.25

    lung_height_mm: float = 235.0
    chest_half_width_mm: float = 130.0
    chest_half_depth_mm: float = 96.0
    chest_squareness: float = 2.4
    asymmetry: float = 0.02
    kyphosis_mm: float = 10.0
    right_dome: float = 0.38
    left_dome: float = 0.33
    heart_scale: float = 1.0
    mediastinum_half_width_mm: float = 30.0
    fat_mm: float = 18.0
    muscle_mm: float = 16.0
    arms: bool = False
    stomach_gas: bool = True
    stomach_food: bool = False

    parenchyma_hu: float = -860.0
    gravity_hu: float = 60.0
    texture_hu: float = 18.0
    vessel_density: float = 1.0
    lesions: tuple[Lesion, ...] = ()
    tumours: tuple[Tumour, ...] = ()
    effusion_right_mm: float = 0.0
    effusion_left_mm: float = 0.0

    noise_hu: float = 15.0
    blur_mm: float = 0.8
