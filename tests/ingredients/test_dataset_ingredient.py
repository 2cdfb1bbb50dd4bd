"""The dataset ingredient inside an experiment."""

from __future__ import annotations

import pytest
import torch
from sacred import Experiment
from sacred.utils import ConfigAddedError

from experiments.support.checks import check_dataset
from ingredients import dataset
from tmd.data import DATASETS, create_dataset
from tmd.errors import UserError
from tmd.images import write_image


def run(scale=4, **updates):
    experiment = Experiment("test", ingredients=[dataset.ingredient], save_git_info=False)

    @experiment.main
    def main():
        options = dataset.options()
        check_dataset(options, scale)
        data = create_dataset(**vars(options), scale=scale, seed=1)
        return next(data.batches()), data

    result = experiment.run(config_updates={"dataset": updates} if updates else {})
    return result.config["dataset"], *result.result


@pytest.fixture
def root(tmp_path):
    for number in range(4):
        write_image(tmp_path / f"{number}.png", torch.rand(3, 100, 100))
    return tmp_path


def test_default_is_the_demo():
    config, batch, _ = run()
    assert config["name"] == "demo"
    side = config["patch_size"]
    assert batch.shape == (config["batch_size"], 3, side, side)


def test_root_alone_means_a_folder(root):
    config, _, data = run(root=str(root))
    assert config["name"] == "folder"
    assert data.fingerprint["train"]["images"] == 3


def test_each_kind_brings_its_defaults(shared_data):
    config, batch, _ = run(name="mnist", root=str(shared_data / "mnist/subset_8k_2k"))
    kind = DATASETS["mnist"]
    assert (config["channels"], config["patch_size"]) == (kind.channels, kind.patch_size)
    assert batch.shape[1:] == (kind.channels, kind.patch_size, kind.patch_size)


def test_explicit_entry_beats_a_default(root):
    _, batch, _ = run(root=str(root), channels=1, patch_size=40, batch_size=3)
    assert batch.shape == (3, 1, 40, 40)


def test_several_roots_come_as_a_list(root, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    write_image(other / "5.png", torch.rand(3, 100, 100))
    _, _, data = run(root=[str(root), str(other)], validation=1)
    assert data.fingerprint["train"]["images"] == 4


@pytest.mark.parametrize(
    ("updates", "message"),
    [
        ({"batch_size": 0}, "dataset.batch_size=0: must be an integer .*at least 1"),
        ({"name": "imagenet"}, "dataset.name='imagenet': must be one of"),
        ({"root": "/nowhere"}, "dataset.root=/nowhere: no such folder"),
    ],
)
def test_mistakes_are_user_errors(updates, message):
    with pytest.raises(UserError, match=message):
        run(**updates)


def test_misspelt_key_is_an_error():
    with pytest.raises(ConfigAddedError):
        run(batchsize=4)


def test_strict_is_checked_before_the_run_starts(root):
    path = root / "2.png"
    path.write_bytes(path.read_bytes()[:-60])
    experiment = Experiment("test", ingredients=[dataset.ingredient], save_git_info=False)
    failed = []

    @experiment.main
    def main():
        try:
            check_dataset(dataset.options(), 4)
        except UserError as problem:
            failed.append(str(problem))

    experiment.run(config_updates={"dataset": {"root": str(root), "strict": True}})
    assert failed
    assert "2.png: broken image" in failed[0]
