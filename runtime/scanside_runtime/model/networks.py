"""Both networks of a bundle on their engine, loaded once for as long as they can be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scanside_runtime.model.bundle import Bundle, open_bundle
from scanside_runtime.model.contract import ModelContract
from scanside_runtime.model.engine import Engine, EngineChoice, choose_engine, load_engine
from scanside_runtime.model.proof import Proof, preferred_way
from scanside_runtime.model.tuning import Tuning


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A loaded network and what it expects of the world."""

    engine: Engine
    contract: ModelContract


@dataclass(frozen=True, slots=True, eq=False)
class Networks:
    """A network for the lungs, and one for the infection within them."""

    lungs: Network
    infection: Network


@dataclass(frozen=True, slots=True, eq=False)
class LoadedNetworks(Networks):
    """Networks that came out of a bundle, and how they compute. One analysis at a time may use them."""

    bundle: Bundle
    choice: EngineChoice


def load_networks(bundle: Bundle, choice: EngineChoice | None = None) -> LoadedNetworks:
    """Both networks of a bundle; without a choice in INT8 on OpenVINO, on all cores that this process may use.

    Raises ModelUnusable and its kinds.
    """
    choice = choice or choose_engine("auto", "auto", 0)
    lungs, infection = (_load(bundle, name, choice) for name in ("lungs", "infection"))
    return LoadedNetworks(lungs, infection, bundle, choice)


def _load(bundle: Bundle, name: str, choice: EngineChoice) -> Network:
    data, contract = bundle.network(name, choice.stored_as)
    return Network(load_engine(data, choice), contract)


class KeptNetworks:
    """Networks that stay loaded from study to study, for as long as bundle, engine, precision and threads stay."""

    def __init__(self) -> None:
        self._kept: LoadedNetworks | None = None

    def load(
        self,
        folder: Path | None,
        engine: str,
        precision: str,
        threads: int,
        tuning: Tuning | None = None,
        proof: Proof | None = None,
    ) -> LoadedNetworks:
        """The networks of the bundle in a folder (None: the one that Scanside brings along).

        tuning: what was found fastest here; proof: what the last self-test here found. They decide where both engine
        and precision are "auto", while they hold. A bundle that was exchanged has another manifest, and its networks
        are loaded anew. Raises ModelUnusable and its kinds.
        """
        bundle = open_bundle(folder)
        if (engine, precision) != ("auto", "auto"):
            return self.take(bundle, choose_engine(engine, precision, threads))
        choice = preferred_way(bundle, threads, tuning)
        return self.take(bundle, proof.choice(choice) if proof is not None and proof.holds(bundle) else choice)

    def take(self, bundle: Bundle, choice: EngineChoice) -> LoadedNetworks:
        """The networks of a bundle in one way to compute. Raises ModelUnusable and its kinds."""
        if self._kept is None or _identity(self._kept.bundle, self._kept.choice) != _identity(bundle, choice):
            self._kept = load_networks(bundle, choice)
        return self._kept


def _identity(bundle: Bundle, choice: EngineChoice) -> tuple[Path, str, EngineChoice]:
    return bundle.folder, bundle.sha256, choice
