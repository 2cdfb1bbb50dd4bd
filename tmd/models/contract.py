"""Contract of a generator: the facts about it that training, tiling and exports go by."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

#: Types in which a whole network may run.
DTYPES = ("float32", "float64", "bfloat16", "float16")


@dataclass(frozen=True)
class GeneratorContract:
    """Properties of a generator that hold whatever its weights are.

    Attributes:
        scale: SR pixels per LR pixel.
        channels: of the images.
        receptive_field: radius in LR pixels; what is further away has no influence on an SR pixel.
            None: every pixel may have one (statistics or attention of the whole image).
        multiple: side in LR pixels of the grid on which the network works (attention windows). An
            image of any size may be given; a part of one gives the same pixels where it begins on
            the grid.
        minimum_size: least side in LR pixels of what it is trained on; a smaller image is padded.
        minimum_batch: least number of images that it is trained on at once (batch normalisation of
            vectors needs two).
        dtypes: names of the types in which the whole network, weights included, was found to run.
        half_precision: names of the types in which it was found to be right under autocast. Both
            were found by trying, with fresh weights (`tests/models/test_published.py`).
    """

    scale: int
    channels: int
    receptive_field: int | None
    multiple: int = 1
    minimum_size: int = 1
    minimum_batch: int = 1
    dtypes: tuple[str, ...] = DTYPES
    half_precision: tuple[str, ...] = ("bfloat16", "float16")


def contract_of(generator: nn.Module) -> GeneratorContract:
    """Contract of a generator of `create_generator`, or of any module that says a little of itself.

    Args:
        generator: has ``contract``, or else ``scale`` and, where they differ from three channels
            and no limit, ``channels`` and ``receptive_field``.
    """
    declared = getattr(generator, "contract", None)
    if isinstance(declared, GeneratorContract):
        # What a caller sets on the module is what it means.
        return declared
    radius = getattr(generator, "receptive_field", None)
    return GeneratorContract(
        scale=int(generator.scale),  # type: ignore[arg-type]
        channels=int(getattr(generator, "channels", 3)),  # type: ignore[arg-type]
        receptive_field=None if radius is None else int(radius),  # type: ignore[arg-type]
    )
