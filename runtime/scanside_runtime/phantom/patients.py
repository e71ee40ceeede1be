"""Patients for training, for the demo and for the test of the denominator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scanside_runtime.phantom.lesions import place_lesion
from scanside_runtime.phantom.spec import Lesion, LesionKind, PhantomSpec, Side, Tumour
from scanside_runtime.phantom.thorax import Thorax

DEMO_SEED = 2**31 - 1
"""`random_spec` takes smaller seeds only, and never draws a chest as round as the demo's (2.0)."""
RANDOM_SQUARENESS = (2.1, 2.8)


def random_spec(seed: int, *, slice_thickness_mm: float = 5.0, matrix: int = 256) -> PhantomSpec:
    """A patient of random shape and disease on a scanner of random noise, contiguous slices.

    Raises ValueError for a seed outside [0, DEMO_SEED): the demo's patient is never drawn.
    """
    if not 0 <= seed < DEMO_SEED:
        raise ValueError(f"seed {seed}: use one in [0, {DEMO_SEED}), the demo's own seed is reserved")
    rng = np.random.default_rng((seed, 7))
    shape = _random_shape(seed, rng)
    return replace(
        shape,
        matrix=matrix,
        slice_thickness_mm=slice_thickness_mm,
        increment_mm=slice_thickness_mm,
        first_centre_mm=-32.0 + float(rng.uniform(0.0, slice_thickness_mm)),
        lesions=_random_lesions(rng),
        tumours=_random_tumours(rng),
        effusion_right_mm=_effusion_mm(rng),
        effusion_left_mm=_effusion_mm(rng),
        noise_hu=float(rng.uniform(5.0, 40.0)),
        blur_mm=float(rng.uniform(0.4, 1.2)),
    )


def _random_shape(seed: int, rng: np.random.Generator) -> PhantomSpec:
    """Body and lungs of a random patient, and a field of view that holds him."""

    def draw(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    half_width, fat, muscle = draw(105.0, 150.0), draw(5.0, 38.0), draw(11.0, 22.0)
    arms = bool(rng.random() < 0.15)
    body = 2.0 * (half_width + fat + muscle + 9.0)
    return PhantomSpec(
        seed=seed,
        field_of_view_mm=body * (draw(1.15, 1.4) if arms else draw(0.95, 1.25)),
        lung_height_mm=draw(170.0, 275.0),
        chest_half_width_mm=half_width,
        chest_half_depth_mm=half_width * draw(0.64, 0.82),
        chest_squareness=draw(*RANDOM_SQUARENESS),
        asymmetry=draw(-0.06, 0.10),
        kyphosis_mm=draw(2.0, 20.0),
        right_dome=draw(0.28, 0.46),
        left_dome=draw(0.24, 0.42),
        heart_scale=draw(0.8, 1.2),
        mediastinum_half_width_mm=draw(22.0, 40.0),
        fat_mm=fat,
        muscle_mm=muscle,
        arms=arms,
        stomach_gas=bool(rng.random() < 0.6),
        parenchyma_hu=draw(-910.0, -760.0),
        gravity_hu=draw(10.0, 110.0),
        texture_hu=draw(8.0, 26.0),
        vessel_density=draw(0.7, 1.3),
    )


def _effusion_mm(rng: np.random.Generator) -> float:
    value = float(rng.uniform(10.0, 45.0))
    return value if rng.random() < 0.18 else 0.0


def _random_lesions(rng: np.random.Generator) -> tuple[Lesion, ...]:
    """None in one of six patients, else up to twelve, lower and outer parts of the lung more often."""
    if rng.random() < 1 / 6:
        return ()
    extent = float(np.exp(rng.uniform(np.log(0.7), np.log(1.9))))
    return tuple(_random_lesion(rng, extent) for _ in range(int(rng.integers(1, 13))))


def _random_lesion(rng: np.random.Generator, extent: float) -> Lesion:
    kinds: tuple[LesionKind, ...] = ("ground_glass", "consolidation", "crazy_paving")
    kind = kinds[int(rng.choice(3, p=(0.55, 0.27, 0.18)))]
    mean_hu = {"ground_glass": (-680.0, -380.0), "consolidation": (-60.0, 55.0), "crazy_paving": (-600.0, -380.0)}[kind]
    radius = min(60.0, extent * float(np.exp(rng.uniform(np.log(9.0), np.log(46.0)))))
    pleural = rng.random() < 0.6
    return Lesion(
        kind=kind,
        side="right" if rng.random() < 0.55 else "left",
        height=float(np.clip(rng.normal(0.42, 0.2), 0.08, 0.92)),
        azimuth_deg=float(rng.normal(55.0, 60.0)),
        reach=float(rng.uniform(0.85, 1.05) if pleural else rng.uniform(0.1, 0.9)),
        radii_mm=(radius * float(rng.uniform(0.8, 1.4)), radius * float(rng.uniform(0.6, 1.2)), radius),
        mean_hu=float(rng.uniform(*mean_hu)),
        edge=float(rng.uniform(0.08, 0.28)),
        softness_mm=float(rng.uniform(1.5, 9.0) if kind != "consolidation" else rng.uniform(1.0, 4.0)),
    )


def _random_tumours(rng: np.random.Generator) -> tuple[Tumour, ...]:
    """At the chest wall or the mediastinum in one of eight patients."""
    if rng.random() >= 1 / 8:
        return ()
    side: Side = "right" if rng.random() < 0.5 else "left"
    azimuth = float(rng.uniform(-60.0, 110.0) if rng.random() < 0.5 else rng.uniform(150.0, 210.0))
    return (Tumour(side, float(rng.uniform(0.25, 0.85)), azimuth, 1.0, float(rng.uniform(12.0, 38.0))),)


def demo_spec() -> PhantomSpec:
    """The demo's patient: bilateral peripheral ground glass and one consolidation, about a fifth of the lungs."""
    return PhantomSpec(
        seed=DEMO_SEED,
        matrix=512,
        chest_squareness=2.0,
        lung_height_mm=240.0,
        lesions=(
            Lesion("ground_glass", "right", 0.30, 70.0, 0.90, (66.0, 42.0, 56.0), -560.0),
            Lesion("ground_glass", "right", 0.62, 20.0, 0.92, (50.0, 46.0, 32.0), -600.0),
            Lesion("ground_glass", "left", 0.34, 65.0, 0.90, (68.0, 42.0, 52.0), -540.0),
            Lesion("ground_glass", "left", 0.70, 90.0, 0.90, (36.0, 30.0, 34.0), -620.0),
            Lesion("crazy_paving", "right", 0.48, -40.0, 0.90, (36.0, 30.0, 26.0), -540.0),
            Lesion("consolidation", "left", 0.24, 85.0, 1.0, (30.0, 30.0, 34.0), 30.0, softness_mm=2.5),
        ),
    )


def pleural_consolidation_spec(fraction: float = 0.30) -> PhantomSpec:
    """A right lung of which `fraction` is consolidated, from the pleura at the back of its base.

    The radius is found by bisection on a 4 mm grid. Raises ValueError for a fraction outside (0, 0.6].
    """
    if not 0.0 < fraction <= 0.6:
        raise ValueError(f"fraction {fraction}: use one in (0, 0.6]")
    bare = PhantomSpec(seed=77, parenchyma_hu=-850.0)
    x, y, z = _lung_points(Thorax(bare))
    low_mm, high_mm = 5.0, 160.0
    while high_mm - low_mm > 0.05:
        middle_mm = 0.5 * (low_mm + high_mm)
        one = place_lesion(Thorax(bare), _basal_consolidation(middle_mm), 0)
        if np.count_nonzero(one.field(x, y, z) < 0) < fraction * x.size:
            low_mm = middle_mm
        else:
            high_mm = middle_mm
    return replace(bare, lesions=(_basal_consolidation(high_mm),))


def _basal_consolidation(radius_mm: float) -> Lesion:
    radii_mm = (1.2 * radius_mm, radius_mm, radius_mm)
    return Lesion("consolidation", "right", 0.22, 75.0, 1.0, radii_mm, 35.0, edge=0.08, softness_mm=2.0)


def _lung_points(thorax: Thorax) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The points of a 4 mm grid inside the right lung: three (k,) float32 arrays x, y, z in mm."""
    w, d = thorax.spec.chest_half_width_mm, thorax.spec.chest_half_depth_mm
    axes = (
        np.arange(-15.0, thorax.spec.lung_height_mm + 5.0, 4.0),
        np.arange(-d - 25.0, d + 10.0, 4.0),
        np.arange(-w - 5.0, 0.0, 4.0),
    )
    z, y, x = (a.ravel().astype(np.float32) for a in np.meshgrid(*axes, indexing="ij"))
    inside = thorax.at(x, y, z).lung < 0
    return x[inside], y[inside], z[inside]
