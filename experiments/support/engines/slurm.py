"""Workers as jobs of a Slurm cluster, by submitit; or as its local executor starts them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.support.engines.contract import Worker, output_file, travelling
from experiments.support.engines.process import Process
from tmd.errors import UserError, check_choice, check_number

#: A job that has used up its time is queued again, as often as this.
REQUEUES = 100
#: Exit code of a worker whose job ended without one: killed, or its machine lost.
LOST = -9


class WorkerJob:
    """A worker within its job, which submitit pickles, calls there, and queues again.

    A file beside the worker's output asks it to end: signals would have to find their way through
    Slurm, submitit and what it calls.

    Args:
        command: the worker's.
        env: variables beside the job's own.
        output: file that gets what the worker prints.
        folder: to run in.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], output: Path, folder: Path
    ) -> None:
        self.command, self.env, self.output, self.folder = list(command), env, output, folder
        self.process: Process | None = None

    @property
    def stop_file(self) -> Path:
        """File whose being there asks the worker to end."""
        return self.output.with_suffix(".stop")

    def __call__(self) -> int:
        """Run the worker to its end; its exit code."""
        self.process = Process(self.command, self.env, self.output, self.folder)
        while (code := self.process.poll()) is None:
            if self.stop_file.exists():
                return self.process.end()
            time.sleep(0.5)
        return code

    def checkpoint(self) -> Any:
        """End the worker, as the job's time is over or its machine is wanted; queue it again."""
        from submitit.helpers import DelayedSubmission

        if self.process is not None:
            self.process.end()
        return DelayedSubmission(WorkerJob(self.command, self.env, self.output, self.folder))


class SlurmWorker:
    """See `experiments.support.engines.contract.Worker`.

    Args:
        number: from 1.
        job: submitit's.
        work: what it calls.
    """

    def __init__(self, number: int, job: Any, work: WorkerJob) -> None:
        self.number = number
        self.output = work.output
        self.place = f"job {job.job_id}"
        self._job, self._work = job, work
        self._code: int | None = None

    def poll(self) -> int | None:
        """Exit code; None while the job waits or runs."""
        if self._code is None and self._job.done():
            try:
                self._code = int(self._job.result())
            except Exception:  # submitit's, of several types, and what the job raised
                self._code = LOST
            self._work.stop_file.unlink(missing_ok=True)
        return self._code

    def terminate(self) -> None:
        """Ask it to end, by a file that its job looks for."""
        if self.poll() is None:
            self._work.stop_file.touch()

    def kill(self) -> None:
        """Cancel the job."""
        if self.poll() is None:
            self._job.cancel(check=False)


class SlurmEngine:
    """See `experiments.support.engines.contract.Engine`.

    Args:
        partition: Slurm's; None: the cluster's default.
        account: Slurm's; None: the user's default.
        time: minutes that a job may take; one that has not ended is queued again.
        cpus: of each worker.
        gpus: of each worker.
        memory: GB of each worker; None: the cluster's default.
        cluster: ``slurm``, or ``local``: submitit's executor on this machine.

    Raises:
        UserError: an option can't be.
    """

    def __init__(
        self,
        partition: str | None = None,
        account: str | None = None,
        time: int = 24 * 60,
        cpus: int = 1,
        gpus: int = 0,
        memory: float | None = None,
        cluster: str = "slurm",
    ) -> None:
        check_number("engine_options.time", time, 2, integer=True)
        check_number("engine_options.cpus", cpus, 1, integer=True)
        check_number("engine_options.gpus", gpus, 0, integer=True)
        if memory is not None:
            check_number("engine_options.memory", memory, above=0)
        check_choice("engine_options.cluster", cluster, ("slurm", "local"))
        self.cluster, self.cpus = cluster, cpus
        given = {"slurm_partition": partition, "slurm_account": account, "mem_gb": memory}
        self.parameters: dict[str, Any] = {
            "name": "tmd",
            "timeout_min": time,
            "cpus_per_task": cpus,
            "gpus_per_node": gpus,
            **{key: value for key, value in given.items() if value is not None},
        }

    def start(
        self, command: Sequence[str], count: int, env: Mapping[str, str], folder: Path
    ) -> list[Worker]:
        """Submit a job for each of ``count`` workers."""
        import submitit

        started: list[Worker] = []
        try:
            executor = submitit.AutoExecutor(
                folder / "jobs", cluster=self.cluster, slurm_max_num_timeout=REQUEUES
            )
            executor.update_parameters(**self.parameters)
            for number in range(1, count + 1):
                variables = travelling({"OMP_NUM_THREADS": str(self.cpus), **env}, number)
                output = output_file(folder, os.getpid(), number)
                work = WorkerJob(command, variables, output, Path.cwd())
                started.append(SlurmWorker(number, executor.submit(work), work))
        except Exception as problem:  # submitit's are of several types; sbatch's are among them
            for worker in started:
                worker.kill()
            raise UserError(f"engine=slurm: {_in_a_line(problem)}") from None
        return started

    def close(self) -> None:
        """Nothing: Slurm keeps the jobs."""


def _in_a_line(problem: Exception) -> str:
    return " ".join(str(problem).split()) or type(problem).__name__
