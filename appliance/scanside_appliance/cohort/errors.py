"""Why many studies can't be analysed together."""

from __future__ import annotations

from scanside_runtime.errors import BoxFailed


class BoxWorkerDied(BoxFailed):
    """The process that analysed the study ended without an answer ({why})."""

    code = "BOX_WORKER_DIED"
    advice = "Analyse the study by itself with scanside analyze; if that ends as well, report it and keep the study."


class BoxWorkerDiffers(BoxFailed):
    """The worker that analysed the study has another model bundle ({bundle}) than the box that hands out the studies."""

    code = "BOX_WORKER_DIFFERS"
    advice = "Install the same Scanside and the same bundle on every worker, then run the same command again."


class BoxCluster(BoxFailed):
    """The Dask cluster at {address} can't be used: {why}."""

    code = "BOX_CLUSTER"
    advice = "Check the address, and that every worker has the same Scanside and sees the same folders."
