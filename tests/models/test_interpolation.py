"""Networks on the way from one to another."""

from __future__ import annotations

import pytest
import torch

from tmd.errors import UserError
from tmd.models import create_generator
from tmd.models.interpolation import interpolate_generators, interpolate_weights


def two(**changes):
    arguments = {"scale": 2, "n_blocks": 1, "n_features": 8, "global_skip": False, **changes}
    return [create_generator(**arguments).eval() for _ in range(2)]


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_the_ends_are_the_networks(spectral_norm):
    a, b = two(spectral_norm=spectral_norm)
    lr = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        for alpha, network in ((0, a), (1, b)):
            assert torch.allclose(interpolate_generators(a, b, alpha)(lr), network(lr), atol=1e-6)


def test_spectrally_normalised_weights_are_mixed_as_they_act():
    a, b = two(spectral_norm=True)
    mixed = interpolate_generators(a, b, 0.25)
    expected = 0.75 * a.head[0].weight + 0.25 * b.head[0].weight
    assert torch.allclose(mixed.head[0].weight, expected, atol=1e-6)
    assert "head.0.parametrizations.weight.original" in a.state_dict()


def test_counters_stay_whole_numbers():
    a, b = two(norm="batch")
    mixed = interpolate_weights(a.state_dict(), b.state_dict(), 0.5)
    (counter,) = {v.dtype for k, v in mixed.items() if k.endswith("num_batches_tracked")}
    assert counter == torch.int64
    weights = [network.state_dict()["output.weight"] for network in (a, b)]
    assert torch.allclose(mixed["output.weight"], (weights[0] + weights[1]) / 2)


def test_what_has_nothing_between():
    a, b = two()[0].state_dict(), two(n_features=4)[0].state_dict()
    with pytest.raises(UserError, match="one architecture"):
        interpolate_weights(a, b, 0.5)
    with pytest.raises(UserError, match=r"alpha=1\.5"):
        interpolate_weights(a, a, 1.5)
