"""Studies on all cores of one box: a process each, so that a study that kills its process takes no other with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice

from scanside_appliance.cohort.errors import BoxWorkerDied
from scanside_appliance.cohort.pool import process_pool
from scanside_appliance.cohort.rows import Row
from scanside_appliance.cohort.studies import CohortStudy
from scanside_appliance.cohort.work import Measure
from scanside_runtime.analysis.options import Options

Answer = Row | BaseException


@dataclass(frozen=True, slots=True)
class Processes:
    """`count` processes of this box."""

    count: int

    def answers(
        self, measure: Measure, studies: Iterable[CohortStudy], options: Options
    ) -> Iterator[tuple[CohortStudy, Answer]]:
        """Every study once with its row, or the exception that it ended with, in the order in which they end.

        Where a process dies, it can't be told which study killed it: each that was under way is then done by itself.
        """
        rest = iter(studies)
        while True:
            suspects: list[CohortStudy] = []
            yield from self._until_broken(measure, rest, options, suspects)
            if not suspects:
                return
            for study in suspects:
                yield study, _alone(measure, study, options)

    def _until_broken(
        self, measure: Measure, rest: Iterator[CohortStudy], options: Options, suspects: list[CohortStudy]
    ) -> Iterator[tuple[CohortStudy, Answer]]:
        """A few studies ahead of the processes; `suspects` takes those that were under way when one died."""
        under_way: dict[Future[Row], CohortStudy] = {}
        with process_pool(self.count) as pool:
            try:
                while not suspects:
                    for study in islice(rest, 2 * self.count - len(under_way)):
                        suspects.append(study)  # until the pool has it: a broken one takes no study
                        future = pool.submit(measure, study, options)
                        under_way[future] = suspects.pop()
                    if not under_way:
                        return
                    for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                        answer = done.exception() or done.result()
                        if isinstance(answer, BrokenProcessPool):
                            suspects.extend(under_way.values())
                            break
                        yield under_way.pop(done), answer
            except BrokenProcessPool:  # it broke between two studies
                suspects.extend(under_way.values())
            except KeyboardInterrupt:
                yield from _last_answers(under_way)
                raise
            finally:
                pool.shutdown(wait=not suspects, cancel_futures=True)


def _last_answers(under_way: dict[Future[Row], CohortStudy]) -> Iterator[tuple[CohortStudy, Answer]]:
    """What was begun is waited for; what was not is left for the next run."""
    begun = [(future, study) for future, study in under_way.items() if not future.cancel()]
    for future, study in begun:
        yield study, future.exception() or future.result()


def _alone(measure: Measure, study: CohortStudy, options: Options) -> Answer:
    """One study in a process of its own."""
    with process_pool(1) as pool:
        future = pool.submit(measure, study, options)
        found = future.exception()
    if isinstance(found, BrokenProcessPool):
        return BoxWorkerDied(why="twice, the second time alone")
    return found or future.result()
