"""One thin layer of the phantom: level functions to HU and to labels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from scanside_runtime.phantom.lesions import PlacedLesion, place_lesions
from scanside_runtime.phantom.spec import PhantomSpec
from scanside_runtime.phantom.thorax import Field, Shapes, Thorax, Waves
from scanside_runtime.phantom.trees import grow_trees
from scanside_runtime.volume import Bools

Box = tuple[slice, slice]
COARSE_MM = 2.8
AIR, FAT, SOFT, MUSCLE, BLOOD, ORGAN, FLUID = -1000.0, -100.0, 40.0, 52.0, 42.0, 58.0, 8.0
MARROW, CORTEX = 190.0, 560.0
_NECK_VESSELS = (  # x mm, share of the way from breastbone to spine, radius mm: the veins and the arch's branches
    (-20.0, 0.42, 8.0),
    (-9.0, 0.50, 6.5),
    (7.0, 0.56, 5.0),
    (22.0, 0.60, 5.5),
    (18.0, 0.36, 7.0),
)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A thin layer: hu (n, n) float32, labels (n, n) bool; infection lies within the lungs."""

    hu: Field
    right_lung: Bools
    left_lung: Bools
    infection: Bools


class LayerPainter:
    """Draws layers of one patient at any height. Smooth shapes are worked out on a coarse grid and enlarged."""

    def __init__(self, spec: PhantomSpec) -> None:
        self.spec = spec
        self.thorax = Thorax(spec)
        self.trees = grow_trees(self.thorax)
        self.lesions = place_lesions(self.thorax)
        self.n = spec.matrix
        self.pixel_mm = spec.field_of_view_mm / spec.matrix
        self.x, self.y = _axes(self.n, spec.field_of_view_mm)
        coarse = max(32, round(spec.field_of_view_mm / COARSE_MM))
        self.cx, self.cy = _axes(coarse, spec.field_of_view_mm)
        self.grain = Waves((spec.seed, 41), 3.5, 14.0, 64)
        self.cloud = Waves((spec.seed, 42), 25.0, 90.0)
        self.strand = Waves((spec.seed, 43), 9.0, 30.0)

    def paint(self, z_mm: float) -> Layer:
        """The layer at one height."""
        here = self.thorax.at(self.cx, self.cy, z_mm)
        cavity, cloud = self._up(here.cavity), self._up(self.cloud.layer(self.cx, self.cy, z_mm))
        hu = self._body_wall(here, cavity, z_mm)
        self._inside(hu, here, cavity < -1.5, cloud, z_mm)
        self._spine(hu, float(here.spine_y), z_mm)
        self._airways(hu, float(here.hilum_y), z_mm)
        lung = self._up(here.lung) < 0
        infection = np.zeros_like(lung)
        if lung.any():
            infection = self._lungs(hu, lung, self.y - float(here.midline_y), cloud, z_mm)
        left = np.broadcast_to(self.x > 0, lung.shape)
        return Layer(hu, lung & ~left, lung & left, infection)

    def _up(self, field: Field) -> Field:
        return np.asarray(cv2.resize(field, (self.n, self.n), interpolation=cv2.INTER_LINEAR), dtype=np.float32)

    def _body_wall(self, here: Shapes, cavity: Field, z: float) -> Field:
        """Skin, fat, muscle, ribs, breastbone, shoulder blades, arms. -> (n, n) float32 HU."""
        strand = self._up(self.strand.layer(self.cx, self.cy, z))
        body, muscle = self._up(here.body), self._up(here.muscle)
        hu = np.full((self.n, self.n), AIR, dtype=np.float32)
        self._table(hu)
        if self.spec.arms:
            self._arms(hu)
        hu[body < 0] = SOFT - 30.0
        hu[body < -2.0] = FAT
        flesh = (muscle < 0) & (body < -3.0)
        hu[flesh] = MUSCLE
        hu[flesh & (np.abs(strand) < 0.12) & (muscle < -2.0) & (cavity > 4.0)] = FAT + 30.0
        self._bones_of_the_wall(hu, here, cavity, z)
        hu[cavity < 0] = SOFT
        return hu

    def _bones_of_the_wall(self, hu: Field, here: Shapes, cavity: Field, z: float) -> None:
        """Slanted ribs in the shell around the cavity, cartilage and breastbone in front, blades behind."""
        height, midline, depth = float(here.level), float(here.midline_y), float(here.half_depth)
        y = self.y - midline
        self._collar_bones(hu, height, midline - depth)
        if height < 1.06:
            phase = (z - 0.45 * y + 0.04 * np.abs(self.x)) / 25.0
            off_mm = (phase - np.round(phase)) * 25.0
            r = ((cavity - 6.5) / 4.2) ** 2 + (off_mm / 6.5) ** 2
            front = (y < -0.55 * depth) & (np.abs(self.x) < 0.55 * self.spec.chest_half_width_mm)
            hu[(r < 1.0) & front] = 105.0
            hu[(r < 1.0) & ~front] = CORTEX
            hu[(r < 0.45) & ~front] = MARROW
        if height > 0.3:
            plate = (np.abs(self.x) < 17.0) & (y < 0)
            hu[plate & (cavity > 3.0) & (cavity < 14.0)] = CORTEX - 120.0
            hu[plate & (cavity > 5.0) & (cavity < 12.0)] = MARROW - 60.0
        if height > 0.5:
            w = self.spec.chest_half_width_mm
            reach = (np.abs(self.x) > 0.5 * w) & (np.abs(self.x) < (0.72 + 0.3 * height) * w) & (y > 0.1 * depth)
            blade = np.abs(cavity - 15.5 - 3.0 * np.clip(height - 0.5, 0, 1) * 10.0)
            hu[reach & (blade < 3.2)] = CORTEX - 160.0
            hu[reach & (blade < 1.4)] = MARROW

    def _collar_bones(self, hu: Field, height: float, front: float) -> None:
        """Two bars that climb outwards from the breastbone, a piece of them in each layer."""
        climb = (height - 0.90) / 0.14
        if not 0.0 < climb < 1.0:
            return
        for sign in (-1.0, 1.0):
            inner = (sign * (14.0 + 70.0 * climb), front - 8.0 + 22.0 * climb)
            outer = (sign * (50.0 + 75.0 * climb), front - 4.0 + 34.0 * climb)
            self._bar(hu, inner, outer, 12.0, CORTEX)
            self._bar(hu, inner, outer, 6.0, MARROW)

    def _table(self, hu: Field) -> None:
        """The scanner's table: a thin shell around foam."""
        s = self.spec
        back = 8.0 + s.chest_half_depth_mm + s.muscle_mm + s.fat_mm
        for rx, ry, value in ((185.0, 46.0, -350.0), (181.0, 42.0, -960.0)):
            self._disc(hu, 0.0, back + 20.0, rx, ry, value)
        hu[: round((back - 8.0) / self.pixel_mm + self.n / 2)] = AIR

    def _arms(self, hu: Field) -> None:
        edge = self.spec.chest_half_width_mm + self.spec.muscle_mm + self.spec.fat_mm
        for sign in (-1.0, 1.0):
            x = sign * (edge + 46.0)
            for radius, value in ((44.0, FAT), (36.0, MUSCLE), (12.0, 1100.0), (7.0, MARROW)):
                self._disc(hu, x, 18.0, radius, radius, value)

    def _inside(self, hu: Field, here: Shapes, cavity: Bools, cloud: Field, z: float) -> None:
        """Mediastinum, heart, abdomen, fluid and tumours: all inside the cavity that is no lung."""
        middle = cavity & (self._up(here.mediastinum) < -2.0)
        hu[middle & (cloud > -0.5)] = FAT + 10.0
        self._great_vessels(hu, here, middle)
        heart = self._up(here.heart)
        hu[cavity & (heart < 0)] = FAT + 15.0
        hu[cavity & (heart < -2.5 - 1.5 * np.abs(cloud))] = BLOOD
        self._abdomen(hu, here, cavity, z)
        if self.spec.effusion_left_mm or self.spec.effusion_right_mm:
            fluid = self._up(np.maximum(here.clean_lung, here.effusion))  # where the lung would be
            hu[(fluid < 0) & cavity] = FLUID
        if self.spec.tumours:
            hu[self._up(here.tumour) < 0] = SOFT - 2.0

    def _abdomen(self, hu: Field, here: Shapes, cavity: Bools, z: float) -> None:
        """Liver on the right, stomach and spleen on the left, diaphragm above them."""
        right_dome, left_dome = (self._up(dome) for dome in here.domes)
        hu[cavity & (left_dome < 0)] = SOFT
        under = cavity & (left_dome < -2.5)
        hu[under] = FAT
        organs = np.full_like(hu, FAT)
        w, d = self.spec.chest_half_width_mm, self.spec.chest_half_depth_mm
        y0 = float(here.midline_y)
        self._disc(organs, 0.72 * w, y0 + 0.45 * d, 0.26 * w, 0.42 * d, ORGAN - 4.0, 25.0)
        self._disc(organs, 0.38 * w, y0 - 0.18 * d, 0.33 * w, 0.50 * d, SOFT - 5.0)
        if self.spec.stomach_food and under.any():
            inner = np.zeros_like(organs)
            self._disc(inner, 0.38 * w, y0 - 0.18 * d, 0.31 * w, 0.47 * d, 1.0)
            organs = np.where(inner > 0, self._food(z), organs)
        if self.spec.stomach_gas:
            self._disc(organs, 0.38 * w, y0 - 0.38 * d, 0.24 * w, 0.22 * d, -950.0)
        hu[under] = organs[under]
        hu[cavity & (right_dome < 0)] = ORGAN
        if z < 0.2 * self.spec.lung_height_mm:
            across = cavity & (self.y < y0 + 0.1 * d) & (self.x < 0.25 * w) & (self.x > -0.4 * w)
            hu[across & (right_dome < 14.0)] = ORGAN

    def _food(self, z: float) -> Field:
        """A meal: soft tissue and fat in crumbs with gas between them, dense as a consolidation. -> (n, n) HU."""
        crumbs = self.grain.layer(self.x, self.y, z)
        return np.where(crumbs < -1.3, -400.0, 5.0 + 45.0 * crumbs).astype(np.float32)

    def _great_vessels(self, hu: Field, here: Shapes, middle: Bools) -> None:
        """Aorta, its arch and branches, upper caval vein, pulmonary trunk, gullet; fat lies between them."""
        height, spine, front = here.level, float(here.spine_y), float(here.midline_y - here.half_depth)
        drawn = np.full_like(hu, np.nan)
        y = spine - front
        self._disc(drawn, -2.0, spine - 30.0, 7.0, 6.0, SOFT - 8.0)
        if height < 0.72:
            self._disc(drawn, 25.0, spine - 20.0, 12.0, 12.0, BLOOD)
        if 0.655 < height < 0.745:
            self._disc(drawn, 12.0, spine - 45.0, 12.5, 36.0, BLOOD, 20.0)
        if 0.45 < height < 0.70:
            self._disc(drawn, -10.0, front + 0.36 * y, 16.0, 16.0, BLOOD)
            self._disc(drawn, -30.0, front + 0.50 * y, 9.0, 10.0, BLOOD)
        if 0.48 < height < 0.62:
            self._disc(drawn, 18.0, front + 0.38 * y, 15.0, 18.0, BLOOD, 25.0)
        if height >= 0.70:
            for x, share, r in _NECK_VESSELS:
                self._disc(drawn, x, front + share * y, r, r, BLOOD)
        hila = self._up(here.great_vessels) < -2.0
        hu[middle & hila] = BLOOD - 4.0
        seen = middle & ~np.isnan(drawn)
        hu[seen] = drawn[seen]

    def _spine(self, hu: Field, spine: float, z: float) -> None:
        """Vertebral body or disc, canal, arch, transverse and spinous processes."""
        phase = (z / 26.0) % 1.0
        if phase < 0.22:
            self._disc(hu, 0.0, spine, 17.0, 14.0, 85.0)
        else:
            self._disc(hu, 0.0, spine, 18.0, 15.0, CORTEX - 120.0)
            self._disc(hu, 0.0, spine, 16.0, 13.0, 170.0)
        back = spine + 21.0
        if 0.3 < phase < 0.75:
            for sign in (-1.0, 1.0):
                self._bar(hu, (sign * 10.0, back + 4.0), (sign * 30.0, back + 8.0), 9.0, CORTEX - 150.0)
        self._disc(hu, 0.0, back, 13.0, 11.0, CORTEX - 100.0)
        self._bar(hu, (0.0, back + 8.0), (0.0, back + 26.0 - 10.0 * phase), 6.0, CORTEX - 200.0)
        self._disc(hu, 0.0, back, 9.0, 8.0, 20.0)

    def _airways(self, hu: Field, hilum_y: float, z: float) -> None:
        """Trachea and main bronchi, outside the lung label."""
        carina = 0.62 * self.spec.lung_height_mm
        if z >= carina:
            up = (z - carina) / (0.4 * self.spec.lung_height_mm)
            self._disc(hu, -3.0, hilum_y - 12.0 * up, 10.5, 10.0, SOFT)
            self._disc(hu, -3.0, hilum_y - 12.0 * up, 8.8, 8.2, AIR)
            return
        below = carina - z
        for sign, slope, length in ((-1.0, 1.25, 24.0), (1.0, 1.6, 20.0)):
            if below < length:
                x = -3.0 + sign * (5.0 + slope * below)
                self._disc(hu, x, hilum_y + 1.0, 8.5, 7.5, SOFT)
                self._disc(hu, x, hilum_y + 1.0, 7.0, 6.0, AIR)

    def _lungs(self, hu: Field, lung: Bools, behind_mm: Field, cloud: Field, z: float) -> Bools:
        """Parenchyma, infection, then vessels and bronchi over both, in the box that holds the lungs.

        behind_mm: (n, 1), how far a row lies behind the midline. -> infection (n, n) bool.
        """
        s, box = self.spec, _box(lung)
        depth = behind_mm[box[0]] / s.chest_half_depth_mm
        grain = self.grain.layer(self.x, self.y, z)[box]
        healthy = s.parenchyma_hu + s.gravity_hu * 0.5 * depth + s.texture_hu * (grain + 0.5 * cloud[box])
        inside = np.asarray(healthy, dtype=np.float32)
        infection = np.zeros_like(lung)
        solid = np.zeros_like(inside)
        for one in self.lesions:
            if one.near(z):
                infection[box] |= self._infect(inside, solid, one, grain, box, z)
        vessels, walls, air = (share[box] for share in self.trees.coverage(self.n, z, self.pixel_mm))
        inside += np.clip(BLOOD - inside, 0.0, None) * vessels
        inside += np.clip(-150.0 - inside, 0.0, None) * walls
        inside += (-930.0 - inside) * air * np.where(solid > 0.5, 0.75, 0.9)
        hu[box][lung[box]] = inside[lung[box]]
        return np.asarray(infection & lung)

    def _infect(self, inside: Field, solid: Field, one: PlacedLesion, grain: Field, box: Box, z: float) -> Bools:
        """Blend one lesion into the parenchyma, in place. -> its extent in the box, bool."""
        lesion = one.lesion
        field = self._up(one.field(self.cx, self.cy, z))[box]
        share = np.clip(0.5 - field / lesion.softness_mm, 0.0, 1.0)
        target = lesion.mean_hu + 1.5 * self.spec.texture_hu * grain
        if lesion.kind == "crazy_paving":
            lines = np.abs(self.strand.layer(self.x, self.y, z)[box]) < 0.22
            target = target + np.where(lines, 190.0, -40.0)
        if lesion.kind == "consolidation":
            target = lesion.mean_hu + 0.5 * self.spec.texture_hu * grain
            np.maximum(solid, share, out=solid)
        inside += np.clip(target - inside, 0.0, None) * share
        return np.asarray(field < 0)

    def _disc(self, hu: Field, x: float, y: float, rx: float, ry: float, value: float, angle: float = 0.0) -> None:
        centre = tuple(round((v / self.pixel_mm + (self.n - 1) / 2.0) * 16.0) for v in (x, y))
        axes = tuple(max(1, round(r / self.pixel_mm * 16.0)) for r in (rx, ry))
        cv2.ellipse(hu, centre, axes, angle, 0.0, 360.0, (value,), cv2.FILLED, cv2.LINE_8, 4)

    def _bar(
        self, hu: Field, start: tuple[float, float], end: tuple[float, float], width_mm: float, value: float
    ) -> None:
        ends = [tuple(round((v / self.pixel_mm + (self.n - 1) / 2.0) * 16.0) for v in p) for p in (start, end)]
        cv2.line(hu, ends[0], ends[1], (value,), max(1, round(width_mm / self.pixel_mm)), cv2.LINE_8, 4)


def _box(mask: Bools) -> Box:
    """The rows and columns that hold all of a mask."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _axes(n: int, field_of_view_mm: float) -> tuple[Field, Field]:
    """Pixel centres in mm about the middle: x (1, n), y (n, 1)."""
    mm = np.asarray((np.arange(n, dtype=np.float32) + 0.5) / n - 0.5, dtype=np.float32) * np.float32(field_of_view_mm)
    return mm[None, :], mm[:, None]
