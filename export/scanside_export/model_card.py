"""The model card that travels in a bundle: what the networks are for, what they saw, how good they are, whose they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from scanside_runtime.contract import ModelContract

_CARD = """# {name} {version}

Two networks that Scanside runs on a chest CT: `lungs` (plain 2D UNet: background, right lung, left lung) and `infection`
(ResNet34-UNet on 2.5D stacks of {depth} sections), after Li Z. et al., medRxiv 2020.04.17.20070219.

## Intended use

Research on measuring opacity in adult chest CT with sections of 3 to 10 mm. Not a medical device. It measures opacity,
whatever its cause: it does not tell COVID-19 from other pneumonia.

## Licence of the weights

{licence}. The code of Scanside is Apache-2.0; that does not cover these weights.

## What they were trained on

- 13 series of 11 COVID-19 patients with infection and lung masks by radiologists (COVID-19-CT-Seg, Zenodo 3757476, and
  MedSeg part 2; 8-bit pictures, HU estimated, pixel size assumed; CC BY-NC-SA 4.0 and unstated, taken as non-commercial).
- 50 single slices with expert masks (MedSeg / COVID-SemiSeg, non-commercial) and 33 slices of one more patient.
- 261 single slices of 261 scans with lung masks made by an automatic method (LIDC-IDRI pictures, CC BY 3.0; licence of the
  masks not verified, taken as non-commercial).
- 7 real volumes in HU (NSCLC Radiogenomics R01-001, LIDC-IDRI-0001, 0003, 0314 (left lung), CPTAC-LSCC C3N-00247, CMB-CRC
  MSB-01068, the PyRadiomics case lung1 (right lung, part)), near-healthy, clean and with **synthetic** lesions inserted;
  their lungs were outlined by thresholds and looked at.
- Phantoms drawn by `scanside_runtime.phantom`, with seeds that the demo never uses.

Attribution: Ma J et al., Med Phys 2021, doi 10.1002/mp.14676; MedSeg, medicalsegmentation.com/covid19; Fan DP et al.,
Inf-Net, IEEE TMI 2020; Armato SG III et al., LIDC-IDRI, doi 10.7937/K9/TCIA.2015.LO9QL9SX; Bakr S et al., NSCLC
Radiogenomics, doi 10.7937/K9/TCIA.2017.7hs46erv; CPTAC-LSCC, doi 10.7937/K9/TCIA.2018.6EMUB5L2; CMB-CRC, doi
10.7937/DJG7-GZ87; van Griethuysen JJM et al., PyRadiomics, Cancer Res 77:e104; Clark K et al., The Cancer Imaging Archive,
J Digit Imaging 26:1045, 2013.

Never seen in training or quantisation: coronacases_008 and radiopaedia_27 (the check below), Lung-PET-CT-Dx A0001,
PyRadiomics lung2, LIDC-IDRI-0002, TCGA-DE-A4MA, RICORD 419639-000082.

## Contracts

{contracts}

## Validation

Two series of two patients are a check, not a validation: there is no confidence interval to give.

```json
{validation}
```

## Known limits

- Few patients; labels drawn on pictures whose HU are estimates.
- Sections of 3 to 10 mm were drawn in training; motion, metal, children and strong tilt were not.
- Tumour, fibrosis and collapse are opacities too and may be counted as infection.
"""


def model_card(
    name: str, version: str, contracts: Mapping[str, ModelContract], validation: Mapping[str, Any]
) -> str:
    """The card as Markdown."""
    rows = [
        f"- `{network}`: window {c.window_hu[0]:g} to {c.window_hu[1]:g} HU, pixels of {c.pixel_mm:g} mm, matrix {c.matrix[0]} x "
        f"{c.matrix[1]}, stack of {c.stack_depth} sections {c.stack_step_mm:g} mm apart, thin series averaged to "
        f"{c.section_mm:g} mm, threshold {c.threshold:g}, training data {c.training_digest[:16]}"
        for network, c in contracts.items()
    ]
    return _CARD.format(
        name=name,
        version=version,
        depth=contracts["infection"].stack_depth,
        licence=contracts["infection"].licence,
        contracts="\n".join(rows),
        validation=json.dumps(validation, indent=2),
    )
