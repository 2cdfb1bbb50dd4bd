"""Capture of an update that broke: its batches, draws and states in one file, to be made again.

A loss that is not finite is noticed at a log point, when what followed has spoilt the state. So now
and then a good state is kept, in memory. From the last one the updates are made again, quietly:
being pure functions of the state and the batch's number, they break at the same place. That costs
nothing until it happens.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from tmd.training.engines import engine_again
from tmd.training.state import TrainingState, copied_to_cpu
from tmd.training.steps import all_finite

#: Updates between two good states: copying one takes as long as a part of one update.
EVERY = 200


class LastGood:
    """The last state known to be good, and the number of updates it is of; attach it last.

    Args:
        state: all that changes.
        log_interval: iterations between two checks of the losses.

    Attributes:
        iteration: updates made; None before the run starts.
    """

    def __init__(self, state: TrainingState, log_interval: int) -> None:
        self.state = state
        self.every = log_interval * math.ceil(EVERY / log_interval)
        self.iteration: int | None = None
        self.parts: dict[str, Any] = {}
        self.random = torch.get_rng_state()

    def attach(self, trainer: Engine) -> None:
        """Keep one at the start, and after log points, where the losses have just been checked."""
        trainer.add_event_handler(Events.STARTED, self.keep)
        trainer.add_event_handler(Events.ITERATION_COMPLETED(every=self.every), self.keep)

    def keep(self, trainer: Engine) -> None:
        """Keep the present state, if its networks are finite."""
        parts = [part for part in self.state.parts.values() if isinstance(part, nn.Module)]
        if all(all_finite(part.state_dict().values()) for part in parts):
            self.iteration = trainer.state.iteration
            self.parts = self.state.snapshot()
            self.random = torch.get_rng_state()


class Broken(NamedTuple):
    """An update that broke.

    Attributes:
        iteration: its number.
        parts: all states before it, by name.
        random: the state of torch's own generator before it.
        groups: what the trainer got: batches, nested.
        output: the scalars it gave.
    """

    iteration: int
    parts: dict[str, Any]
    random: Tensor
    groups: Any
    output: dict[str, Tensor]

    def contents(self, **more: Any) -> dict[str, Any]:
        """Entries of a file besides the states."""
        return {
            "iteration": self.iteration,
            "random": self.random,
            "groups": copied_to_cpu(self.groups),
            "output": copied_to_cpu(self.output),
            **more,
        }


def made_again(
    trainer: Engine,
    handlers: Iterable[Any],
    good: LastGood,
    groups: Iterator[Any],
    last: int,
    stop: Any = None,
) -> Broken | None:
    """The first update that breaks when those after the last good state are made again.

    Args:
        trainer: whose steps are made, on an engine of their own.
        handlers: that change the state, or what a step finds on the engine.
        good: the state to begin with.
        groups: the data from there on.
        last: the update to give up after.
        stop: () -> whether somebody wants it to end; asked before each.

    Returns:
        The update; None: all are finite, this time.
    """
    assert good.iteration is not None
    state = good.state
    state.load(good.parts)
    torch.set_rng_state(good.random)
    engine = quiet_engine(trainer, handlers, good.iteration)
    networks = [part for part in state.parts.values() if isinstance(part, nn.Module)]
    for group in groups:
        if engine.state.iteration >= last or (stop is not None and stop()):
            return None
        before, random = state.snapshot(), torch.get_rng_state()
        output = make_update(engine, group)
        weights = (value for network in networks for value in network.state_dict().values())
        if not all_finite([*output.values(), *weights]):
            return Broken(engine.state.iteration, before, random, group, output)
        engine.fire_event(Events.ITERATION_COMPLETED)
    return None


def quiet_engine(trainer: Engine, handlers: Iterable[Any], iteration: int) -> Engine:
    """An engine of the same steps that nobody watches, after ``iteration``."""
    engine = engine_again(trainer)
    engine.state.iteration = iteration
    for handler in handlers:
        if hasattr(handler, "attach"):
            handler.attach(engine)
    return engine


def make_update(engine: Engine, group: Any) -> dict[str, Tensor]:
    """Scalars of the next update of a quiet engine."""
    engine.state.iteration += 1
    engine.fire_event(Events.ITERATION_STARTED)
    engine.state.output = engine.step(engine, group)
    return engine.state.output


def not_finite(output: Mapping[str, Tensor]) -> list[str]:
    """The scalars that are not finite, as ``name=value``."""
    values = {name: float(value) for name, value in output.items()}
    return [f"{name}={value}" for name, value in values.items() if not math.isfinite(value)]


def same_bits(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """True where both hold the same scalars to the bit, those that are no numbers too."""
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype and a[name].numpy().tobytes() == b[name].numpy().tobytes()
        for name in a
    )


class Watch:
    """The first tensors that are not finite within an update: inputs, layers' outputs, gradients.

    Args:
        networks: by name; the loss's own among them.

    Attributes:
        found: what there was, in order, in words; of several, the first of each kind.
    """

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        self.networks = networks
        self.found: dict[str, str] = {}
        self._hooks: list[Any] = []

    def __enter__(self) -> Watch:
        for name, network in self.networks.items():
            for path, layer in network.named_modules():
                where = f"{name}.{path}" if path else name
                self._hooks.append(layer.register_forward_hook(self._outputs(where, layer)))
            for path, parameter in network.named_parameters():
                self._note("weight", f"the weight {name}.{path}", parameter)
                if parameter.requires_grad:
                    hook = self._gradient(f"{name}.{path}")
                    self._hooks.append(parameter.register_post_accumulate_grad_hook(hook))
        return self

    def __exit__(self, *exception: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def inputs(self, group: Any) -> None:
        """Look at an update's images."""
        for tensor in _tensors(group):
            self._note("input", "the batch", tensor)

    def weights(self) -> None:
        """Look at the weights that an update has left."""
        for name, network in self.networks.items():
            for path, parameter in network.named_parameters():
                self._note("updated", f"the weight {name}.{path} after the update", parameter)

    def _outputs(self, where: str, layer: nn.Module) -> Any:
        def look(_layer: nn.Module, _inputs: Any, outputs: Any) -> None:
            for tensor in _tensors(outputs):
                self._note("output", f"the output of {where} ({type(layer).__name__})", tensor)

        return look

    def _gradient(self, where: str) -> Any:
        def look(parameter: Tensor) -> None:
            if parameter.grad is not None:
                self._note("gradient", f"the gradient of {where}", parameter.grad)

        return look

    def _note(self, kind: str, what: str, tensor: Tensor) -> None:
        if kind in self.found or not tensor.is_floating_point():
            return
        broken = int((~tensor.detach().isfinite()).sum())
        if broken:
            self.found[kind] = f"{what}: {broken} of {tensor.numel()} numbers are not finite"


def _tensors(nested: Any) -> Iterator[Tensor]:
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, Mapping):
        for each in nested.values():
            yield from _tensors(each)
    elif isinstance(nested, Sequence) and not isinstance(nested, str):
        for each in nested:
            yield from _tensors(each)
