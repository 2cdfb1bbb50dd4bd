"""The measurement ingredient inside an experiment."""

from __future__ import annotations

import pytest
import torch
from sacred import Experiment

from ingredients import measurement
from tmd.errors import UserError


def run(**updates):
    experiment = Experiment("test", ingredients=[measurement.ingredient], save_git_info=False)

    @experiment.main
    def main():
        measurement.options().check(scale=2)
        measure = measurement.options().create(scale=2, seed=1)
        return measure.spec, measure(torch.rand(1, 3, 8, 8)).shape

    return experiment.run(config_updates={"measurement": updates} if updates else {}).result


def test_default_is_bicubic():
    spec, shape = run()
    assert [entry["name"] for entry in spec] == ["bicubic", "quantize"]
    assert shape == (1, 3, 4, 4)


def test_list_of_the_config_is_built():
    spec, shape = run(operators=[{"name": "blur", "sigma": [0.8, 1.6]}, "decimate"])
    assert spec[0] == {"name": "blur", "sigma": [0.8, 1.6]}
    assert shape == (1, 3, 4, 4)


def test_mistake_is_a_user_error():
    with pytest.raises(UserError, match="bicubik"):
        run(operators=["bicubik"])
