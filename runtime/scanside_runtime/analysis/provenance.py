"""What made a result: software, bundle, engine, input, settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from scanside_runtime.findings import Finding
from scanside_runtime.model.bundle import Bundle
from scanside_runtime.model.engine import EngineChoice, instruction_set
from scanside_runtime.model.networks import LoadedNetworks, Networks
from scanside_runtime.model.proof import Proof, WayTried
from scanside_runtime.version import software_version, source_commit


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """Which bundle; sha256 is that of its manifest, which holds the hashes of all its files."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What computed, and in what: an INT8 network's remaining layers are part of the precision."""

    name: str
    version: str
    precision: str
    threads: int
    isa: str | None


@dataclass(frozen=True, slots=True)
class SelfTestFacts:
    """The box's last self-test before the result: it vouches for bundle, engine, precision. at: ISO 8601, UTC."""

    at: str
    lungs_dice: float | None
    infection_dice: float | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """The block `provenance` of the result document; what is not known yet is None.

    for_earlier_scan: measured again for nothing but an earlier scan of the patient, which came after it or has changed.
    """

    settings_sha256: str | None
    bundle: BundleFacts | None = None
    engine: EngineFacts | None = None
    selftest: SelfTestFacts | None = None
    input_sha256: str | None = None
    revision: int | None = None
    supersedes: str | None = None
    for_earlier_scan: bool = False

    def to_document(self) -> dict[str, Any]:
        """Plain values, the software in front."""
        return {"software": "scanside", "version": software_version(), "commit": source_commit(), **asdict(self)}


def bundle_facts(bundle: Bundle) -> BundleFacts:
    """What the document says of a bundle."""
    return BundleFacts(bundle.name, bundle.version, bundle.sha256)


def engine_facts(choice: EngineChoice, networks: Networks) -> EngineFacts:
    """What the document says of the engine."""
    engine = networks.infection.engine
    return EngineFacts(choice.name, engine.version, engine.computed_in, choice.threads, instruction_set())


def selftest_facts(proof: Proof | None, networks: LoadedNetworks | None) -> SelfTestFacts | None:
    """What the document says of the self-test; None where none was made of this bundle in this way on this box."""
    passed = _vouching(proof, networks)
    return None if passed is None else SelfTestFacts(passed.at, passed.lungs_dice, passed.infection_dice)


def way_taken(proof: Proof | None, networks: LoadedNetworks) -> list[Finding]:
    """A note where the way that the box would have taken computes wrong on it, and another one was taken."""
    passed = _vouching(proof, networks)
    if proof is None or passed is None or not proof.wrong:
        return []
    return [Finding("MODEL_OTHER_WAY", "note", f"Computed by {passed.name}. The self-test on this box: {proof.why}")]


def _vouching(proof: Proof | None, networks: LoadedNetworks | None) -> WayTried | None:
    if networks is None or proof is None or proof.passed is None or not proof.holds(networks.bundle):
        return None
    return proof.passed if proof.passed.is_way_of(networks.choice) else None
