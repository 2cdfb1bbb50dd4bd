"""ImageNet features: the right layers, frozen, from every source their weights may come from."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import torch
import torchvision
from torchvision.transforms.functional import normalize

from tmd.errors import UserError
from tmd.models import features
from tmd.models.features import (
    ImageNetFeatures,
    VGGFeatures,
    cached_file,
    find_weights,
    identify,
    layer_indices,
)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    """Torch's cache in a folder of the test's own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def vgg19():
    """torchvision's own network, random weights, every ReLU apart from its input."""
    torch.manual_seed(1)
    network = torchvision.models.vgg19(weights=None, init_weights=False).features.eval()
    for layer in network:
        if isinstance(layer, torch.nn.ReLU):
            layer.inplace = False
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    return network


def hollow(arch: str) -> dict[str, torch.Tensor]:
    """Weights of the right names and shapes that take no room in a file."""
    with torch.device("meta"):
        network = getattr(torchvision.models, arch)(weights=None)
    return {
        name: torch.zeros(()).expand(value.shape)
        for name, value in network.state_dict().items()
        if name.startswith("features.")
    }


@pytest.mark.parametrize(
    ("arch", "name", "index"),
    [
        ("vgg19", "vgg11", 0),
        ("vgg19", "vgg22", 7),
        ("vgg19", "vgg34", 16),
        ("vgg19", "vgg44", 25),
        ("vgg19", "vgg54", 34),
        ("vgg16", "vgg22", 7),
        ("vgg16", "vgg33", 14),
        ("vgg16", "vgg53", 28),
    ],
)
def test_layer_names_are_the_fields(arch, name, index):
    assert layer_indices(arch)[name] == index


def test_vgg16_and_vgg19_have_13_and_16_convolutions():
    assert len(layer_indices("vgg16")) == 13
    assert len(layer_indices("vgg19")) == 16
    assert "vgg54" not in layer_indices("vgg16")


@pytest.mark.parametrize("before_activation", [True, False])
def test_features_equal_torchvisions_on_normalised_images(vgg19, before_activation):
    images = torch.rand(2, 3, 32, 48)
    ours = VGGFeatures("vgg19", ["vgg54", "vgg22"], before_activation, vgg19.state_dict())(images)
    x = normalize(images, MEAN, STD)
    after = 0 if before_activation else 1
    assert list(ours) == ["vgg54", "vgg22"]
    for name, index in (("vgg22", 7), ("vgg54", 34)):
        torch.testing.assert_close(ours[name], vgg19[: index + after + 1](x))
    assert (ours["vgg22"].min() < 0) == before_activation


def test_grey_images_are_repeated(vgg19):
    network = VGGFeatures("vgg19", ["vgg22"], weights=vgg19.state_dict())
    grey = torch.rand(1, 1, 24, 24)
    torch.testing.assert_close(network(grey), network(grey.repeat(1, 3, 1, 1)))


def test_nothing_deeper_than_the_deepest_layer_is_computed(vgg19):
    network = VGGFeatures("vgg19", ["vgg11", "vgg22"], weights=vgg19.state_dict())
    assert len(network.layers) == 8


def test_gradient_flows_to_the_input_and_to_no_parameter(vgg19):
    network = VGGFeatures("vgg19", ["vgg22", "vgg54"], weights=vgg19.state_dict())
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    sum(value.square().sum() for value in network(images).values()).backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_stays_in_evaluation_mode(vgg19):
    network = torch.nn.Sequential(VGGFeatures("vgg19", ["vgg22"], weights=vgg19.state_dict()))
    network.train()
    assert not network[0].training
    assert not any(module.training for module in network[0].modules())


def test_building_draws_no_random_numbers(vgg19):
    before = torch.random.get_rng_state()
    VGGFeatures("vgg19", ["vgg54"], weights=vgg19.state_dict())
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(("arch", "layer", "smallest"), [("vgg19", 34, 16), ("alexnet", 11, 31)])
def test_smallest_image_is_stated_and_true(arch, layer, smallest):
    weights = {name.removeprefix("features."): value for name, value in hollow(arch).items()}
    network = ImageNetFeatures(arch, [layer], weights)
    assert network(torch.rand(1, 3, smallest, smallest + 5))[0].numel() > 0
    with pytest.raises(UserError, match=f"at least {smallest}×{smallest}"):
        network(torch.rand(1, 3, smallest - 1, smallest + 5))
    with pytest.raises(RuntimeError):
        network.layers(torch.rand(1, 3, smallest - 1, smallest + 5))


def test_layer_that_the_network_does_not_have_names_those_it_has():
    with pytest.raises(UserError, match=r"vgg54.*VGG16 has no such layer.*vgg53"):
        VGGFeatures("vgg16", ["vgg54"], weights={})


class TestWeights:
    def test_every_kind_of_file_gives_the_same_weights(self, vgg19, tmp_path):
        own = vgg19.state_dict()
        named = {f"features.{name}": value.half() for name, value in own.items()}
        kinds = {
            "features.pth": named,
            "full.pth": {**named, "classifier.0.weight": torch.zeros(3)},
            "bare.pth": {name: value.half() for name, value in own.items()},
        }
        for name, state in kinds.items():
            torch.save(state, tmp_path / name)
            found = find_weights("vgg19", tmp_path / name)
            assert found is not None
            assert found.keys() == own.keys()
            for key, value in found.items():
                assert value.dtype == torch.float32
                assert torch.equal(value, own[key].half().float())

    def test_vgg16_of_the_shared_data_is_recognised(self, shared_data):
        weights = find_weights(("vgg19", "vgg16"), shared_data / "weights")
        assert weights is not None
        assert identify(weights) == "vgg16"
        assert weights["0.weight"].std() > 0.1

    def test_folder_is_searched_by_the_networks_name(self, tmp_path):
        torch.save(hollow("vgg16"), tmp_path / "vgg16_features.pth")
        torch.save(hollow("vgg16_bn"), tmp_path / "vgg16_bn-12345678.pth")
        torch.save(hollow("alexnet"), tmp_path / "alexnet.pt")
        assert identify(find_weights("vgg16", tmp_path)) == "vgg16"
        assert identify(find_weights(["vgg19", "vgg16"], tmp_path)) == "vgg16"
        assert identify(find_weights("alexnet", tmp_path)) == "alexnet"
        with pytest.raises(UserError, match=r"no file named vgg19\*"):
            find_weights("vgg19", tmp_path)

    @pytest.mark.parametrize("arch", ["vgg16_bn", "vgg13", "alexnet"])
    def test_weights_of_another_network_are_refused(self, arch, tmp_path):
        torch.save(hollow(arch), tmp_path / "w.pth")
        with pytest.raises(UserError, match=r"w\.pth: holds .* wanted vgg19 or vgg16"):
            find_weights(("vgg19", "vgg16"), tmp_path / "w.pth")

    @pytest.mark.parametrize("content", [b"", b"hello", None])
    def test_broken_files_are_named(self, content, tmp_path):
        path = tmp_path / "w.pth"
        if content is None:
            torch.save({"features.0.weight": torch.rand(64, 3, 3, 3)}, path)
            content = path.read_bytes()[:2000]
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"w\.pth: truncated, or not"):
            find_weights("vgg19", path)

    def test_absent_file_is_named(self, tmp_path):
        with pytest.raises(UserError, match=r"absent\.pth: no such file"):
            find_weights("vgg19", tmp_path / "absent.pth")

    def test_files_that_would_run_code_are_refused(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (os.mkdir, (str(tmp_path / "trapped"),))

        torch.save({"features.0.weight": Trap()}, tmp_path / "w.pth")
        with pytest.raises(UserError, match="not a PyTorch file"):
            find_weights("vgg19", tmp_path / "w.pth")
        assert not (tmp_path / "trapped").exists()

    def test_torchs_cache_is_used_and_never_written_without_download(self, empty_cache):
        assert find_weights("vgg19") is None
        assert list(empty_cache.iterdir()) == []
        assert cached_file("vgg19") == empty_cache / "vgg19-dcbb9e9d.pth"
        torch.save(hollow("vgg19"), cached_file("vgg19"))
        assert identify(find_weights("vgg19")) == "vgg19"


class TestDownload:
    @pytest.fixture
    def silent_server(self):
        """Takes connections and never answers."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/vgg19-dcbb9e9d.pth"

    @pytest.fixture
    def file_server(self, tmp_path):
        folder = tmp_path / "served"
        folder.mkdir()

        class Quiet(SimpleHTTPRequestHandler):
            def log_message(self, *arguments):
                pass

        handler = partial(Quiet, directory=str(folder))
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield folder, f"http://127.0.0.1:{server.server_port}"
            server.shutdown()

    @staticmethod
    def serve(monkeypatch, url):
        entry = SimpleNamespace(
            url=url, get_state_dict=partial(torch.hub.load_state_dict_from_url, url, progress=False)
        )
        monkeypatch.setattr(features, "_pretrained", lambda arch: entry)
        monkeypatch.setitem(features.FILES, "vgg19", url.rpartition("/")[2])

    def test_comes_from_the_server_once_and_then_from_the_cache(
        self, file_server, monkeypatch, tmp_path, empty_cache
    ):
        folder, address = file_server
        torch.save(hollow("vgg19"), tmp_path / "w.pth")
        content = (tmp_path / "w.pth").read_bytes()
        name = f"vgg19-{hashlib.sha256(content).hexdigest()[:8]}.pth"
        (folder / name).write_bytes(content)
        self.serve(monkeypatch, f"{address}/{name}")
        assert identify(find_weights("vgg19", download=True)) == "vgg19"
        assert (empty_cache / name).is_file()
        (folder / name).unlink()
        assert identify(find_weights("vgg19", download=True)) == "vgg19"

    def test_damaged_download_is_refused(self, file_server, monkeypatch, empty_cache):
        folder, address = file_server
        (folder / "vgg19-00000000.pth").write_bytes(b"not what was promised")
        self.serve(monkeypatch, f"{address}/vgg19-00000000.pth")
        with pytest.raises(UserError, match="download failed"):
            find_weights("vgg19", download=True)
        assert list(empty_cache.iterdir()) == []

    def test_silent_network_costs_a_bounded_time(self, silent_server, monkeypatch):
        self.serve(monkeypatch, silent_server)
        monkeypatch.setattr(features, "REACHABLE_WITHIN", 0.3)
        begin = time.monotonic()
        with pytest.raises(UserError, match=r"127\.0\.0\.1:\d+ can't be reached; give a file"):
            find_weights("vgg19", download=True)
        assert time.monotonic() - begin < 2

    def test_name_that_never_resolves_costs_a_bounded_time(self, monkeypatch):
        release = threading.Event()

        def never(*arguments, **options):
            release.wait(20)
            raise OSError("no such name")

        monkeypatch.setattr(socket, "getaddrinfo", never)
        monkeypatch.setattr(features, "REACHABLE_WITHIN", 0.3)
        begin = time.monotonic()
        with pytest.raises(UserError, match="can't be reached"):
            find_weights("vgg19", download=True)
        assert time.monotonic() - begin < 2
        release.set()

    def test_the_bound_is_five_seconds(self):
        assert features.REACHABLE_WITHIN <= 5


@pytest.mark.parametrize("arch", features.ARCHITECTURES)
def test_the_files_are_those_that_torchvision_keeps(arch):
    url = torchvision.models.get_model_weights(arch).IMAGENET1K_V1.url
    assert features.cached_file(arch).name == url.rpartition("/")[2]
