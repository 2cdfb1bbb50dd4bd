"""Measurement operators: how LR images come from HR images.

A measurement is a list of operators from a config, applied one after the other. What is drawn at
random (a blur's width, the noise) is a pure function of (seed, stream, index of the batch), so that
a resumed run sees the measurements that the run never stopped would have seen.
"""

from tmd.measurements import operators
from tmd.measurements.canvas import Canvas
from tmd.measurements.draws import Draws, Log
from tmd.measurements.measurement import GIVEN, Measurement, create_measurement, is_given
from tmd.measurements.operator import MEASUREMENTS, Operator
from tmd.measurements.options import MeasurementOptions
from tmd.measurements.presets import PRESETS

__all__ = [
    "GIVEN",
    "MEASUREMENTS",
    "PRESETS",
    "Canvas",
    "Draws",
    "Log",
    "Measurement",
    "MeasurementOptions",
    "Operator",
    "create_measurement",
    "is_given",
    "operators",
]
