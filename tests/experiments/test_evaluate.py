"""The evaluate script from its command line: what it prints, records, refuses."""

from __future__ import annotations

import csv
import hashlib
import io
import json

import pytest
import sacred
import torch

from experiments.evaluate import ex, several
from experiments.support.evaluation_record import distinct
from observers import RunArtifacts, create_observers, open_run
from tmd.checkpoints import save_checkpoint
from tmd.errors import UserError
from tmd.images import as_8_bit, read_image, to_float, write_image
from tmd.metrics import psnr
from tmd.models import create_generator
from tmd.resize import imresize


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A working directory and a torch cache of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("TMD_MONGO_URL", raising=False)


@pytest.fixture
def toy(tmp_path):
    """A benchmark of two small pictures."""
    for name, size in (("a", (48, 60)), ("b", (51, 48))):
        pixels = torch.nn.functional.avg_pool2d(torch.rand(3, size[0] + 4, size[1] + 4), 5, 1)
        write_image(tmp_path / "Toy" / f"{name}.png", pixels)
    return "Toy"


def checkpoint(path, scale=4, channels=3, seed=0):
    """A file such as training leaves, of a network that is a little worse than bicubic."""
    torch.manual_seed(seed)
    generator = create_generator(
        "srresnet", scale=scale, channels=channels, n_blocks=1, n_features=8, global_skip=True
    )
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    state = {
        "experiment": "srgan",
        "iteration": 70,
        "phase": "adversarial",
        "scale": scale,
        "channels": channels,
        "generator_config": generator.config,
        "measurement": [
            {"name": "bicubic"},
            {"name": "noise", "sigma": 0.2},
            {"name": "quantize"},
        ],
        "generator": generator.state_dict(),
        "ema": None,
    }
    save_checkpoint(path, state)
    return generator.eval()


def training_run(store, path):
    """A run of the store that has the file as its best network; its number."""
    trained = sacred.Experiment("srgan", save_git_info=False)
    trained.observers.extend(create_observers(file_storage=store))

    @trained.main
    def main(_run):
        RunArtifacts(_run).save("best.pt", path)

    return trained.run()._id


def run(**updates):
    """The script's run, recorded in the folder `store`."""
    return ex.run(config_updates=updates, options={"--file_storage": "store"})


def artifact(record, name) -> str:
    with record.open(name) as file:
        return file.read().decode()


def test_bicubic_on_set5_from_the_command_line(shared_data, capsys):
    ex.run_commandline(
        [
            "evaluate",
            "-F",
            "store",
            "with",
            "method=bicubic",
            f"benchmark={shared_data / 'benchmarks' / 'Set5'}",
            "scale=4",
            f"lpips_weights={shared_data / 'weights'}",
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    mean = next(line for line in lines if line.startswith("| mean"))
    assert [cell.strip() for cell in mean.split("|")[2:5]] == ["28.43", "0.8113", "0.341"]
    record = open_run(1, store="store")
    assert record.status == "COMPLETED"
    assert record.result["Set5"]["bicubic"]["psnr"] == pytest.approx(28.43, abs=0.005)
    assert record.result["Set5"]["bicubic"]["lpips_alex"] == pytest.approx(0.341, abs=5e-4)
    last = list(csv.reader(io.StringIO(artifact(record, "Set5.csv"))))[-1]
    assert last[0] == "mean"
    assert round(float(last[1]), 2) == 28.43
    assert mean in artifact(record, "Set5.md")


def test_record_says_what_was_evaluated_and_how(toy):
    done = run(method="nearest", benchmark=toy, scale=3)
    record = open_run(1, store="store")
    assert record.config["metrics"] == ["psnr", "ssim", "spectral"]
    assert record.config["border"] == record.config["scale"] == 3
    assert record.config["device"] in ("cpu", "cuda")
    evaluated = record.info["evaluated"]
    assert evaluated["benchmarks"]["Toy"]["images"] == 2
    assert evaluated["systems"] == {"nearest": {"source": "method"}}
    points = record.metrics()["Toy.nearest.psnr"]
    assert len(points.values) == 2
    assert sum(points.values) / 2 == pytest.approx(done.result["Toy"]["nearest"]["psnr"])


def test_runs_checkpoints_and_methods_stand_side_by_side(toy, tmp_path, capsys):
    checkpoint(tmp_path / "one.pt", seed=1)
    checkpoint(tmp_path / "two.pt", seed=2)
    number = training_run("store", tmp_path / "one.pt")
    done = run(run=number, checkpoint=["one.pt", "two.pt"], method="bicubic", benchmark=toy)
    means = done.result["Toy"]
    assert list(means) == [f"run_{number}", "one_pt", "two_pt", "bicubic"]
    assert means["one_pt"] == means[f"run_{number}"]
    assert means["two_pt"]["psnr"] != means["one_pt"]["psnr"]
    assert done.config["scale"] == 4
    systems = done.info["evaluated"]["systems"]
    assert systems[f"run_{number}"] == {
        "source": f"run {number}",
        "iteration": 70,
        "sha256": hashlib.sha256((tmp_path / "one.pt").read_bytes()).hexdigest(),
    }
    assert f"PSNR run {number} | PSNR one.pt | PSNR two.pt | PSNR bicubic |" in (
        capsys.readouterr().out
    )


def test_figures_are_those_of_the_network(toy, tmp_path):
    """Against the network called by hand, in one piece."""
    from tmd.metrics import psnr
    from tmd.resize import imresize_uint8

    generator = checkpoint(tmp_path / "one.pt")
    done = run(checkpoint="one.pt", benchmark=toy, tile=5)
    together = run(checkpoint="one.pt", benchmark=toy, self_ensemble=True)
    values, ensembles = [], []
    for name in ("a", "b"):
        hr = read_image(tmp_path / "Toy" / f"{name}.png")[:, :48]
        lr = imresize_uint8(hr, 0.25)[None] / 255
        turned = []
        with torch.no_grad():
            for turns in range(4):
                for axes in ((), (-1,)):
                    sr = generator(lr.rot90(turns, (-2, -1)).flip(axes))
                    turned.append(sr.flip(axes).rot90(-turns, (-2, -1)))
        for results, of in ((values, turned[:1]), (ensembles, turned)):
            sr = (torch.stack(of).mean(0).clamp(0, 1) * 255).round() / 255
            results.append(psnr(sr, hr[None] / 255, border=4).item())
    assert done.result["Toy"]["one_pt"]["psnr"] == pytest.approx(sum(values) / 2, abs=0.01)
    ensemble = together.result["Toy"]["one_pt"]["psnr"]
    assert ensemble == pytest.approx(sum(ensembles) / 2, abs=0.01)
    assert abs(ensemble - sum(values) / 2) > 0.02


def test_several_benchmarks_get_a_table_each(toy, tmp_path, capsys):
    write_image(tmp_path / "other" / "Toy" / "c.png", torch.rand(3, 40, 40))
    done = run(method="bicubic", benchmark="Toy,other/Toy", metrics="psnr")
    assert list(done.result) == ["Toy", "Toy_2"]
    record = open_run(1, store="store")
    tables = {"Toy.csv", "Toy.md", "Toy_2.csv", "Toy_2.md"}
    assert set(record.artifacts()) == tables | {"per_image.csv"}
    assert "c," in artifact(record, "Toy_2.csv")
    assert capsys.readouterr().out.count("### Toy ×4") == 2


def test_psnr_comes_first_whatever_the_order_asked_for(toy, capsys):
    done = run(method="bicubic", benchmark=toy, metrics="spectral,psnr,ssim")
    assert done.config["metrics"] == ["psnr", "spectral", "ssim"]
    assert "| image |  PSNR | spectral |" in capsys.readouterr().out


def test_grey_network_is_evaluated_on_grey_images(toy, tmp_path, capsys):
    checkpoint(tmp_path / "grey.pt", channels=1)
    run(checkpoint="grey.pt", method="bicubic", benchmark=toy)
    assert "### Toy ×4 (grey, border 4)" in capsys.readouterr().out


def test_lr_may_be_measured_as_in_training(toy, tmp_path):
    checkpoint(tmp_path / "one.pt")  # trained with much noise
    clean = run(checkpoint="one.pt", method="bicubic", benchmark=toy, metrics="psnr").result
    noisy = [
        run(
            checkpoint="one.pt", method="bicubic", benchmark=toy, metrics="psnr", measurement=how
        ).result
        for how in ("run", "run", ["bicubic", {"name": "noise", "sigma": 0.01}])
    ]
    assert noisy[0] == noisy[1]
    psnr = [result["Toy"]["bicubic"]["psnr"] for result in (clean, noisy[2], noisy[0])]
    assert psnr == sorted(psnr, reverse=True)
    assert psnr[0] - psnr[2] > 5


class TestImages:
    def test_into_the_record(self, toy):
        run(method="bicubic", benchmark=toy, save_images=True)
        record = open_run(1, store="store")
        assert "Toy_bicubic_a.png" in record.artifacts()
        assert read_image(record.local_path("Toy_bicubic_b.png")).shape == (3, 48, 48)

    def test_into_a_folder_that_evaluates_to_the_same_figures(self, toy):
        first = run(method="lanczos", benchmark=toy, save_images="out").result
        again = run(method="folder", sr_root="out/lanczos", benchmark=toy).result
        assert again == first

    def test_need_a_record_or_a_folder(self, toy):
        with pytest.raises(UserError, match="save_images=True: keeps them in the run's record"):
            ex.run(
                config_updates={"method": "bicubic", "benchmark": toy, "save_images": True},
                options={"--unobserved": True},
            )


def test_unobserved_evaluation_leaves_no_record(toy, tmp_path, capsys):
    ex.run_commandline(["evaluate", "-u", "with", "method=bicubic", f"benchmark={toy}"])
    assert "| mean" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


def test_equal_images_leave_valid_json(toy, tmp_path):
    done = run(method="folder", sr_root=toy, benchmark=toy)
    assert done.status == "COMPLETED"
    for name in ("metrics.json", "run.json"):
        json.loads((tmp_path / "store" / "1" / name).read_text())
    assert open_run(1, store="store").metrics()["Toy.Toy.psnr"].values == [100.0] * 2


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["benchmark=Toy"], "nothing to evaluate"),
        (["method=bicubic"], "benchmark=None"),
        (["method=bicubi", "benchmark=Toy"], "method='bicubi': must be one of bicubic"),
        (["method=bicubic", "benchmark=absent"], "benchmark absent: no such folder"),
        (["method=folder", "benchmark=Toy"], "sr_root=FOLDER"),
        (["sr_root=Toy", "method=bicubic", "benchmark=Toy"], "sr_root=FOLDER"),
        (["run=77", "benchmark=Toy"], "77"),
        (["checkpoint=absent.pt", "benchmark=Toy"], "checkpoint absent.pt: no such file"),
        (["checkpoint=two.pt", "benchmark=Toy", "scale=4"], "scale=4: two.pt upscales by 2"),
        (["checkpoint=four.pt,grey.pt", "benchmark=Toy"], "four.pt has 3 and grey.pt has 1"),
        (["method=bicubic", "benchmark=Toy", "scale=0"], "scale=0: must be"),
        (["method=bicubic", "benchmark=Toy", "scale=abc"], "scale='abc': must be"),
        (["method=bicubic", "benchmark=Toy", "border=-1"], "border=-1: must be"),
        (["method=bicubic", "benchmark=Toy", "border=20"], "the largest image: SSIM of 8×20"),
        (["method=bicubic", "benchmark=Toy", "tile=0"], "tile=0: must be"),
        (["method=bicubic", "benchmark=Toy", "self_ensemble=3"], "self_ensemble=3: must be"),
        (["method=bicubic", "benchmark=Toy", "channel=Y"], "channel='Y': must be one of"),
        (["method=bicubic", "benchmark=Toy", "metrics=fid"], "metrics='fid': must be one of"),
        (
            ["method=bicubic", "benchmark=Toy", "convention=matlab"],
            "convention='matlab': must be am",
        ),
        (["method=bicubic", "benchmark=Toy", "metrics=lpips_alex"], "lpips_weights=FOLDER"),
        (["method=bicubic", "benchmark=Toy", "measurement=run"], "measurement=run: needs runs"),
        (["method=bicubic", "benchmark=Toy", "device=tpu"], "device='tpu': must be"),
        (["method=bicubic", "benchmark=Toy", "bench=Toy"], "did you mean benchmark?"),
        (["method=bicubic", "benchmark=Toy", "lr_root=absent"], "absent: no such folder"),
    ],
)
def test_mistakes_get_one_line_an_exit_code_and_no_run(entries, message, toy, tmp_path, capsys):
    checkpoint(tmp_path / "two.pt", scale=2)
    checkpoint(tmp_path / "four.pt")
    checkpoint(tmp_path / "grey.pt", channels=1)
    with pytest.raises(SystemExit) as left:
        ex.run_commandline(["evaluate", "-F", "store", "with", *entries])
    assert left.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert not (tmp_path / "store" / "1").exists()


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, []),
        (3, [3]),
        ((3, 4), [3, 4]),
        ("runs/3, runs/4", ["runs/3", "runs/4"]),
        ("mongodb://a,b/db#3", ["mongodb://a,b/db#3"]),
        ("a, b", ["a, b"]),
    ],
)
def test_one_or_several(value, found, tmp_path):
    (tmp_path / "a, b").mkdir()
    assert several(value) == found


def test_names_are_numbered_where_they_come_again():
    assert distinct(["x", "y", "x", "x"]) == ["x", "y", "x (2)", "x (3)"]


def test_other_libraries_figures_stand_beside_ours(toy, capsys):
    done = run(method="bicubic", benchmark=toy, metrics="psnr,ssim", convention="ours,ignite")
    (values,) = done.result["Toy"].values()
    assert list(values) == ["psnr", "psnr@ignite", "ssim", "ssim@ignite"]
    assert values["psnr@ignite"] == pytest.approx(values["psnr"], abs=1e-4)
    assert values["ssim@ignite"] != values["ssim"]
    assert "SSIM (ignite)" in capsys.readouterr().out


def test_results_without_hr_are_rated_by_what_needs_none(toy, capsys):
    """LR alone: SR of it is measured again; another program's results alone; what can't be."""
    words = ["evaluate", "-u", "with", "method=bicubic", "lr_root=Toy", "scale=2"]
    ex.run_commandline([*words, "metrics=auto"])
    out = capsys.readouterr().out
    assert "consistency" in out
    for name in ("a", "b"):
        lr = to_float(read_image(f"Toy/{name}.png"))[None]
        sr = as_8_bit(imresize(lr, 2))
        expected = psnr(as_8_bit(imresize(sr, 0.5)), lr).item()
        row = next(line for line in out.splitlines() if line.startswith(f"| {name} "))
        assert float(row.split("|")[2]) == pytest.approx(expected, abs=0.3)
    for metrics, says in (
        ("psnr", "metrics=psnr: needs HR images, and Toy has none; benchmark=FOLDER gives them"),
        ("dists", "metrics=dists: needs HR images"),
    ):
        with pytest.raises(SystemExit):
            ex.run_commandline([*words, f"metrics={metrics}"])
        assert says in capsys.readouterr().err
    alone = ["evaluate", "-u", "with", "method=folder", "sr_root=Toy", "metrics=consistency"]
    with pytest.raises(SystemExit):
        ex.run_commandline(alone)
    assert "metrics=consistency: needs LR images, and Toy has none" in capsys.readouterr().err


def test_a_question_mark_lists_the_metrics(capsys):
    with pytest.raises(SystemExit) as done:
        ex.run_commandline(["evaluate", "-u", "with", "metrics=?"])
    assert not done.value.code
    out = capsys.readouterr().out
    head = next(line for line in out.splitlines() if line.startswith("| name"))
    assert [cell.strip() for cell in head.split("|")[1:5]] == ["name", "metric", "unit", "better"]
    row = next(line for line in out.splitlines() if line.startswith("| psnr "))
    assert "dB" in row
    assert "higher (0 to 100)" in row
    assert row.split("|")[-2].strip() == "yes"
