"""The pictures of a calibration: ROC curves, and box plots of each measure by group (the paper's Figure 3)."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from scanside_appliance.statistics.auc import Bools, Floats
from scanside_appliance.statistics.cut_off import best_point

AXIS_NAMES = {"poi_percent": "POI, %", "ihu_hu": "iHU, HU", "age_years": "age, years"}


def roc_picture(curves: Sequence[tuple[str, Bools, Floats]]) -> bytes:
    """PNG of ROC curves, a dot at Youden's cut-off: a caption, who is positive (n,), and the score (n,) of each."""
    figure = Figure(figsize=(5.0, 5.0), layout="constrained")
    axes = figure.add_subplot()
    for caption, positive, score in curves:
        false_positive, true_positive, _ = roc_curve(positive, score, drop_intermediate=False)
        (line,) = axes.step(false_positive, true_positive, where="post", label=caption)
        best = best_point(false_positive, true_positive)
        axes.plot(false_positive[best], true_positive[best], "o", color=line.get_color(), markersize=5)
    axes.plot([0, 1], [0, 1], color="0.7", linestyle=":", linewidth=1)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.legend(loc="lower right", frameon=False)
    return _png(figure)


def box_picture(label: str, positive: Bools, measures: dict[str, Floats]) -> bytes:
    """PNG of one box plot a measure, NaN left out: median, quartiles, whiskers to 1.5 times their distance."""
    figure = Figure(figsize=(3.2 * len(measures), 4.0), layout="constrained")
    for place, (name, values) in enumerate(measures.items(), 1):
        axes = figure.add_subplot(1, len(measures), place)
        known = values == values
        groups = [values[known & ~positive], values[known & positive]]
        axes.boxplot(
            groups, tick_labels=[f"{label} = {number}\nn = {group.size}" for number, group in enumerate(groups)]
        )
        axes.set_ylabel(AXIS_NAMES.get(name, name))
    return _png(figure)


def _png(figure: Figure) -> bytes:
    """Drawn without any display; no date inside, so that the same figures make the same file."""
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})
    return out.getvalue()
