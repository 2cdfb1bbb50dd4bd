"""Events of a trainer beyond Ignite's own."""

from ignite.engine import EventEnum


class TrainingEvents(EventEnum):
    """Fired by handlers on the trainer.

    LOGGED: `engine.state.scalars` holds the averages of the last interval, plain floats.
    VALIDATED: `engine.state.validation` holds the held-out images' figures, plain floats.
    """

    LOGGED = "logged"
    VALIDATED = "validated"
