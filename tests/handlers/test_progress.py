from __future__ import annotations

import io

import pytest
import torch
from ignite.engine import Engine, Events

from tmd.handlers import Progress, ScalarLog, Throughput
from tmd.handlers.progress import duration
from tmd.training import Phases, TrainingEvents


@pytest.mark.parametrize(
    ("seconds", "text"), [(5.2, "0:05"), (65, "1:05"), (3599.7, "1:00:00"), (7322, "2:02:02")]
)
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_bar_shows_what_a_person_wants_to_know(capsys: pytest.CaptureFixture[str]) -> None:
    phases = Phases(0, 0, 4)
    output = {"loss_g": 0.5, "loss_d": 1.25, "d_real": 0.75, "d_fake": 0.25}
    trainer = Engine(lambda engine, batch: {k: torch.tensor(v) for k, v in output.items()})
    trainer.register_events(*TrainingEvents)
    trainer.state.phase = "adversarial"
    Throughput(16).attach(trainer)
    ScalarLog(1).attach(trainer)
    screen = io.StringIO()
    bicubic = {"psnr": 28.43, "ssim": 0.8104}
    Progress(phases, 2, 16, bicubic, screen).attach(trainer)

    @trainer.on(Events.ITERATION_COMPLETED(every=2))
    def validate(engine: Engine) -> None:
        engine.state.validation = {"psnr": 29.4, "ssim": 0.8472, "lpips": 0.25, "odd": 2.0}
        engine.fire_event(TrainingEvents.VALIDATED)

    trainer.run(range(4), max_epochs=1)
    bar = screen.getvalue()
    for words in ("epoch 1/2 adversarial", "epoch 2/2", "2/2", "G 0.5", "D 1.25", "D(real) 0.75",
                  "D(fake) 0.25", "images/s", "left 0:00"):  # fmt: skip
        assert words in bar
    assert bar.count("2/2") == 2 + bar.count("epoch 2/2")  # an epoch's end is shown once
    line = capsys.readouterr().out.splitlines()[0]
    assert line == (
        "iteration 2: PSNR 29.40 dB (bicubic 28.43), SSIM 0.8472 (bicubic 0.8104), "
        "LPIPS 0.2500, odd 2"
    )
