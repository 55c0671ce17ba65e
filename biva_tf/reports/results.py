"""The numbers of a run: its result on the test split, and its evaluations."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from biva_tf.evaluation.records import AnomalyRecord, ClassificationRecord, EvaluationRecord
from biva_tf.evaluation.summary import Mean, lower_is_better
from biva_tf.model.spec import ModelSpec
from biva_tf.plotting.document import Paragraph, Picture, Section, SectionPart, Table

SummaryFields = dict[str, Any]  # the content of summary.json


def bounds(
    summary: SummaryFields | None, evaluations: Iterable[EvaluationRecord], dataset: str
) -> Section:
    """A table of all bounds, and a table of the latents for each evaluation.

    Args:
      summary: the run's summary; None before its end.
      evaluations: the model's evaluations.
      dataset: that the run was trained on.
    """
    evaluations = tuple(evaluations)
    rows: list[tuple[str, ...]] = []
    if summary is not None:
        source = f"{dataset} {summary['split']}"
        step, nats = summary["selected_step"], -summary["elbo_nats"]
        bits = summary["bits_per_dim"]
        bits = "-" if bits is None else f"{bits:.4f}"
        rows.append(("-L_1", f"{nats:.3f}", bits, "-", f"{step:,}", f"{source} (all)"))
    for record in evaluations:
        rows += _bound_rows(record)
    if not rows:
        return Section("Bounds", (Paragraph("There are no evaluations and no result yet."),))
    head = ("bound", "nats", "bits/dim", "examples", "weights of step", "data")
    explained = (
        "L_1 is the ELBO and L_K the importance-weighted bound with K samples, both bounds on "
        "log p(x); L^{>k} takes the latents of levels <= k from their prior. The numbers are means "
        "over the examples ± their standard errors. Of -L_1 and -L_K, lower is better."
    )
    parts: list[SectionPart] = [Paragraph(explained), Table("All bounds", head, tuple(rows))]
    if summary is not None:
        latents = tuple((name, f"{kl:.3f}") for name, kl in summary["kl_nats"].items())
        parts.append(Table(f"Latents, {source} (all)", ("latent", "KL, nats"), latents))
    parts += [latent_table(record) for record in evaluations]
    return Section("Bounds", tuple(parts))


def _bound_rows(record: EvaluationRecord) -> list[tuple[str, ...]]:
    summary, name = record.summary, f"{record.dataset} {record.split}"
    means = [("-L_1", summary.l_1, -1), (f"-L_{record.settings.iw_samples}", summary.l_k, -1)]
    below = f", prior {record.settings.below}"
    means += [(f"-L^{{>{k}}}{below}", mean, -1) for k, mean in summary.above.items()]
    means += [(f"LLR^{{>{k}}}{below}", mean, 1) for k, mean in summary.llr.items()]
    rows: list[tuple[str, ...]] = []
    for bound, mean, sign in means:
        bits = "-"
        if summary.in_bits:
            bits = _with_error(mean.bits_per_dim, mean.bits_per_dim_standard_error)
        nats = _with_error(sign * mean.nats, mean.nats_standard_error, 3)
        step = f"{record.weights_step:,}"
        rows.append((bound, nats, bits, f"{summary.examples:,}", step, name))
    return rows


def _with_error(mean: float, error: float | None, digits: int = 4) -> str:
    text = f"{mean:.{digits}f}"
    return text if error is None else f"{text} ± {error:.{digits}f}"


def latent_table(record: EvaluationRecord) -> Table:
    """The use of each latent; with KL(q||p) in closed form if it was computed."""
    summary = record.summary
    closed = any(z.closed_kl_nats is not None for z in summary.latents)
    header: tuple[str, ...] = ("latent", "KL, nats", "active units", "units")
    rows: list[tuple[str, ...]] = [
        (z.name, f"{z.kl_nats:.3f}", "-" if z.active_units is None else str(z.active_units),
         str(z.units))
        for z in summary.latents
    ]  # fmt: skip
    if summary.kl_y_nats is not None:
        rows.append(("y", f"{summary.kl_y_nats:.3f}", "-", "-"))
    if closed:
        kls = [z.closed_kl_nats for z in summary.latents] + [summary.kl_y_nats]
        header = (*header, "KL in closed form, nats")
        rows = [(*row, f"{kl:.3f}") for row, kl in zip(rows, kls, strict=False)]
    average, median, least = summary.effective_sample_size
    caption = (
        f"Latents, {record.dataset} {record.split}, {summary.examples:,} examples. Effective "
        f"sample size of {record.settings.iw_samples}: mean {average:.1f}, median {median:.1f}, "
        f"least {least:.1f}"
    )
    if summary.perplexity is not None:
        caption += f". Perplexity per token: {summary.perplexity:.2f}"
    return Table(caption, header, tuple(rows))


def anomalies(records: Iterable[tuple[Path, AnomalyRecord]], spec: ModelSpec) -> Section:
    """For each detection its histograms, its means and how well each score detects.

    Args:
      records: the detections and their files. The histograms are beside them.
      spec: the model's spec.
    """
    parts: list[SectionPart] = []
    factor, unit = lower_is_better(spec)
    for path, record in records:
        inner, outer = record.in_dataset, record.out_dataset
        known, other = record.examples
        what = (
            f"{outer} ({other:,} examples) against {inner} ({known:,}), "
            f"{record.settings.iw_samples} samples per example, latents <= k: prior "
            f"{record.settings.below}, weights of step {record.weights_step:,}"
        )
        parts.append(Paragraph(what))
        picture = path.with_suffix(".png")
        if picture.exists():
            alt = f"Histograms of -L^{{>k}} of {inner} and {outer}, a panel for each k"
            parts.append(Picture(picture.read_bytes(), alt))
        rows = [
            (name, *(f"{factor * mean.nats:.2f}" for mean in pair))
            for name, pair in _named_means(record)
        ]
        parts.append(Table(f"Means, {unit}", ("bound", inner, outer), tuple(rows)))
        rows = [
            (name, f"{d.auroc:.4f}", f"{d.auprc:.4f}", f"{d.fpr80:.4f}")
            for name, d in record.detection.items()
        ]
        head = ("score", "AUROC", "AUPRC", "FPR80")
        parts.append(Table(f"Detection of {outer}", head, tuple(rows)))
    return Section("Anomaly detection", tuple(parts))


def _named_means(record: AnomalyRecord) -> list[tuple[str, tuple[Mean, Mean]]]:
    names = (("-L", record.above), (f"-L_{record.settings.iw_samples}", record.bounds_above))
    return [(f"{name}^{{>{k}}}", pair) for name, means in names for k, pair in means.items()]


def classification(records: Iterable[tuple[Path, ClassificationRecord]]) -> tuple[SectionPart, ...]:
    """For each classification its numbers and its confusion matrix.

    Args:
      records: the classifications and their files. The pictures of the matrices are beside them.
    """
    parts: list[SectionPart] = []
    for path, record in records:
        s, name = record.summary, f"{record.dataset} {record.split}"
        rows = (
            ("error", f"{100 * s.error:.2f} %"),
            ("-log q(y|x), nats", f"{s.nll_nats:.4f}"),
            ("calibration error (ECE)", f"{s.ece:.4f}"),
        )
        caption = f"{name}, {s.examples:,} images, weights of step {record.weights_step:,}"
        parts.append(Table(caption, (), rows))
        picture = path.with_suffix(".png")
        if picture.exists():
            alt = f"Confusion matrix of {name}: labels in rows, predictions in columns"
            parts.append(Picture(picture.read_bytes(), alt))
    return tuple(parts)
