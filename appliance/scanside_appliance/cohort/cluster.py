"""Studies on a Dask cluster that is there already: ours only hands it work, with the same function as on one box."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from distributed import Client, Future, KilledWorker, as_completed

from scanside_appliance.cohort.errors import BoxCluster, BoxWorkerDied
from scanside_appliance.cohort.processes import Answer
from scanside_appliance.cohort.rows import Row
from scanside_appliance.cohort.studies import CohortStudy
from scanside_appliance.cohort.work import Measure
from scanside_runtime.analysis.options import Options
from scanside_runtime.process.limits import MIB
from scanside_runtime.process.settle import one_opencv_thread
from scanside_runtime.process.system_calls import keep_freed

AHEAD = 4
"""Studies handed over for each thread of the cluster: enough to keep it busy, few enough for the scheduler's memory."""
KEPT_FREED_BYTES = 32 * MIB


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Dask scheduler, by its address (tcp://host:8786). Its workers must see the studies under the same paths."""

    address: str
    connect_s: float = 30.0

    def answers(
        self, measure: Measure, studies: Iterable[CohortStudy], options: Options
    ) -> Iterator[tuple[CohortStudy, Answer]]:
        """Every study once with its row, or the exception that it ended with, in the order in which they end.

        Dask gives the studies of a lost worker to another one; a study that lost several gets BoxWorkerDied.
        Raises BoxCluster where the scheduler can't be reached or has no worker.
        """
        rest = iter(studies)
        with self._client() as client:
            threads = sum(client.nthreads().values())
            if not threads:
                raise BoxCluster(address=self.address, why="it has no worker")
            under_way = {self._hand(client, measure, one, options): one for one in islice(rest, AHEAD * threads)}
            ended = as_completed(list(under_way), loop=client.loop)
            for future in ended:
                yield under_way.pop(future), _answer(future, self.address)
                future.release()
                for study in islice(rest, 1):
                    following = self._hand(client, measure, study, options)
                    under_way[following] = study
                    ended.add(following)

    def _client(self) -> Client:
        for name in (
            "distributed",
            "distributed.client",
            "tornado",
        ):  # they log tracebacks of what is said here in a line
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            return Client(self.address, timeout=self.connect_s, set_as_default=False)
        except (OSError, ValueError) as error:
            raise BoxCluster(address=self.address, why=str(error) or "no answer") from error

    def _hand(self, client: Client, measure: Measure, study: CohortStudy, options: Options) -> Future:
        return client.submit(_measured, measure, study, options, pure=False)


def _measured(measure: Measure, study: CohortStudy, options: Options) -> Row:
    """On a worker. Dask has it give freed memory back at once, which costs a study a sixth of its processor time."""
    keep_freed(KEPT_FREED_BYTES)
    one_opencv_thread()
    return measure(study, options)


def _answer(future: Future, address: str) -> Answer:
    if future.cancelled():
        raise BoxCluster(address=address, why="the scheduler was lost; the same command goes on from here")
    found: BaseException | None = future.exception()
    if isinstance(found, KilledWorker):
        return BoxWorkerDied(why="it took several workers of the cluster with it")
    if found is not None:
        return found
    row: Row = future.result()
    return row
