"""The metrics of a run, read from its metrics.jsonl."""

from typing import Any

from biva_tf.runs.run_dir import RunDir, RunDirError


def read_metrics(run_dir: RunDir) -> dict[str, list[dict[str, Any]]]:
    """The lines of metrics by split, in the order of the steps.

    A line without a bound, of training steps that were all skipped, is left out.

    Raises:
      RunDirError: there are none, or they cannot be read.
    """
    lines: dict[str, list[dict]] = {}
    try:
        for values in run_dir.metric_lines():
            if "elbo" in values:
                lines.setdefault(values["split"], []).append(values)
    except FileNotFoundError as e:
        raise RunDirError(f"{run_dir.metrics}: no such file; has the run begun?") from e
    if "train" not in lines:
        raise RunDirError(f"{run_dir.metrics}: expected lines of metrics, found none")
    return lines
