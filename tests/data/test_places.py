"""Images from shards and addresses: the batches of the folder they were put there from."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.servers import ACCESS, Failing, FailingServer, file_server, s3_server, upload
from tmd.data import TrainingData, addresses, create_dataset
from tmd.data.files import find_files
from tmd.data.paired import create_paired_data
from tmd.distributed import Share
from tmd.errors import UnreachableError, UserError
from tmd.places import objects, opening, reaching, shards

IMAGES = 12


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos, ``folder``, and the same in ``shards``."""
    home = tmp_path_factory.mktemp("places")
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        name = f"{'sub dir/' if number % 3 == 0 else ''}{number:02} #ä%41.png"
        path = home / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (40 + number, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    (home / "folder" / "notes.txt").write_text("no image")
    pack(home / "folder", home / "shards")
    return home


def pack(folder: Path, shards: Path, each: int = 5) -> None:
    """Shards of ``each`` files, in an order that is not the names'."""
    shards.mkdir()
    files = sorted((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.name[::-1])
    for number, first in enumerate(range(0, len(files), each)):
        with tarfile.open(shards / f"train-{number:06}.tar", "w") as tar:
            for file in files[first : first + each]:
                tar.add(file, arcname=file.relative_to(folder))


@pytest.fixture(scope="module")
def s3(home: Path) -> Iterator[str]:
    pytest.importorskip("moto")
    with s3_server(home) as (endpoint, _), pytest.MonkeyPatch.context() as patch:
        for name, value in {**ACCESS, "AWS_ENDPOINT_URL": endpoint}.items():
            patch.setenv(name, value)
        upload(endpoint, "photos", home / "folder", "some/where/")
        upload(endpoint, "shards", home / "shards")
        yield endpoint


@pytest.fixture(scope="module")
def http(home: Path) -> Iterator[str]:
    with file_server(home) as address:
        yield address


@pytest.fixture(autouse=True)
def _as_in_a_new_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(reaching, "PAUSES", (0.01,) * 4)
    monkeypatch.setattr(reaching, "PAUSES_AT_FIRST", (0.01,))
    for known in (shards._indexes, shards._open, shards._sends_no_parts, opening._listed):
        known.clear()
    addresses._recent.clear()
    reaching._answered.clear()


def dataset(root: Any, **options: Any) -> TrainingData:
    chosen = {"batch_size": 4, "patch_size": 16, "storage": "disk", "workers": 0, "validation": 3}
    return create_dataset("folder", root, scale=2, seed=3, **{**chosen, **options})


def known(data: TrainingData, first: int = 2, count: int = 6) -> dict[str, Any]:
    """All that must be the same wherever the images are."""
    batches = torch.stack(list(itertools.islice(data.batches(first), count)))
    trained_on = data.trained_on
    data.close()
    return {
        "batches": batches.numpy().tobytes(),
        "fingerprint": data.fingerprint,
        "held out": [name for name, _ in data.validation_images()],
        "identities": trained_on["images"].tolist() if trained_on["by_content"] else None,
        "left aside": data.summary.partition("left aside: ")[2].partition(" (")[0],
    }


@pytest.fixture(scope="module")
def expected(home: Path) -> dict[str, Any]:
    return known(dataset(str(home / "folder")))


PLACES = [
    "{home}/shards",
    "{home}/shards/train-{000000..000002}.tar",
    "{home}/shards/train-{000000,000001,000002}.tar",
    "s3://photos/some/where",
    "s3://photos/some/where/",
    "s3://shards",
    "s3://shards/train-{000000..000002}.tar",
    "{http}/folder",
    "{http}/shards",
    "{http}/shards/train-{000000..000002}.tar",
]


@pytest.mark.parametrize("place", PLACES)
def test_batches_are_those_of_the_folder(
    place: str, home: Path, s3: str, http: str, expected: dict[str, Any]
) -> None:
    root = place.replace("{home}", str(home)).replace("{http}", http)
    assert known(dataset(root)) == expected


@pytest.mark.parametrize("place", ["{home}/shards", "s3://photos/some/where", "{http}/shards"])
def test_workers_and_memory_make_the_same_batches(
    place: str, home: Path, s3: str, http: str, expected: dict[str, Any]
) -> None:
    root = place.replace("{home}", str(home)).replace("{http}", http)
    assert known(dataset(root, workers=2)) == expected
    assert known(dataset(root, storage="memory")) == expected


def test_single_tars_are_one_set_in_the_order_of_names(
    home: Path, expected: dict[str, Any]
) -> None:
    roots = [str(path) for path in sorted((home / "shards").iterdir(), reverse=True)]
    assert known(dataset(roots)) == expected
    assert known(dataset(",".join(roots))) == expected


def test_names_that_repeat_in_other_shards_stay_apart(home: Path, tmp_path: Path) -> None:
    for number, file in enumerate(sorted((home / "folder").glob("*.png"))[:3]):
        with tarfile.open(tmp_path / f"x{number}.tar", "w") as tar:
            tar.add(file, arcname="0.png")
    source = find_files([str(tmp_path)], 3)
    assert [source.label(i) for i in range(3)] == ["x0.tar/0.png", "x1.tar/0.png", "x2.tar/0.png"]
    assert len({source.read(i).numpy().tobytes() for i in range(3)}) == 3


def test_a_list_names_images_of_shards_and_addresses(home: Path, s3: str, http: str) -> None:
    files = sorted(path for path in (home / "folder").rglob("*.png"))
    names = [str(path.relative_to(home / "folder")) for path in files][5:1:-1]
    (home / "list.txt").write_text("\n".join(names))
    for root in (home / "folder", home / "shards", "s3://photos/some/where", f"{http}/folder"):
        for list_file in (str(home / "list.txt"), f"{http}/list.txt"):
            source = find_files([str(root)], 3, list_file)
            assert [source.label(i) for i in range(len(source))] == names
            assert source.read(0).shape[1] == Image.open(files[5]).height
    (home / "list.txt").write_text("none.png")
    with pytest.raises(UserError, match=r"list\.txt: none\.png is not in s3://photos"):
        find_files(["s3://photos/some/where"], 3, str(home / "list.txt"))


def test_a_copy_of_a_held_out_image_is_found_in_another_place(home: Path, s3: str) -> None:
    held_out = home / "held out"
    held_out.mkdir()
    (held_out / "renamed.png").write_bytes((home / "folder/04 #ä%41.png").read_bytes())
    for root in (str(home / "shards"), "s3://photos/some/where", "s3://shards"):
        data = dataset(root, val_root=str(held_out), validation=None)
        assert len(data.train) == IMAGES - 1
        assert "04 #ä%41.png" not in {data.train.label(i) for i in range(len(data.train))}


def test_images_are_asked_for_once_and_kept(home: Path) -> None:
    with FailingServer(home) as server:
        for _ in range(2):
            data = dataset(f"{server.address}/folder")
            list(itertools.islice(data.batches(), 6))
            gets = [p for method, p, _ in server.asked if method == "GET" and p.endswith("png")]
            assert len(gets) == len(set(gets)) == IMAGES, [a for a in server.asked if a[0] == "GET"]


def test_only_the_images_of_shards_are_asked_for_where_parts_are_sent(
    home: Path, monkeypatch: pytest.MonkeyPatch, expected: dict[str, Any]
) -> None:
    monkeypatch.setattr(shards, "_AHEAD", 1024)
    with FailingServer(home) as server:
        # Too small a cache for whole shards.
        data = dataset(f"{server.address}/shards", cache=1e-4)
        assert known(data) == expected
        gets = [a for a in server.asked if a[0] == "GET" and a[1].endswith(".tar")]
        assert gets
        assert all(part for _, _, part in gets)


# Trouble -----------------------------------------------------------------------------------------


def times(count: int, fail: Any) -> Any:
    """An answer that fails the first ``count`` times each file is asked for."""
    seen: dict[str, int] = {}

    def answer(handler: Failing) -> bool:
        if handler.command != "GET" or not handler.path.endswith((".png", ".tar")):
            return False
        seen[handler.path] = seen.get(handler.path, 0) + 1
        return seen[handler.path] <= count and fail(handler)

    return answer


@pytest.mark.parametrize("root", ["folder", "shards"])
@pytest.mark.parametrize(
    "fail", [Failing.break_off, lambda h: h.status(500), lambda h: h.status(429)]
)
@pytest.mark.parametrize("sends_parts", [True, False])
def test_a_connection_that_drops_is_tried_again(
    root: str, fail: Any, sends_parts: bool, home: Path, expected: dict[str, Any]
) -> None:
    with FailingServer(home) as server:
        server.sends_parts = sends_parts
        server.answer = times(2, fail)
        assert known(dataset(f"{server.address}/{root}")) == expected


def test_an_address_that_stays_away_is_one_line_and_no_image_is_replaced(home: Path) -> None:
    with FailingServer(home) as server:
        data = dataset(f"{server.address}/folder", validation=1, cache=0)
        server.answer = lambda handler: handler.status(503)
        stream = data.batches()
        with pytest.raises(
            UserError, match=r"^http://127.0.0.1:\d+/folder/.*can't be reached \(HTTP 503"
        ) as told:
            next(stream)
        assert "\n" not in str(told.value)
        assert not data.skipped
    objects.set_cache_size(objects.DEFAULT_GIGABYTES)


def test_an_image_that_is_gone_is_left_out_as_one_of_a_folder_is(home: Path) -> None:
    with FailingServer(home) as server:
        gone = "/folder/07"
        server.answer = lambda h: h.command == "GET" and h.path.startswith(gone) and h.status(404)
        data = dataset(f"{server.address}/folder")
        list(itertools.islice(data.batches(), 6))
        assert [reason for path, reason in data.skipped] == ["no such file"]
        assert "07 #ä%41.png" in data.skipped[0][0]


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ("{server}/none", "no such bucket or folder"),
        ("{server}/none.tar", "no such file"),
        ("{server}/empty", "holds no images"),
        ("{server}/refused", r"refused \(HTTP 403 .*~/\.netrc"),
        ("{server}/broken", r"can't be reached \(HTTP 500"),
        ("{server}/cut.tar", "cut short"),
        ("http://127.0.0.1:1/x", "can't be reached"),
        ("s3://nobody", "no such bucket or folder"),
        ("s3://photos/nothing", "holds no images"),
        ("gs://bucket/x", r"needs gcsfs .*'\.\[cloud\]' brings it"),
        ("hf://datasets/a/b", r"needs huggingface_hub .*'\.\[cloud\]' brings it"),
    ],
)
def test_what_is_wrong_with_an_address_is_one_line(
    root: str, message: str, home: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gcsfs", "huggingface_hub"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    (home / "empty").mkdir(exist_ok=True)
    (home / "cut.tar").write_bytes((home / "shards/train-000000.tar").read_bytes()[:9000])
    statuses = {"/refused/": 403, "/broken/": 500}
    with FailingServer(home) as server:
        server.answer = lambda h: h.path in statuses and h.status(statuses[h.path])
        with pytest.raises(UserError, match=message) as told:
            dataset(root.replace("{server}", server.address))
    assert "\n" not in str(told.value)
    assert root.replace("{server}", "") in str(told.value)


def test_refused_credentials_are_not_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("IMAGES_PASSWORD", "hunter22/?")
    caplog.set_level(logging.DEBUG, "tmd")
    seen = []
    with FailingServer(home) as server:
        server.answer = lambda h: seen.append(h.headers["Authorization"]) or h.status(401)
        root = server.address.replace("://", "://ann:${IMAGES_PASSWORD}@") + "/folder"
        with pytest.raises(UnreachableError, match="refused") as told:
            dataset(root)
    assert seen[0] == "Basic YW5uOmh1bnRlcjIyLz8="  # it was sent
    assert "hunter22" not in str(told.value) + caplog.text


def test_a_server_that_dies_in_the_middle_and_comes_back_goes_unnoticed(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: dict[str, Any]
) -> None:
    pytest.importorskip("moto")
    monkeypatch.setattr(reaching, "PAUSES", (0.5,) * 40)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)
    with s3_server(tmp_path) as (endpoint, process):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        upload(endpoint, "photos", home / "folder")
        data = dataset("s3://photos", workers=1)
        objects.set_cache_size(0)
        stream = data.batches(2)
        got = [next(stream)]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        port = int(endpoint.rpartition(":")[2])
        with s3_server(tmp_path, port) as (endpoint, _):
            upload(endpoint, "photos", home / "folder")
            got += itertools.islice(stream, 5)
        data.close()
    objects.set_cache_size(objects.DEFAULT_GIGABYTES)
    assert torch.stack(got).numpy().tobytes() == expected["batches"]
    assert not data.skipped


def test_a_listing_of_many_is_kept_for_a_day(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tmd.data")
    monkeypatch.setattr(addresses, "_WORTHWHILE", 5)
    with FailingServer(home) as server:
        root = f"{server.address}/folder"
        first = find_files([root], 3)
        addresses._recent.clear()
        server.answer = lambda handler: handler.status(500)
        again = find_files([root], 3)
        assert again.names() == first.names()
        assert again.digest() == first.digest()
        assert "12 images by the listing of 0.0 hours ago; without " in caplog.text
        addresses._recent.clear()
        (place,) = (Path(os.environ["XDG_CACHE_HOME"]) / "tmd/listings").iterdir()
        os.utime(place, (time.time() - 90_000,) * 2)
        with pytest.raises(UnreachableError):
            find_files([root], 3)


def test_a_changed_object_is_not_the_kept_one(home: Path, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    for colour in (10, 20):
        Image.new("RGB", (16, 16), (colour,) * 3).save(tmp_path / "x" / "a.png")
        os.utime(tmp_path / "x" / "a.png", (1e9 + colour, 1e9 + colour))
        with FailingServer(tmp_path) as server:
            server.asked.clear()
            address = "http://127.0.0.1:1"
            addresses._recent.clear()
            source = find_files([f"{server.address}/x"], 3)
            assert source.read(0).unique().tolist() == [colour], address


def test_a_folder_with_both_learns_from_images_and_says_so(home: Path, tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    subprocess.run(["cp", home / "shards/train-000000.tar", tmp_path], check=True)
    source = find_files([str(tmp_path)], 3)
    assert [source.label(i) for i in range(len(source))] == ["a.png"]
    assert "train-000000.tar" in source.aside.text(str(tmp_path))


def test_a_checkpoint_can_be_saved_when_the_address_is_away(home: Path) -> None:
    with FailingServer(home) as server:
        data = dataset(f"{server.address}/folder", cache=0)
    assert len(data.trained_on["images"]) == IMAGES - 3


def test_pairs_from_shards_and_addresses_are_those_of_folders(home: Path) -> None:
    for side, step in (("HR", 1), ("LR", 2)):
        (home / "pairs" / side).mkdir(parents=True)
        for path in sorted((home / "folder").glob("*.png"))[:6]:
            pixels = np.asarray(Image.open(path))[:40:step, :48:step]
            Image.fromarray(pixels).save(home / "pairs" / side / path.name)
        pack(home / "pairs" / side, home / "pairs" / f"{side} shards", each=2)
    options = {"name": "folder", "batch_size": 4, "patch_size": 16, "validation": 2, "workers": 0}

    def batches(hr: str, lr: str) -> list[bytes]:
        chosen = {**options, "storage": "disk", "root": hr, "lr_root": lr}
        data = create_paired_data(chosen, scale=2, seed=1)
        made = [
            tensor.numpy().tobytes()
            for pair in itertools.islice(data.batches(), 4)
            for tensor in pair
        ]
        data.close()
        return made

    with FailingServer(home / "pairs") as server:
        here, there = str(home / "pairs"), server.address
        expected = batches(f"{here}/HR", f"{here}/LR")
        assert batches(f"{here}/HR shards", f"{here}/LR shards") == expected
        assert batches(f"{there}/HR", f"{there}/LR shards") == expected
        assert batches(f"{here}/HR shards", f"{there}/LR") == expected


@pytest.mark.parametrize("place", ["{home}/shards", "s3://shards"])
def test_processes_read_their_rows_only(place: str, home: Path, s3: str) -> None:
    root = place.replace("{home}", str(home))
    whole = next(dataset(root).batches(5))
    parts = []
    for rank in range(2):
        data = dataset(root, share=Share(rank, 2))
        read: list[int] = []
        source = data.train
        real = source.read
        source.read = lambda i, real=real, read=read: read.append(i) or real(i)  # type: ignore[method-assign]
        parts.append(next(data.batches(5)))
        assert len(read) == 2
    assert torch.cat(parts).equal(whole)
