"""Why a model bundle can't be used."""

from __future__ import annotations

from scanside_runtime.errors import ModelUnusable


class ModelBundleMissing(ModelUnusable):
    """There is no model bundle at {folder}: {why}."""

    code = "MODEL_BUNDLE_MISSING"
    advice = "Install a model bundle, or name its folder with --bundle."


class ModelBundleDamaged(ModelUnusable):
    """The file {name} of the model bundle is not what the manifest says: {why}."""

    code = "MODEL_BUNDLE_DAMAGED"
    advice = "Install the model bundle again from its source; do not use this copy."


class ModelNeedsNewer(ModelUnusable):
    """The model bundle {title} needs Scanside {minimum} or newer; this is {version}."""

    code = "MODEL_NEEDS_NEWER"
    advice = "Update Scanside, or install a bundle that was made for this version."


class ModelUntrusted(ModelUnusable):
    """Nobody whom this box trusts vouches for the model bundle: {why}."""

    code = "MODEL_UNTRUSTED"
    advice = (
        "Do not use this copy. Get the bundle again from its maker; a new public key comes from its maker too, by "
        "another way than the bundle, and belongs into the folder that the setting bundles.keys names."
    )


class ModelKeyRights(ModelUnusable):
    """The key {path} can't be read by the user {user}: {why}. As root: `{command}`."""

    code = "MODEL_KEY_RIGHTS"
    advice = "Give that command; then go on with what needed the key. Until then it vouches for no bundle."


class ModelKeyUnusable(ModelUnusable):
    """The key {path} can't be used: {why}."""

    code = "MODEL_KEY_UNUSABLE"
    advice = "Copy its maker's public key there once more, or remove the file. Until then it vouches for no bundle."


class ModelFileUnsafe(ModelUnusable):
    """The network {name} is not accepted: {why}."""

    code = "MODEL_FILE_UNSAFE"
    advice = "Use a bundle that was made by scanside-export."


class ModelWithoutContract(ModelUnusable):
    """The network {name} does not say what it was trained on: {why}."""

    code = "MODEL_WITHOUT_CONTRACT"
    advice = "Export the network again with scanside-export."


class ModelPrecision(ModelUnusable):
    """Precision {precision} is not to be had with {engine} on this processor: {why}."""

    code = "MODEL_PRECISION"
    advice = "Leave --precision out, or choose int8 or fp32."


class ModelEngine(ModelUnusable):
    """The engine {engine} can't run the network: {why}."""

    code = "MODEL_ENGINE"
    advice = "Try the other engine with --engine; if both fail, install Scanside again."


class ModelSelfTest(ModelUnusable):
    """The self-test of the networks failed: {why}."""

    code = "MODEL_SELFTEST"
    advice = (
        "Run scanside bundle verify; try --engine onnxruntime or --precision fp32. If the test fails all the same, "
        "do not use this box."
    )
