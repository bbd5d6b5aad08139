"""The logic of the GPU check on made-up runs: what is read from them, the ratios, the bars, the table."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.gpu_check.compare import BARS, compare, loss_distance
from tests.gpu_check.figures import documented, not_measured, table
from tests.gpu_check.guide_script import amendments
from tests.gpu_check.guide_settings import KINDS, Check, accelerate_file, guide_flags, tokens_needed
from tests.gpu_check.hardware import Hardware
from tests.gpu_check.result import LOADED, RunResult, of_baseline, of_ours
from tests.gpu_check.sizes import GIB, SIZES, TINY, largest_that_fits
from tests.gpu_check.watch import Sample, Watched

OURS = RunResult(300.0, (10.0, 9.0, 8.0), 8 * GIB, 6 * GIB, 4 * GIB, 2 * GIB)
BASELINE = RunResult(100.0, (10.0, 9.0, 8.0), 20 * GIB, 10 * GIB, 20 * GIB, 9 * GIB)


def log_line(step, loss, rate):
    said = f"loss {loss:.4f}, learning rate 1.00e-04, gradient norm 0.4, {rate} tokens/s, 1s left"
    return float(step), f"12:00:0{step} step {step}/4: {said}"


def watched(lines, code=0):
    samples = [Sample(0.5, 3, 1), Sample(9.0, 7, 5)]
    return Watched(code, [(1.0, f"1 of 2 {LOADED} 1 ranks"), *lines], samples)


def test_our_speed_is_that_of_the_steps_after_the_warm_up():
    run = of_ours(watched([log_line(1, 9.0, 1), *(log_line(step, 8.0, 100 * step) for step in (2, 3, 4))]), steps=4)
    assert run.tokens_per_second == pytest.approx(3 / (1 / 200 + 1 / 300 + 1 / 400))
    assert run.losses == (9.0, 8.0, 8.0, 8.0)
    assert (run.host_load_peak, run.gpu_load_peak, run.host_peak, run.gpu_peak) == (3, 1, 7, 5)


@pytest.mark.parametrize(("code", "steps"), [(1, 4), (0, 3)])
def test_a_run_that_failed_or_fell_short_has_no_speed_but_its_last_lines(code, steps):
    run = of_ours(watched([*(log_line(step, 9.0, 100) for step in range(1, steps + 1)), (9.0, "boom")], code), steps=4)
    assert run.tokens_per_second is None
    assert "boom" in run.problem


def test_the_baselines_speed_is_tokens_by_time_after_the_warm_up(tmp_path):
    file = tmp_path / "result.json"
    steps = [{"step": s, "loss": 9.0, "tokens": 100 * s, "time": 50.0 if s == 1 else 50.0 + s} for s in (1, 2, 3, 4)]
    file.write_text(json.dumps({"steps": steps}))
    run = of_baseline(Watched(0, [(1.0, "baseline: training starts")], []), file, steps=4)
    assert run.tokens_per_second == pytest.approx(300 / 4)


def test_a_baseline_that_left_no_file_has_its_first_error_in_the_place_of_figures(tmp_path):
    lines = ["[rank0]: torch.OutOfMemoryError: CUDA out of memory.", *["a launcher's traceback"] * 30]
    run = of_baseline(Watched(1, [(1.0, line) for line in lines], []), tmp_path / "none", steps=4)
    assert run.tokens_per_second is None
    assert "exit code 1 after 0 steps:\n[rank0]: torch.OutOfMemoryError: CUDA out of memory." in run.problem


@pytest.mark.parametrize(
    ("kind", "speed", "gpu_peak", "loss", "passed"),
    [
        ("LoRA", 150.0, 7 * GIB, 8.0, True),
        ("LoRA", 149.0, 7 * GIB, 8.0, False),
        ("LoRA", 150.0, 7.1 * GIB, 8.0, False),
        ("LoRA", 150.0, 7 * GIB, 9.0, False),
        ("QLoRA", 130.0, 8 * GIB, 8.0, True),
        ("QLoRA", 130.0, 8.1 * GIB, 8.0, False),
    ],
)
def test_the_bars(kind, speed, gpu_peak, loss, passed):
    ours = replace(OURS, tokens_per_second=speed, gpu_peak=int(gpu_peak), losses=(10.0, 9.0, loss))
    assert compare(kind, ours, BASELINE).passed is passed


def test_without_figures_of_the_baseline_nothing_passes_and_the_table_says_why():
    failed = replace(BASELINE, tokens_per_second=None, losses=(), problem="CUDA out of memory")
    comparison = compare("LoRA", OURS, failed)
    assert not comparison.passed
    assert "not measured" in table([comparison])
    assert "LoRA, the guide's script has no figures: CUDA out of memory" in table([comparison])


def test_the_table_has_both_runs_side_by_side():
    lines = table([compare("QLoRA", OURS, BASELINE)]).splitlines()
    assert lines[1].split() == ["QLoRA:", "tokens", "per", "second", "300", "100"]
    assert "3.000  >= 1.3: reached" in lines[-4]
    assert "vocabulary" in lines[-1]


def test_the_document_has_the_bars_of_the_issue_whether_measured_or_not():
    measured, empty = documented(compare("LoRA", OURS, BASELINE)), not_measured("LoRA")
    assert [figure.bar for figure in measured] == [figure.bar for figure in empty] == [1.5, 0.7, 0.01]
    assert [figure.verdict for figure in measured] == ["reached", "reached", "reached"]
    assert [figure.measured for figure in empty] == ["not measured"] * 3


def test_the_order_of_rows_moves_the_curves_less_than_another_level_does():
    level = tuple(10.0 - step / 10 for step in range(12))
    noisy = tuple(loss + (0.05, 0.0, -0.05)[step % 3] for step, loss in enumerate(level))
    assert loss_distance(noisy, level) < 0.001 < 0.01 < loss_distance(tuple(loss + 0.2 for loss in level), level)


@pytest.mark.parametrize(
    ("gpu", "host", "size"), [(24, 500, "1b"), (48, 500, "3b"), (80, 500, "8b"), (139, 120, "8b"), (139, 20, "3b")]
)
def test_the_size_follows_the_memory(gpu, host, size):
    assert largest_that_fits(gpu * GIB, host * GIB).name == size


@pytest.mark.parametrize(("kind", "batch", "accumulation"), [("LoRA", "8", "4"), ("QLoRA", "2", "2")])
def test_a_gpu_run_keeps_the_guides_batch_and_leaves_out_what_is_not_timed(tmp_path, kind, batch, accumulation):
    flags = guide_flags(Check(tmp_path, Hardware(2), SIZES["1b"], 16), kind)
    words = dict(zip(flags[::2], flags[1::2], strict=True))
    assert words["--per_device_train_batch_size"] == batch
    assert words["--gradient_accumulation_steps"] == accumulation
    assert words["--max_seq_len"] == "2048"
    assert "--push_to_hub" not in words


def test_the_data_lasts_for_all_steps_of_the_larger_batch(tmp_path):
    assert tokens_needed(Check(tmp_path, Hardware(2), SIZES["1b"], 16)) >= 2048 * 8 * 4 * 2 * 16


@pytest.mark.parametrize(("gpus", "processes", "on_cpu"), [(4, 4, False), (0, 1, True)])
def test_the_accelerate_file_is_the_guides_for_this_machine(tmp_path, gpus, processes, on_cpu):
    text = accelerate_file(Check(tmp_path, Hardware(gpus), TINY, 4), "QLoRA").read_text()
    assert f"num_processes: {processes}\n" in text
    assert ("use_cpu: true" in text) is on_cpu
    assert ("fsdp_offload_params: true" in text) is not on_cpu


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("LoRA", ["as in the guide", "with --use_reentrant True", "with fsdp_version 2"]),
        ("QLoRA", ["as in the guide", "with fsdp_version 2"]),
    ],
)
def test_the_baseline_is_tried_as_in_the_guide_first(tmp_path, kind, words):
    check = Check(tmp_path, Hardware(1), TINY, 4)
    assert [amendment.words for amendment in amendments(check, kind)] == words
    assert "--use_reentrant True" in " ".join(guide_flags(check, kind, {"--use_reentrant": "True"}))
    assert "  fsdp_version: 2\n" in accelerate_file(check, kind, {"fsdp_version": 2}).read_text()


def test_what_was_changed_for_the_baseline_is_told():
    amended = replace(BASELINE, note="with --use_reentrant True; as in the guide: exit code 1 after 0 steps:")
    comparison = compare("LoRA", OURS, amended)
    assert "the guide's script ran with --use_reentrant True; as in the guide" in table([comparison])
    assert "with --use_reentrant True" in documented(comparison)[0].comparison


def test_without_a_gpu_it_says_so_at_once():
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "tests.gpu_check"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "no NVIDIA GPU is visible here" in result.stderr


def test_every_kind_has_bars():
    assert set(BARS) == set(KINDS)
