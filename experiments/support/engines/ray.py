"""Workers in a Ray cluster: of an address, or one that is made on this machine."""

from __future__ import annotations

import logging
import math
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.support.engines import process
from experiments.support.engines.contract import Worker, output_file, travelling
from experiments.support.engines.local import available_cores
from experiments.support.engines.process import Process
from tmd.errors import UserError, check_number

#: Exit code of a worker whose machine, or Ray's process there, was lost.
LOST = -9
#: Seconds to wait for a place in the cluster before the workers are told of.
PATIENCE = 30.0
#: Ray gives itself half a minute to begin, which is too short on a machine that is very busy.
STARTS = 3


class Keeper:
    """Ray's actor beside a worker: starts it where Ray has a place, and waits for it there.

    Args:
        The arguments: see `Process`.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], output: Path, folder: Path
    ) -> None:
        output.parent.mkdir(parents=True, exist_ok=True)
        self.process = Process(command, env, output, folder)

    def place(self) -> str:
        """The worker's process and machine, for people."""
        return f"pid {self.process.pid} on {socket.gethostname()}"

    def wait(self) -> int:
        """Exit code, when it has ended."""
        while (code := self.process.poll()) is None:
            time.sleep(0.2)
        return code

    def terminate(self) -> None:
        """Ask it to end, by SIGTERM."""
        self.process.terminate()

    def kill(self) -> None:
        """End it and what it started."""
        self.process.kill()


class RayWorker:
    """See `experiments.support.engines.contract.Worker`.

    Args:
        number: from 1.
        keeper: handle of a `Keeper`.
        output: file that has what the worker prints.
    """

    place = "waits for a place in the Ray cluster"

    def __init__(self, number: int, keeper: Any, output: Path) -> None:
        self.number = number
        self.output = output
        self._keeper = keeper
        self._end = keeper.wait.remote()
        self._code: int | None = None

    def poll(self) -> int | None:
        """Exit code; None while the worker runs or waits for its place."""
        import ray

        if self._code is None and ray.wait([self._end], timeout=0)[0]:
            try:
                self._code = int(ray.get(self._end))
            except ray.exceptions.RayError:
                self._code = LOST
            ray.kill(self._keeper)  # its place is another's
        return self._code

    def terminate(self) -> None:
        """Ask it to end, by SIGTERM."""
        if self.poll() is None:
            self._keeper.terminate.remote()

    def kill(self) -> None:
        """End it and what it started, and its keeper."""
        import ray

        if self.poll() is None:
            ray.wait([self._keeper.kill.remote()], timeout=5)
            ray.kill(self._keeper)


class RayEngine:
    """See `experiments.support.engines.contract.Engine`.

    Args:
        address: of the cluster, ``10.0.0.1:6379`` say; None: RAY_ADDRESS or, without it, a cluster
            on this machine that ends with the workers.
        cpus: of each worker.
        gpus: of each worker, parts of one as well; None: one, or less where the cluster has fewer.

    Raises:
        UserError: an option can't be.
    """

    def __init__(
        self, address: str | None = None, cpus: float = 1, gpus: float | None = None
    ) -> None:
        if address is not None and not isinstance(address, str):
            raise UserError(f"engine_options.address={address!r}: must be HOST:PORT")
        check_number("engine_options.cpus", cpus, above=0)
        if gpus is not None:
            check_number("engine_options.gpus", gpus, 0)
        self.address = address or os.environ.get("RAY_ADDRESS")
        self.cpus, self.gpus = cpus, gpus

    def start(
        self, command: Sequence[str], count: int, env: Mapping[str, str], folder: Path
    ) -> list[Worker]:
        """Start ``count`` workers; those for which the cluster has no place yet wait for one."""
        ray = self._connected(count)
        gpus = self.gpus
        if gpus is None:
            gpus = min(1.0, ray.cluster_resources().get("GPU", 0) / count)
        # By value, so that Ray's processes need not find this project.
        for module in (process, sys.modules[__name__]):
            ray.cloudpickle.register_pickle_by_value(module)
        keeper = ray.remote(Keeper).options(num_cpus=self.cpus, num_gpus=gpus, max_concurrency=4)
        workers = []
        keepers = []
        for number in range(1, count + 1):
            output = output_file(folder, os.getpid(), number)
            variables = travelling(env, number)
            keepers.append(keeper.remote(list(command), variables, output, Path.cwd()))
            workers.append(RayWorker(number, keepers[-1], output))
        _tell_places(workers, keepers)
        return list(workers)

    def _connected(self, count: int) -> Any:
        """Ray, connected to its cluster; one that is made here has a place for each worker."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"address": self.address}
        if self.address is None:
            # Ray's name of it: only so does a cluster of one machine listen to that machine alone.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
            cores = max(available_cores(), math.ceil(count * self.cpus))
            options = {"address": "local", "num_cpus": cores, "include_dashboard": False}
        import ray

        if ray.is_initialized():
            return ray
        for tries_left in reversed(range(STARTS)):
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
                break
            except Exception as problem:  # of many types, some of them its own
                ray.shutdown()
                if tries_left and "timed out during startup" in str(problem):
                    continue
                said = " ".join(str(problem).split())
                raise UserError(f"engine=ray, address {options['address']}: {said}") from None
        return ray

    def close(self) -> None:
        """Part from the cluster, and end it where it was made here."""
        import ray

        ray.shutdown()


def _tell_places(workers: Sequence[RayWorker], keepers: Sequence[Any]) -> None:
    import ray

    asked = [keeper.place.remote() for keeper in keepers]
    there, _ = ray.wait(asked, num_returns=len(asked), timeout=PATIENCE)
    for worker, answer in zip(workers, asked, strict=True):
        if answer in there:
            try:
                worker.place = ray.get(answer)
            except ray.exceptions.RayError as problem:
                said = str(problem).splitlines()[-1]
                raise UserError(f"engine=ray: a worker can't be started: {said}") from None
