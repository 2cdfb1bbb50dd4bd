"""Workers on this machine, each with its share of the cores and GPUs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.support.engines.contract import NUMBER_VARIABLE, Engine, Worker, output_file
from experiments.support.engines.process import Process
from tmd.errors import UserError


class LocalWorker(Process):
    """See `experiments.support.engines.contract.Worker`."""

    def __init__(
        self, number: int, command: Sequence[str], env: Mapping[str, str], output: Path
    ) -> None:
        super().__init__(command, env, output)
        self.number = number
        self.output = output
        self.place = f"pid {self.pid}"


class LocalEngine:
    """See `experiments.support.engines.contract.Engine`."""

    def start(
        self, command: Sequence[str], count: int, env: Mapping[str, str], folder: Path
    ) -> list[Worker]:
        """Start ``count`` workers, the cores and GPUs shared out among them."""
        cores, gpus = available_cores(), visible_gpus()
        started: list[Worker] = []
        try:
            for number in range(1, count + 1):
                variables = {**share(number, count, cores, gpus), NUMBER_VARIABLE: str(number)}
                output = output_file(folder, os.getpid(), number)
                started.append(LocalWorker(number, command, {**variables, **env}, output))
        except OSError as problem:
            for worker in started:
                worker.kill()
            raise UserError(f"a worker can't be started: {problem}") from None
        return started

    def close(self) -> None:
        """Nothing: there is nobody to part from."""


def variables_in_place_of(engine: Engine, number: int, count: int) -> dict[str, str]:
    """Variables of a worker that takes the place of one that has ended.

    Args:
        engine: that starts it.
        number: of the one that has ended, from 1 to ``count``.
        count: of workers that were started together.
    """
    variables = {NUMBER_VARIABLE: str(number)}
    if isinstance(engine, LocalEngine):
        variables.update(share(number, count, available_cores(), visible_gpus()))
    return variables


def share(number: int, count: int, cores: int, gpus: Sequence[str]) -> dict[str, str]:
    """Variables that give a worker its part of a machine; none for one worker, which has it all.

    Args:
        number: the worker's, from 1 to ``count``.
        cores: number of cores.
        gpus: names as CUDA_VISIBLE_DEVICES has them; where there are fewer than workers, some
            workers share one.

    Example:
        >>> share(2, 2, 8, ["0", "1", "2", "3"])
        {'OMP_NUM_THREADS': '4', 'CUDA_VISIBLE_DEVICES': '2,3'}
        >>> share(3, 3, 2, ["0", "1"])
        {'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': '0'}
    """
    if count == 1:
        return {}
    variables = {"OMP_NUM_THREADS": str(max(1, cores // count))}
    if gpus:
        first, end = (number - 1) * len(gpus) // count, number * len(gpus) // count
        mine = gpus[first:end] if len(gpus) >= count else [gpus[(number - 1) % len(gpus)]]
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(mine)
    return variables


def available_cores() -> int:
    """Number of cores that this process may use, or as many as OMP_NUM_THREADS says."""
    if (said := os.environ.get("OMP_NUM_THREADS", "")).isdigit():
        return int(said)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """GPUs that this process sees, as CUDA_VISIBLE_DEVICES names them."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in named.split(",") if name]
    if sys.platform == "darwin":
        return []
    import torch  # takes a second, which nobody need wait for before workers are started

    return [str(number) for number in range(torch.cuda.device_count())]
