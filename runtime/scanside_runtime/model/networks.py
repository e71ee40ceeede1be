"""Both networks of a bundle on their engine, loaded once for as long as they can be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scanside_runtime.model.bundle import Bundle, open_bundle
from scanside_runtime.model.compiled import CompiledNetworks, key_of
from scanside_runtime.model.contract import ModelContract
from scanside_runtime.model.engine import Bytes, Engine, EngineChoice, OpenVinoEngine, choose_engine, load_engine
from scanside_runtime.model.proof import Proof, preferred_way
from scanside_runtime.model.tuning import Tuning
from scanside_runtime.process.system_calls import give_back_freed


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


def load_networks(
    bundle: Bundle, choice: EngineChoice | None = None, compiled: CompiledNetworks | None = None
) -> LoadedNetworks:
    """Both networks of a bundle; without a choice in INT8 on OpenVINO, on all cores that this process may use.

    compiled: where networks are found compiled, or left so for the next one. Raises ModelUnusable and its kinds.
    """
    choice = choice or choose_engine("auto", "auto", 0)
    key = "" if compiled is None else key_of(bundle, choice)
    found = {} if compiled is None else compiled.read(key) or {}
    networks = {name: _load(bundle, name, choice, found.get(name)) for name in ("lungs", "infection")}
    if compiled is not None:
        _leave_for_next(compiled, key, found, networks)
    return LoadedNetworks(**networks, bundle=bundle, choice=choice)


def _leave_for_next(
    compiled: CompiledNetworks, key: str, found: Mapping[str, Bytes], networks: Mapping[str, Network]
) -> None:
    """Keep what was compiled here, beside what was found."""
    engines = {name: one.engine for name, one in networks.items() if isinstance(one.engine, OpenVinoEngine)}
    made = {name: data for name, one in engines.items() if (data := one.newly_compiled()) is not None}
    if made:
        compiled.write(key, {**found, **made})
        made.clear()
        give_back_freed()  # 20 MB, which would stay below all that a study takes later


def _load(bundle: Bundle, name: str, choice: EngineChoice, compiled: Bytes | None) -> Network:
    data, contract = bundle.network(name, choice.stored_as)
    return Network(load_engine(data, choice, compiled), contract)


class KeptNetworks:
    """Networks that stay loaded from study to study, for as long as bundle, engine, precision and threads stay.

    compiled: where networks are found compiled, or left so for the next process; without it each compiles its own.
    """

    def __init__(self, compiled: CompiledNetworks | None = None) -> None:
        self._kept: LoadedNetworks | None = None
        self._compiled = compiled

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
            self._kept = load_networks(bundle, choice, self._compiled)
        return self._kept


def _identity(bundle: Bundle, choice: EngineChoice) -> tuple[Path, str, EngineChoice]:
    return bundle.folder, bundle.sha256, choice
