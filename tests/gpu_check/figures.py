"""The comparison for people: a table for the terminal, figures for docs/measurements.md. Called by `__main__`."""

from typing import Final

from tests.bench.report import Figure
from tests.gpu_check.compare import BARS, LOSS_BAR, Comparison
from tests.gpu_check.result import RunResult

GIB: Final = 2**30
NOT_MEASURED: Final = "not measured"
VOCABULARY: Final = (
    "Both train on a base whose vocabulary has the chat tokens. On another one the guide's script would add them and "
    "resize the embeddings; the one here does not, and neither does this trainer."
)


def part(kind: str) -> str:
    """The section of the document that one kind has."""
    return f"GPU, {kind}"


def table(comparisons: list[Comparison]) -> str:
    """Both runs of each kind side by side, and the verdicts."""
    lines = [f"{'':<34}{'this trainer':>14}{'guide':>14}{'ratio':>8}  bar"]
    for comparison in comparisons:
        ours, baseline, bars = comparison.ours, comparison.baseline, BARS[comparison.kind]
        rows = [
            ("tokens per second", _whole(ours.tokens_per_second), _whole(baseline.tokens_per_second)),
            ("peak memory, GPU (GiB)", *_both(ours.gpu_peak, baseline.gpu_peak)),
            ("peak memory, host (GiB)", *_both(ours.host_peak, baseline.host_peak)),
            ("peak while loading, GPU (GiB)", *_both(ours.gpu_load_peak, baseline.gpu_load_peak)),
            ("peak while loading, host (GiB)", *_both(ours.host_load_peak, baseline.host_load_peak)),
            ("loss, first step", *_at(comparison, 0)),
            ("loss, last step", *_at(comparison, -1)),
        ]
        lines += [f"{comparison.kind + ': ' + name:<34}{mine:>14}{theirs:>14}" for name, mine, theirs in rows]
        lines += [
            _verdict(comparison, "tokens per second", comparison.speed, f">= {bars.speed}"),
            _verdict(comparison, "peak memory", comparison.memory, f"<= {bars.memory}"),
            _verdict(comparison, "loss curve", comparison.loss_distance, f"<= {LOSS_BAR} apart"),
        ]
        lines += [f"{who} has no figures: {run.problem}" for who, run in _runs(comparison) if run.problem]
        lines += [f"{who} ran {run.note}" for who, run in _runs(comparison) if run.note]
    return "\n".join([*lines, VOCABULARY])


def documented(comparison: Comparison) -> list[Figure]:
    """The figures of one kind for the document."""
    bars, kind = BARS[comparison.kind], comparison.kind
    ours, guide = comparison.ours, comparison.baseline
    speed = f"{_whole(ours.tokens_per_second)} against {_whole(guide.tokens_per_second)} tokens/s"
    memory = f"{ours.peak / GIB:.1f} against {guide.peak / GIB:.1f} GiB per GPU"
    if guide.note:
        speed += f"; the guide's script ran {guide.note.splitlines()[0].split(':')[0]}"
    load = f"{ours.host_load_peak / GIB:.1f} against {guide.host_load_peak / GIB:.1f} GiB of host memory while loading"
    return [
        Figure(f"{kind}: tokens per second, of the guide's script", comparison.speed, "x", bars.speed, speed, True),
        Figure(f"{kind}: peak GPU memory, of the guide's script", comparison.memory, "x", bars.memory, memory),
        Figure(f"{kind}: distance of the loss curves, relative", comparison.loss_distance, "", LOSS_BAR, load),
    ]


def not_measured(kind: str) -> list[Figure]:
    """The same rows without values."""
    nothing = RunResult(None, (), 0, 0, 0, 0)
    empty = Comparison(kind, nothing, nothing, None, None, None)
    return [Figure(f.name, None, f.unit, f.bar, "", f.at_least) for f in documented(empty)]


def _runs(comparison: Comparison) -> list[tuple[str, RunResult]]:
    return [
        (f"{comparison.kind}, this trainer", comparison.ours),
        (f"{comparison.kind}, the guide's script", comparison.baseline),
    ]


def _verdict(comparison: Comparison, name: str, ratio: float | None, bar: str) -> str:
    words = {True: "reached", False: "missed", None: NOT_MEASURED}[comparison.verdicts[name]]
    shown = "" if ratio is None else f"{ratio:.3f}"
    return f"{comparison.kind + ': ' + name:<62}{shown:>8}  {bar}: {words}"


def _whole(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.0f}"


def _both(ours: int, baseline: int) -> tuple[str, ...]:
    return tuple(f"{value / GIB:.2f}" if value else "-" for value in (ours, baseline))


def _at(comparison: Comparison, index: int) -> tuple[str, str]:
    ours, baseline = comparison.ours.losses, comparison.baseline.losses
    return (
        f"{ours[index]:.4f}" if ours else NOT_MEASURED,
        f"{baseline[index]:.4f}" if baseline else NOT_MEASURED,
    )
