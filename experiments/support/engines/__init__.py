"""Workers on this machine, a Ray cluster or a Slurm cluster: started, watched and ended alike."""

from experiments.support.engines.contract import NUMBER_VARIABLE, Engine, Worker
from experiments.support.engines.creation import ENGINES, create_engine
from experiments.support.engines.waiting import end, wait_for

__all__ = ["ENGINES", "NUMBER_VARIABLE", "Engine", "Worker", "create_engine", "end", "wait_for"]
