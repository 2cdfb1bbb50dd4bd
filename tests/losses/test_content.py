"""Content losses: the grammar of specs, the values of terms, what `auto` chooses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from torchvision.transforms.functional import normalize

from tmd.errors import UserError
from tmd.images import ImageKind
from tmd.losses import content
from tmd.losses.content import (
    PIXEL_LOSSES,
    Term,
    create_content_loss,
    parse_spec,
    resolve_content,
)
from tmd.losses.options import LossOptions
from tmd.models.features import cached_file
from tmd.registry import Registry

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    """Torch's cache in an empty folder of the test's own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "torch" / "hub" / "checkpoints").mkdir(parents=True)


@pytest.fixture
def unreachable(monkeypatch):
    """A network that refuses at once; holds how often it was asked."""
    asked = []
    monkeypatch.setattr(
        "tmd.models.features._reachable", lambda url, within: bool(asked.append(url))
    )
    return asked


def hollow(arch: str) -> dict[str, torch.Tensor]:
    """Weights of the right names and shapes that take no room in a file."""
    with torch.device("meta"):
        network = getattr(torchvision.models, arch)(weights=None)
    return {
        f"features.{name}": torch.zeros(()).expand(value.shape)
        for name, value in network.features.state_dict().items()
    }


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory):
    """torchvision's VGG16 with random weights, and the file that holds them."""
    torch.manual_seed(1)
    network = torchvision.models.vgg16(weights=None, init_weights=False).features.eval()
    for layer in network:
        if isinstance(layer, torch.nn.ReLU):
            layer.inplace = False
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    path = tmp_path_factory.mktemp("weights") / "vgg.pth"
    torch.save({f"features.{k}": v for k, v in network.state_dict().items()}, path)
    return network, path


@pytest.mark.parametrize(
    ("spec", "terms"),
    [
        ("vgg54", [("vgg54", 1)]),
        ("pixel", [("l1", 1)]),
        ("vgg22+vgg54", [("vgg22", 1), ("vgg54", 1)]),
        ("0.5*vgg22+vgg54+0.01*l1", [("vgg22", 0.5), ("vgg54", 1), ("l1", 0.01)]),
        (" 1e+2 * mse + .5*charbonnier ", [("mse", 100), ("charbonnier", 0.5)]),
        ("6e-3*vgg54 + pixel", [("vgg54", 0.006), ("l1", 1)]),
    ],
)
def test_specs_are_weighted_sums(spec, terms):
    assert parse_spec(spec, pixel="l1") == [Term(*term) for term in terms]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "terms joined"),
        ("vgg22+", "terms joined"),
        ("+mse", "terms joined"),
        ("-1*mse", "terms joined"),
        ("mse l1", "terms joined"),
        ("2*3*mse", "terms joined"),
        (None, "terms joined"),
        (3, "terms joined"),
        ("vgg", "'vgg' must be one of charbonnier, l1, mse, pixel, vggNM"),
        ("l2", "'l2' must be one of"),
        ("vgg54+vgg54", "vgg54 must come once"),
        ("mse+pixel", "mse must come once"),
        ("0*l1", "weight of l1 must be above 0"),
        ("1e999*l1", "weight of l1 must be above 0 and finite"),
    ],
)
def test_bad_specs_say_what_is_wrong_in_one_line(spec, message):
    with pytest.raises(UserError, match=r"^losses\.content=") as raised:
        parse_spec(spec, pixel="mse")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_unknown_pixel_loss_is_named():
    with pytest.raises(UserError, match=r"^losses\.pixel='l3'"):
        parse_spec("pixel", pixel="l3")


def test_pixel_losses_equal_their_formulas():
    sr, hr = torch.rand(2, 3, 5, 7), torch.rand(2, 3, 5, 7)
    d = sr.numpy().astype(np.float64) - hr.numpy()
    expected = {
        "mse": np.mean(d**2),
        "l1": np.mean(np.abs(d)),
        "charbonnier": np.mean(np.sqrt(d**2 + 0.001**2)),
    }
    assert set(PIXEL_LOSSES) == set(expected)
    for name, value in expected.items():
        assert PIXEL_LOSSES[name](sr, hr).item() == pytest.approx(value, rel=1e-5)


def test_loss_is_the_weighted_sum_of_its_terms(vgg16):
    network, path = vgg16
    loss = create_content_loss("0.5*vgg22+vgg53+0.01*l1", path)
    sr, hr = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)

    def distance(index):
        a, b = (network[: index + 1](normalize(x, MEAN, STD)) for x in (sr, hr))
        return ((a - b) ** 2).mean()

    expected = {"vgg22": distance(7), "vgg53": distance(28), "l1": (sr - hr).abs().mean()}
    terms = loss.terms(sr, hr)
    assert list(terms) == ["vgg22", "vgg53", "l1"]
    torch.testing.assert_close(terms, expected)
    total = 0.5 * expected["vgg22"] + expected["vgg53"] + 0.01 * expected["l1"]
    torch.testing.assert_close(loss(sr, hr), total)
    torch.testing.assert_close(loss.total(terms), total)


def test_papers_scaling_of_features_is_a_weight_of_0_006(vgg16):
    network, path = vgg16
    sr, hr = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    a, b = (network[:29](normalize(x, MEAN, STD)) / 12.75 for x in (sr, hr))
    ours = create_content_loss("0.006*vgg53", path)(sr, hr)
    assert ours.item() == pytest.approx(torch.nn.functional.mse_loss(a, b).item(), rel=0.03)


def test_after_activation_is_an_option(vgg16):
    network, path = vgg16
    sr, hr = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    a, b = (network[:9](normalize(x, MEAN, STD)) for x in (sr, hr))
    ours = create_content_loss("vgg22", path, before_activation=False)(sr, hr)
    torch.testing.assert_close(ours, ((a - b) ** 2).mean())


def test_several_layers_take_one_pass_an_image(vgg16):
    loss = create_content_loss("vgg22+vgg33+vgg53", vgg16[1])
    passes = []
    loss.features.layers[0].register_forward_hook(lambda *_: passes.append(1))
    loss(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32))
    assert len(passes) == 2


def test_gradient_reaches_sr_alone(vgg16):
    loss = create_content_loss("vgg22+vgg53", vgg16[1])
    sr = torch.rand(1, 1, 32, 32, requires_grad=True)
    hr = torch.rand(1, 1, 32, 32, requires_grad=True)
    loss(sr, hr).backward()
    assert sr.grad is not None
    assert sr.grad.abs().min() >= 0
    assert sr.grad.abs().sum() > 0
    assert hr.grad is None
    assert all(parameter.grad is None for parameter in loss.parameters())


def test_pixel_loss_needs_no_weights(unreachable):
    loss = create_content_loss("pixel", pixel="l1")
    assert loss(torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)).item() == 1
    assert list(loss.parameters()) == []
    assert unreachable == []


def test_vgg_sees_the_bands_that_are_shown(vgg16):
    kind = ImageKind(5, "uint16", (0, 65535), bands=(1, 2, 3, 4, 8), shown=(8, 3, 2))
    sr, hr = torch.rand(2, 2, 5, 24, 24)

    ours = create_content_loss("vgg22", vgg16[1], kind)(sr, hr)

    channels = [4, 2, 1]
    expected = create_content_loss("vgg22", vgg16[1])(sr[:, channels], hr[:, channels])
    torch.testing.assert_close(ours, expected, rtol=0, atol=0)


def test_vgg16_has_no_vgg54(vgg16):
    for attempt in (create_content_loss, resolve_content):
        with pytest.raises(UserError, match=r"losses.content=vgg54: .*VGG16 .*it has .*vgg53;"):
            attempt("vgg54", vgg16[1])


def test_explicit_layer_without_weights_names_the_ways_out(unreachable):
    for attempt in (create_content_loss, resolve_content):
        with pytest.raises(UserError) as raised:
            attempt("vgg54")
        for part in ("losses.content=vgg54", "losses.content_weights=FILE", "losses.content=pixel"):
            assert part in str(raised.value)
        assert "\n" not in str(raised.value)
    assert len(unreachable) == 2


def test_vgg_in_the_cache_is_vgg19_even_beside_vgg16(unreachable):
    torch.save(hollow("vgg16"), cached_file("vgg16"))
    with pytest.raises(UserError, match="weights of vgg19"):
        create_content_loss("vgg22", download=False)
    torch.save(hollow("vgg19"), cached_file("vgg19"))
    assert create_content_loss("vgg22").features.arch == "vgg19"
    assert resolve_content("vgg54").spec == "vgg54"
    assert unreachable == []


class TestAuto:
    def test_takes_the_deepest_layer_that_the_given_weights_have(self, vgg16, tmp_path):
        resolved = resolve_content("auto", vgg16[1])
        assert resolved.spec == "vgg53"
        assert str(vgg16[1]) in resolved.message
        torch.save(hollow("vgg19"), tmp_path / "vgg19.pth")
        assert resolve_content("auto", tmp_path).spec == "vgg54"

    def test_takes_vgg54_from_torchs_cache(self, unreachable):
        torch.save(hollow("vgg19"), cached_file("vgg19"))
        assert resolve_content("auto").spec == "vgg54"
        assert resolve_content("auto", device="cuda").spec == "vgg54"
        assert unreachable == []

    def test_takes_pixel_on_a_cpu_without_asking_the_network(self, unreachable):
        resolved = resolve_content("auto", device="cpu")
        assert resolved.spec == "pixel"
        assert unreachable == []
        for part in ("auto chose pixel", "losses.content_weights=FILE", "losses.content="):
            assert part in resolved.message
        assert "\n" not in resolved.message

    def test_on_a_gpu_says_that_it_downloads_and_falls_back_to_pixel(self, unreachable):
        said = []
        resolved = resolve_content("auto", device="cuda:0", announce=said.append)
        assert len(unreachable) == 1
        assert len(said) == 1
        assert "downloads VGG19" in said[0]
        assert resolved.spec == "pixel"
        assert "can't be downloaded" in resolved.message

    def test_on_a_gpu_takes_vgg54_once_downloaded(self, monkeypatch):
        def download(arch):
            torch.save(hollow(arch), cached_file(arch))
            return {}

        monkeypatch.setattr("tmd.models.features._download", download)
        resolved = resolve_content("auto", device="cuda", announce=lambda line: None)
        assert resolved.spec == "vgg54"
        assert create_content_loss(resolved.spec, download=False).features.arch == "vgg19"

    def test_given_weights_that_are_wrong_are_an_error_not_a_fallback(self, tmp_path):
        with pytest.raises(UserError, match=r"absent\.pth: no such file"):
            resolve_content("auto", tmp_path / "absent.pth")


def test_shared_weights_see_blur_better_than_a_small_shift_of_brightness(shared_data):
    """Real VGG features weigh structure over brightness; MSE says the opposite."""
    from tmd.images import read_image, to_float

    path = shared_data / "benchmarks" / "Set5" / "HR" / "butterfly.png"
    hr = to_float(read_image(path))[None, :, :128, :128]
    blurred = torchvision.transforms.functional.gaussian_blur(hr, 9, 1.5)
    brighter = (hr + 0.12).clamp(0, 1)
    loss = create_content_loss("vgg53", shared_data / "weights")
    assert loss(blurred, hr) > loss(brighter, hr)
    assert content.mse(blurred, hr) < content.mse(brighter, hr)


def test_a_new_content_term_is_a_function_and_a_registry_line(monkeypatch):
    monkeypatch.setattr(content, "CONTENT_TERMS", Registry("losses.content"))

    @content.CONTENT_TERMS.register("contrast")
    def contrast(sr, hr):
        return (sr.std() - hr.std()).abs()

    spec = "0.5*contrast+l1"
    assert parse_spec(spec) == [Term("contrast", 0.5), Term("l1", 1.0)]
    assert resolve_content(spec).spec == spec
    LossOptions(content=spec).check()
    sr, hr = torch.rand(2, 2, 1, 8, 8)
    loss = LossOptions(content=spec).create_content(1)
    expected = 0.5 * contrast(sr, hr) + (sr - hr).abs().mean()
    assert loss(sr, hr).item() == pytest.approx(expected.item())
    with pytest.raises(UserError, match="pixel, contrast, vggNM"):
        parse_spec("contrasts")


def test_a_content_term_with_weights_is_a_class_that_moves_with_the_loss(monkeypatch):
    monkeypatch.setattr(content, "CONTENT_TERMS", Registry("losses.content"))

    @content.CONTENT_TERMS.register("edges")
    class Edges(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.filter = torch.nn.Conv2d(1, 1, 3, bias=False)

        def forward(self, sr, hr):
            return (self.filter(sr) - self.filter(hr)).abs().mean()

    loss = create_content_loss("edges", kind=1).double()
    sr, hr = torch.rand(2, 2, 1, 8, 8, dtype=torch.float64)
    sr.requires_grad_()
    loss(sr, hr).backward()
    assert sr.grad.abs().max() > 0
    assert not [p for p in loss.parameters() if p.requires_grad]


def test_a_content_term_that_can_not_be_had_is_told_before_a_run(monkeypatch):
    monkeypatch.setattr(content, "CONTENT_TERMS", Registry("losses.content"))

    @content.CONTENT_TERMS.register("absent")
    class Absent(torch.nn.Module):
        def __init__(self):
            raise UserError("losses.content=absent: its weights are not at hand")

    with pytest.raises(UserError, match="not at hand"):
        resolve_content("l1+absent")
