"""Content and adversarial losses; each in its own module, imported where it is needed."""

from tmd.losses import artifacts, colour, dists, frequency, similarity

__all__ = ["artifacts", "colour", "dists", "frequency", "similarity"]
