"""Metrics and other recorded values by name: label, unit, digits, direction, range.

Whoever prints, draws, lists or compares a recorded value asks here. Imports neither torch nor
Ignite, so that a list of runs opens at once.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tmd.registry import Registry

F = TypeVar("F", bound=Callable[..., Any])

#: Key of a run's info under which `described` lies.
INFO_KEY = "metrics_meta"

BICUBIC = "bicubic_"


@dataclass(frozen=True)
class Metric:
    """A recorded value: a metric of images, a loss, a speed.

    Attributes:
        name: its key in a record, without the group (``train``, ``validation``).
        label: as people write it.
        unit: ``dB``, ``images/s``, or nothing.
        decimals: after the point; None for four significant digits.
        higher_is_better: None where neither direction is better.
        range: of the values that there can be.
        short: label where there is little room; by default the label.

    Example:
        >>> metric("validation.psnr").text(28.4305)
        '28.43'
    """

    name: str
    label: str = ""
    unit: str = ""
    decimals: int | None = None
    higher_is_better: bool | None = None
    range: tuple[float, float] = (-math.inf, math.inf)
    short: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", self.label or self.name)
        object.__setattr__(self, "short", self.short or self.label)

    def text(self, value: float, unit: bool = False) -> str:
        """``value`` with the digits that mean something, and the unit if asked for."""
        digits = f"{value:.4g}" if self.decimals is None else f"{value:.{self.decimals}f}"
        return f"{digits} {self.unit}" if unit and self.unit else digits

    def gain(self, value: float, over: float) -> float:
        """Difference to ``over``, positive where ``value`` is the better one.

        Raises:
            ValueError: neither direction is better.
        """
        if self.higher_is_better is None:
            raise ValueError(f"{self.name}: neither direction is better")
        return value - over if self.higher_is_better else over - value


@dataclass(frozen=True)
class Needs:
    """Requirements of a metric, beside SR.

    Attributes:
        hr: the HR image.
        lr: the LR image that SR was made from.
        whole_set: all images of a set at once, of which it gives one value.
        minimum: least side in pixels of what is compared.
        channels: those that it sees: ``any``; ``shown``, the one or three that an image is shown
            by; ``several``, two or more.
        border: it leaves out the border that the field leaves out.
        levels: it takes images of 8 bits as they are, which spares memory.
        each_band: a single band has it, too.
        weights: files that no package brings, in words.
        package: the module that computes it, imported only then.
        extra: of setup.cfg, which brings the package.

    Example:
        >>> Needs(package="no_such_module", extra="iqa").missing_package()
        "needs no_such_module; pip install 'tmd[iqa]' brings it"
    """

    hr: bool = True
    lr: bool = False
    whole_set: bool = False
    minimum: int = 1
    channels: str = "any"
    border: bool = False
    levels: bool = False
    each_band: bool = False
    weights: str = ""
    package: str = ""
    extra: str = ""

    def missing_package(self) -> str:
        """The package that is not installed and what brings it; nothing where none is missing."""
        if not self.package or importlib.util.find_spec(self.package) is not None:
            return ""
        named = f"tmd[{self.extra}]" if self.extra else self.package
        return f"needs {self.package}; pip install '{named}' brings it"

    def of_images(self) -> tuple[str, ...]:
        """The images that the function is given after SR: ``hr``, ``lr``, both or none."""
        return tuple(name for name in ("hr", "lr") if getattr(self, name))


#: Those of a plain function (SR, HR).
NONE = Needs()

#: Between a metric and the convention by which it is computed: ``psnr@basicsr``.
BY = "@"


def _known() -> dict[str, Metric]:
    up, down, ratio = True, False, (0.0, 1.0)
    loss = (0.0, math.inf)
    metrics = (
        Metric("psnr", "PSNR", "dB", 2, up, (0, 100)),
        Metric("ssim", "SSIM", "", 4, up, (-1, 1)),
        Metric("lpips", "LPIPS", "", 4, down, loss),
        Metric("lpips_alex", "LPIPS-alex", "", 3, down, loss),
        Metric("lpips_vgg", "LPIPS-vgg", "", 3, down, loss),
        Metric("spectral", "spectral", "dB", 2, down, loss),
        Metric("sam", "SAM", "°", 3, down, (0, 180)),
        Metric("ergas", "ERGAS", "", 3, down, loss),
        Metric("score", "score", "", 4, down),
        Metric("consistency", "consistency", "dB", 2, up, (0, 100)),
        Metric("pixel", "pixel loss", "", None, down, loss, "pixel"),
        Metric("content", "content loss", "", None, down, loss, "content"),
        Metric("reconstruction", "reconstruction loss", "", None, down, loss),
        # What two networks play for: a lower loss of one is no better image.
        Metric("loss_g", "loss of G", short="G"),
        Metric("loss_d", "loss of D", short="D"),
        Metric("adversarial", "adversarial loss of G"),
        Metric("adversarial_measured", "adversarial loss of G, measured"),
        Metric("penalty", "gradient penalty", range=loss),
        Metric("d_real", "D(real)", range=ratio),
        Metric("d_fake", "D(fake)", range=ratio),
        Metric("adv_weight", "adversarial weight", range=loss),
        Metric("lr_g", "learning rate of G", range=loss),
        Metric("lr_d", "learning rate of D", range=loss),
        Metric("images_per_second", "training speed", "images/s", 1, up, loss),
        Metric("best_iteration", "iteration of the best state", "", 0),
    )
    return {each.name: each for each in metrics}


_METRICS = _known()

#: Functions (SR, HR, ...) -> (N,) by name; see `register` and `tmd.metrics.metric_function`.
FUNCTIONS: Registry[Callable[..., Any]] = Registry("metrics")

_NEEDS: dict[str, Needs] = {}
_READY: dict[str, Callable[..., object]] = {}


def register(
    name: str,
    needs: Needs = NONE,
    ready: Callable[..., object] | None = None,
    **description: Any,
) -> Callable[[F], F]:
    """Make a function (SR, HR) -> (N,) the metric ``name``: one that can be validated with.

    The function takes (N, C, H, W) in [0, 1] twice and gives one value an image; by ``needs``, SR
    alone, SR and LR, or all three. Keywords of its own called as fields of
    `tmd.metrics.MetricSettings` (``border``, ``channel``, ...) are given to it. Of images too small
    for it, it raises `tmd.metrics.TooSmallError`.

    Args:
        needs: by default HR.
        ready: raises `UserError` for weights that are not at hand, given settings by keyword as
            the function is; by default the function is tried.
        description: `Metric`'s fields, for a name that is not described here yet; with
            ``higher_is_better`` it can be compared. ``psnr@basicsr`` is described as PSNR is.

    Example:
        >>> @register("mae", label="MAE", decimals=4, higher_is_better=False)
        ... def mean_absolute_error(sr, hr):
        ...     return (sr - hr).abs().mean((1, 2, 3))
        >>> metric("validation.mae").higher_is_better
        False
    """

    def add(function: F) -> F:
        FUNCTIONS.register(name)(function)
        _NEEDS[name] = needs
        if ready is not None:
            _READY[name] = ready
        if description:
            _METRICS[name] = Metric(name, **description)
        return function

    return add


def needs_of(name: str) -> Needs:
    """Requirements of a registered metric."""
    FUNCTIONS[name]  # raises for one that there isn't
    return _NEEDS[name]


def scores() -> list[str]:
    """Registered metrics that can decide which state is best, one of their directions being it."""
    return [name for name in FUNCTIONS if metric(name).higher_is_better is not None]


def readiness(name: str) -> Callable[..., object] | None:
    """Function that a registered metric's weights are looked for by, see `register`."""
    return _READY.get(name)


def metric(name: str, recorded: Mapping[str, Any] | None = None) -> Metric:
    """Description of a recorded value; a neutral one where the name is not known.

    Args:
        name: with or without groups before a dot or slash: ``psnr``, ``validation.psnr``,
            ``Set5.run_3.psnr``; of ``bicubic_psnr``, bicubic's PSNR; of ``psnr@basicsr``, PSNR.
        recorded: what the run's record says of its metrics, ``info.get(INFO_KEY)``, which wins:
            the run may have metrics that are not known here.
    """
    leaf = name.replace("/", ".").rpartition(".")[2]
    said = recorded.get(leaf) if isinstance(recorded, Mapping) else None
    if isinstance(said, Mapping):
        return _from_record(leaf, said)
    if leaf in _METRICS:
        return _METRICS[leaf]
    if leaf.startswith(BICUBIC):
        base = metric(leaf.removeprefix(BICUBIC), recorded)
        return replace(base, name=leaf, label=f"{base.label} of bicubic")
    if BY in leaf:
        base_name, _, convention = leaf.partition(BY)
        base = metric(base_name, recorded)
        return replace(base, name=leaf, label=f"{base.label} ({convention})", short="")
    return Metric(leaf)


def described(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Descriptions of recorded values as plain data for a run's info, by name without group.

    `metric` reads them back.
    """
    found = {}
    for each in map(metric, names):
        low, high = (bound if math.isfinite(bound) else None for bound in each.range)
        found[each.name] = {
            "label": each.label,
            "unit": each.unit,
            "decimals": each.decimals,
            "higher_is_better": each.higher_is_better,
            "range": [low, high],
        }
    return found


def _from_record(name: str, said: Mapping[str, Any]) -> Metric:
    """A metric from a file that anybody may have written: what is not of its type is left out."""
    label, unit, decimals, direction = (
        said.get(key) for key in ("label", "unit", "decimals", "higher_is_better")
    )
    return Metric(
        name,
        label if isinstance(label, str) else "",
        unit if isinstance(unit, str) else "",
        decimals if decimals in range(12) and not isinstance(decimals, bool) else None,
        direction if isinstance(direction, bool) else None,
    )
