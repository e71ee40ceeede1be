"""What made a result: software, bundle, engine, input, settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from scanside_runtime.model.bundle import Bundle
from scanside_runtime.model.engine import EngineChoice, instruction_set
from scanside_runtime.model.networks import Networks
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
class Provenance:
    """The block `provenance` of the result document; what is not known yet is None."""

    settings_sha256: str | None
    bundle: BundleFacts | None = None
    engine: EngineFacts | None = None
    input_sha256: str | None = None
    revision: int | None = None
    supersedes: str | None = None

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
