"""Workers as processes of ours: started, watched and ended alike wherever they run."""

from experiments.support.engines.contract import NUMBER_VARIABLE, Engine, Worker
from experiments.support.engines.creation import ENGINES, create_engine
from experiments.support.engines.waiting import end, wait_for

__all__ = ["ENGINES", "NUMBER_VARIABLE", "Engine", "Worker", "create_engine", "end", "wait_for"]
