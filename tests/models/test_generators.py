"""Generators: shapes, published sizes, where they start, how far a pixel reaches, export."""

from __future__ import annotations

import json

import pytest
import torch
from small_networks import SMALL as PUBLISHED
from torch import Tensor, nn

from tmd.errors import UserError
from tmd.models import GENERATORS, create_generator
from tmd.models.generators.rrdb import DenseBlock, ResidualInResidualBlock
from tmd.models.options import GeneratorOptions
from tmd.resize import imresize

SMALL = {"n_blocks": 1, "n_features": 6}
ARCHITECTURES = {"srresnet": {}, "rrdb": {"growth_channels": 4}, "subpixel": {}}


def small(name: str = "srresnet", **changes) -> nn.Module:
    return create_generator(**{"name": name, **SMALL, **ARCHITECTURES[name], **changes})


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("channels", [1, 3, 13])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("global_skip", [False, True])
def test_sizes(name, scale, channels, global_skip):
    generator = small(name, scale=scale, channels=channels, global_skip=global_skip)
    assert generator(torch.rand(2, channels, 5, 7)).shape == (2, channels, 5 * scale, 7 * scale)
    assert generator.scale == scale
    assert generator.channels == channels


def test_srresnet_has_the_parameters_of_the_papers_figure():
    """By hand from fig. 4 of the paper."""
    generator = create_generator("srresnet", 4, norm="batch", global_skip=False)
    head = 9 * 9 * 3 * 64 + 64 + 1
    block = 2 * (9 * 64 * 64 + 2 * 64) + 1
    trunk_end = 9 * 64 * 64 + 2 * 64
    stage = 9 * 64 * 256 + 256 + 1
    output = 9 * 9 * 64 * 3 + 3
    assert head + 16 * block + trunk_end + 2 * stage + output == 1_547_350
    assert parameters(generator) == 1_547_350


def test_rrdb_has_esrgans_parameters():
    """ESRGAN has 16,697,987, by hand; ours learns the slope of two activations too."""
    generator = create_generator("rrdb", 4, n_blocks=23, global_skip=False)
    assert parameters(generator) == 16_697_987 + 2


@pytest.mark.parametrize(("scale", "factors"), [(2, [2]), (3, [3]), (4, [2, 2]), (8, [2, 2, 2])])
def test_srresnet_has_256_channels_before_each_doubling(scale, factors):
    generator = create_generator("srresnet", scale, n_blocks=1)
    channels = [stage.conv.out_channels for stage in generator.stages]
    assert channels == [64 * factor**2 for factor in factors]


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_with_the_global_skip_training_starts_at_bicubic(name, scale):
    images = torch.rand(2, 3, 9, 12)
    sr = small(name, scale=scale, global_skip=True)(images)
    assert torch.allclose(sr, imresize(images, scale), atol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_at_scale_1_training_starts_at_the_input_itself(name):
    images = torch.rand(2, 3, 9, 12)
    assert torch.equal(small(name, scale=1, global_skip=True)(images), images)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_zero_last_layer_learns_and_then_the_rest_does(name):
    generator = small(name, scale=2, global_skip=True)
    optimizer = torch.optim.SGD(generator.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        (generator(torch.rand(2, 3, 6, 6)) - torch.rand(2, 3, 12, 12)).abs().mean().backward()
        optimizer.step()
    assert all(parameter.grad.any() for parameter in generator.parameters())


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_normalisations_are_where_they_are_asked_for(norm, spectral_norm):
    generator = small(norm=norm, spectral_norm=spectral_norm, scale=4)
    batch = [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(batch) == (3 if norm == "batch" else 0)
    convolutions = [m for m in generator.modules() if isinstance(m, nn.Conv2d)]
    spectral = [m for m in convolutions if hasattr(m, "parametrizations")]
    assert len(spectral) == (len(convolutions) - 1 if spectral_norm else 0)
    assert generator.output not in spectral
    assert generator(torch.rand(2, 3, 6, 6)).isfinite().all()


def test_deep_networks_without_normalisation_start_with_features_of_order_one():
    generator = create_generator("srresnet", 2, n_blocks=16, norm="none", global_skip=False)
    sr = generator(torch.rand(1, 3, 16, 16))
    assert 0.05 < (sr - 0.5).std() < 5


def test_residuals_are_scaled_within_and_around_dense_blocks():
    """ESRGAN, fig. 4: x + 0.2·D(x) for each of three dense blocks, x + 0.2·(…) around them."""
    block = ResidualInResidualBlock(features=4, growth=2, scaling=0.2)
    for dense in block.blocks:
        nn.init.zeros_(dense.convolutions[-1].weight)
        nn.init.ones_(dense.convolutions[-1].bias)
    x = torch.randn(1, 4, 5, 5)
    assert torch.allclose(block(x), x + 0.2 * (x + 3 * 0.2), atol=1e-6)


def test_dense_blocks_see_what_all_before_gave():
    dense = DenseBlock(features=4, growth=2, scaling=1.0)
    assert [layer.in_channels for layer in dense.convolutions] == [4, 6, 8, 10, 12]
    for layer in dense.convolutions:
        nn.init.dirac_(layer.weight)
        nn.init.zeros_(layer.bias)
    x = torch.rand(1, 4, 5, 5)
    assert torch.allclose(dense(x), 2 * x)


def test_the_papers_network_works_between_minus_one_and_one():
    generator = small("srresnet", scale=2, global_skip=False)
    nn.init.zeros_(generator.output.weight)
    nn.init.constant_(generator.output.bias, -1.0)
    assert not generator(torch.rand(1, 3, 5, 5)).any()


def influence(generator: nn.Module, lr: Tensor, pixel: int) -> tuple[int, int]:
    """The LR rows before and after ``pixel`` whose SR pixels change when that pixel does."""
    scale = generator.scale
    changed = lr.clone()
    changed[..., pixel, pixel] += 0.25
    with torch.no_grad():
        difference = (generator(changed) - generator(lr)).abs().amax((0, 1))
    rows = difference.amax(1).reshape(-1, scale).amax(1).nonzero()
    columns = difference.amax(0).reshape(-1, scale).amax(1).nonzero()
    assert rows.min() == columns.min()
    assert rows.max() == columns.max()
    return pixel - int(rows.min()), int(rows.max()) - pixel


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("global_skip", [False, True])
def test_receptive_field_is_exact(name, scale, global_skip):
    generator = small(name, scale=scale, global_skip=global_skip, n_features=3, channels=1)
    generator = generator.double().eval()
    with torch.no_grad():
        for parameter in generator.parameters():  # no dead units, no zero last layer
            nn.init.uniform_(parameter, 0.1, 0.5)
    radius = generator.receptive_field
    lr = torch.rand(1, 1, 2 * radius + 9, 2 * radius + 9, dtype=torch.float64)
    assert influence(generator, lr, radius + 4) == (radius, radius)


def test_receptive_field_of_the_default_network():
    assert create_generator("srresnet", 4, n_blocks=16).receptive_field == 4 + 2 * 16 + 1 + 3


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_config_builds_the_same_network(name):
    generator = small(name, scale=4, channels=1, spectral_norm=True)
    config = json.loads(json.dumps(generator.config))
    again = create_generator(**config)
    again.load_state_dict(generator.state_dict(), strict=True)
    lr = torch.rand(1, 1, 8, 8)
    assert again.config == generator.config
    assert torch.equal(again.eval()(lr), generator.eval()(lr))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_networks_run_in_bfloat16_autocast_and_give_single_precision(name):
    generator = small(name, scale=2).to(memory_format=torch.channels_last)
    lr = torch.rand(1, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        sr = generator(lr)
    assert sr.dtype == torch.float32
    assert torch.allclose(sr, generator(lr), atol=0.05)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_traced_network_takes_other_sizes(name):
    generator = small(name, scale=4).eval()
    nn.init.normal_(generator.output.weight, std=0.1)
    traced = torch.jit.trace(generator, torch.rand(1, 3, 8, 8))
    lr = torch.rand(2, 3, 11, 14)
    assert torch.allclose(traced(lr), generator(lr), atol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_exported_network_takes_other_sizes(name):
    generator = small(name, scale=4).eval()
    nn.init.normal_(generator.output.weight, std=0.1)
    sizes = {0: torch.export.Dim("n"), 2: torch.export.Dim("h"), 3: torch.export.Dim("w")}
    exported = torch.export.export(generator, (torch.rand(2, 3, 8, 9),), dynamic_shapes=(sizes,))
    lr = torch.rand(3, 3, 11, 14)
    assert torch.allclose(exported.module()(lr), generator(lr), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "resnet"},
            f"generator.name='resnet': must be one of {', '.join(GENERATORS)}",
        ),
        ({"scale": 5}, "scale=5: must be one of 1, 2, 3, 4, 8"),
        ({"channels": 0}, "channels=0: must be an integer at least 1"),
        ({"n_blocks": 0}, "generator.n_blocks=0: must be an integer at least 1"),
        ({"n_features": 1.5}, "generator.n_features=1.5: must be an integer at least 1"),
        ({"norm": "layer"}, "generator.norm='layer': must be one of batch, none"),
        ({"spectral_norm": 1}, "generator.spectral_norm=1: must be True or False"),
        ({"global_skip": "yes"}, "generator.global_skip='yes': must be True or False"),
        ({"growth": 3}, "generator.options.growth=3: srresnet takes no options"),
        (
            {"name": "rrdb", "growth": 3},
            "generator.options.growth=3: rrdb takes growth_channels, residual_scaling",
        ),
        (
            {"name": "rrdb", "norm": "batch"},
            "generator.norm='batch': rrdb has no normalisation, must be none",
        ),
        (
            {"name": "rrdb", "growth_channels": 0},
            "generator.options.growth_channels=0: must be an integer at least 1",
        ),
        (
            {"name": "rrdb", "residual_scaling": 0},
            "generator.options.residual_scaling=0: must be a number above 0 and at most 1",
        ),
    ],
)
def test_bad_arguments_are_named_in_one_line(arguments, message):
    with pytest.raises(UserError) as error:
        create_generator(**arguments)
    assert str(error.value) == message


def test_every_registered_generator_is_tested_here_or_as_published():
    assert set(GENERATORS) == {*ARCHITECTURES, *PUBLISHED}


def test_lists_of_a_config_are_plain_in_a_checkpoint(tmp_path):
    from sacred.config.custom_containers import ReadOnlyList

    from tmd.checkpoints import load_checkpoint, save_checkpoint

    options = {"embed_dim": 48, "depths": ReadOnlyList([2]), "num_heads": ReadOnlyList([6])}
    generator = GeneratorOptions(name="craft", options=options).create(2, 3)
    save_checkpoint(tmp_path / "a.pt", {"generator_config": generator.config})
    assert load_checkpoint(tmp_path / "a.pt")["generator_config"]["depths"] == [2]
