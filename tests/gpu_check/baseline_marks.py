"""The line by which `result` knows that the baseline has loaded; apart from `baseline`, which imports torch."""

STARTS = "baseline: training starts"
