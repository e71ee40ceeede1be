"""A box's folders, a maker with a key, and the zips that he signs and a technician brings."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.selftest_samples import write_bundle_with_sample
from scanside_appliance.bundles.install import InstalledBundle, install
from scanside_appliance.bundles.record import bundle_in_force
from scanside_runtime.model.bundle import MANIFEST, Bundle, open_bundle
from scanside_runtime.model.engine import choose_engine
from scanside_runtime.model.proof import WayTried
from scanside_runtime.model.selftest import prove_way
from scanside_runtime.model.signature import SIGNATURE, new_key, sign


def prove(bundle: Bundle) -> WayTried:
    return prove_way(bundle, choose_engine("onnxruntime", "fp32", 1))


@dataclass
class Stick:
    """A box's folders, a maker's key, and zips that he signed."""

    folder: Path
    secret: bytes

    @property
    def root(self) -> Path:
        return self.folder / "box"

    @property
    def keys(self) -> Path:
        return self.folder / "keys.d"

    def zip(self, name: str, *, secret: bytes | None = None, same: bool = True, **changes: Any) -> Path:
        made = self.folder / "made" / name
        write_bundle_with_sample(made, same=same, name="tiny", version=name, **changes)
        manifest = (made / MANIFEST).read_bytes()
        (made / SIGNATURE).write_bytes(sign(manifest, secret or self.secret))
        archive = self.folder / f"{name}.zip"
        with zipfile.ZipFile(archive, "w") as out:
            for path in sorted(made.rglob("*")):
                if path.is_file():
                    out.write(path, path.relative_to(made))
        return archive

    def install(self, archive: Path, **options: Any) -> InstalledBundle:
        return install(archive, self.root, self.keys, prove, **options)

    def in_force(self) -> str:
        return open_bundle(bundle_in_force(self.root, self.keys)).version


def made_stick(folder: Path) -> Stick:
    """With a maker whom the box trusts."""
    secret, public = new_key()
    (folder / "keys.d").mkdir()
    (folder / "keys.d" / "maker.pem").write_bytes(public)
    return Stick(folder, secret)
