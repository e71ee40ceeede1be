"""The model: what is in force, whether it is whole, and whether this box computes what its maker computed."""

from __future__ import annotations

from pathlib import Path

from scanside_appliance.bundles.record import bundle_in_force, read_record
from scanside_appliance.doctor.conditions import Condition, Examined, caution, good, of_error
from scanside_appliance.files.owner import as_owner
from scanside_appliance.languages.words import Message, said
from scanside_appliance.proved import prove_box
from scanside_appliance.tuned import read_tuning
from scanside_runtime.errors import ScansideError
from scanside_runtime.model.bundle import Bundle, open_bundle
from scanside_runtime.model.signature import trusted_keys


def bundle(box: Examined) -> Condition:
    """Signature and hashes of the bundle in force."""
    try:
        with as_owner(box.layout.root):  # who may not be able to read what root may
            found = in_force(box)
            keys = trusted_keys(Path(box.settings.bundles.keys))
        found.verify()
        changes = read_record(box.layout.root).changes
    except ScansideError as error:
        return of_error("bundle", error)
    title, files = f"{found.title} {found.sha256[:12]}", len(found.manifest["files"])
    whole = said("{bundle}, {files} files whole, {keys} trusted key(s)", bundle=title, files=files, keys=len(keys.keys))
    for one in keys.unusable:
        found_so = said("{whole}; {code}: {error}", whole=whole, code=one.code, error=one)
        return caution("bundle", found_so, Message(one.advice))
    if changes and changes[-1].action == "put aside":
        aside = said("{whole}; another one was put aside: {why}", whole=whole, why=changes[-1].why)
        return caution("bundle", aside, said("Install it again, or a newer one."))
    return good("bundle", whole)


def in_force(box: Examined) -> Bundle:
    """Raises ModelUnusable, BundleRecordUnusable."""
    return open_bundle(bundle_in_force(box.layout.root, Path(box.settings.bundles.keys)))


def tuning(box: Examined) -> Condition:
    """Whether what computes here was found to be the fastest way, and still is what was measured."""
    found = read_tuning(box.layout.root)
    if found is None:
        return good("tuning", said("the default is used; scanside tune finds out whether another way is faster here"))
    way = said(
        "{engine} {precision}, {slabs} slab(s) side by side, of {moment}",
        engine=found.choice.name,
        precision=found.choice.precision,
        slabs=found.choice.streams,
        moment=found.at,
    )
    try:
        holds = found.holds(in_force(box), box.settings.inference.threads)
    except ScansideError as error:
        return of_error("tuning", error)
    if not holds:
        stale = said("{way}: processor, engines, bundle or threads have changed since; the default is used", way=way)
        return caution("tuning", stale, said("Run scanside tune while the box has no work."))
    return good("tuning", way)


def selftest(box: Examined) -> Condition:
    """The golden stacks, computed here as an analysis would."""
    try:
        proof = prove_box(box.layout.root, in_force(box), box.settings.inference.threads)
        way = proof.way()
    except ScansideError as error:
        return of_error("self-test", error)
    found = said(
        "lungs {lungs:.4f}, infection {infection:.4f} ({way})",
        lungs=way.lungs_dice,
        infection=way.infection_dice,
        way=f"{way.engine}, {way.computed_in}",
    )
    if proof.wrong:
        advice = said("Results are right, if slower. Memory or processor may be at fault: have the machine looked at.")
        return caution("self-test", said("{found}; wrong here: {why}", found=found, why=proof.why), advice)
    return good("self-test", found)
