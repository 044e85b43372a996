"""Charts of what steps put out, as Vega-Lite specifications: plain dicts made from an artifact's metadata.

The metadata is what ``kfp`` writes: ``Metrics`` holds numbers by name; ``ClassificationMetrics`` holds a
``confusionMatrix`` (``annotationSpecs``, ``rows`` of ``row``) and ``confidenceMetrics`` (``confidenceThreshold``,
``falsePositiveRate``, ``recall``); with several slices ``evaluationSlices`` or ``metrics`` hold such parts again. What
cannot be understood gives no chart rather than an error. Colours named ``var:--…`` are the page's own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Spec = dict[str, Any]

_CHARTED = frozenset({"confusionMatrix", "confidenceMetrics", "evaluationSlices"})
"""What the charts are drawn from."""
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_INTERNAL = _CHARTED | {"display_name", "store_session_info"}


def scalar_metrics(metadata: Mapping[str, Any]) -> dict[str, float | int]:
    """Return the numbers in a metrics artifact's metadata, by name."""
    return {
        name: value
        for name, value in metadata.items()
        if name not in _INTERNAL and isinstance(value, int | float) and not isinstance(value, bool)
    }


def confusion_matrix(metadata: Mapping[str, Any]) -> Spec | None:
    """Return a heat map of true class against predicted class with the counts written in; None if there is none."""
    found = _struct(metadata.get("confusionMatrix"))
    names = [str(_struct(one).get("displayName", i)) for i, one in enumerate(_list(found.get("annotationSpecs")))]
    rows = [_list(_struct(row).get("row")) for row in _list(found.get("rows"))]
    numbers = all(isinstance(cell, int | float) and not isinstance(cell, bool) for row in rows for cell in row)
    if not names or len(rows) != len(names) or any(len(row) != len(names) for row in rows) or not numbers:
        return None
    top = max((cell for row in rows for cell in row), default=0)
    values = []
    for actual, row in zip(names, rows, strict=True):
        total = sum(row)
        for predicted, count in zip(names, row, strict=True):
            share = count / total if total else 0.0
            values.append({"true": actual, "predicted": predicted, "count": count, "share": round(share, 4)})
    axis = {"labelLimit": 140, "domain": False, "ticks": False}
    side = min(max(64 * len(names), 150), 420)
    return {
        "$schema": SCHEMA,
        "description": f"Confusion matrix of {len(names)} classes.",
        "data": {"values": values},
        "width": side,
        "height": side,
        "encoding": {
            "x": {
                "field": "predicted",
                "type": "nominal",
                "sort": None,
                "title": "predicted",
                "axis": {**axis, "labelAngle": 0 if len(names) <= 4 else -45, "orient": "top"},
            },
            "y": {"field": "true", "type": "nominal", "sort": None, "title": "true", "axis": axis},
        },
        "layer": [
            {
                "mark": {"type": "rect", "tooltip": True, "stroke": "var:--bg", "strokeWidth": 2},
                "encoding": {
                    "color": {
                        "field": "count",
                        "type": "quantitative",
                        "scale": {"domain": [0, max(top, 1)], "range": ["var:--bg-soft", "var:--heat"]},
                        "legend": None,
                    },
                    "tooltip": [
                        {"field": "true", "type": "nominal"},
                        {"field": "predicted", "type": "nominal"},
                        {"field": "count", "type": "quantitative"},
                        {"field": "share", "type": "quantitative", "format": ".1%", "title": "share of the true class"},
                    ],
                },
            },
            {
                "mark": {"type": "text", "fontSize": 13 if len(names) <= 8 else 10, "fontWeight": 600},
                "encoding": {
                    "text": {"field": "count", "type": "quantitative"},
                    "color": {"value": "var:--text"},
                },
            },
        ],
    }


def roc_points(metadata: Mapping[str, Any]) -> list[dict[str, float]]:
    """Return a ROC curve's points in order: false and true positive rate, and the threshold."""
    points = []
    for one in _list(metadata.get("confidenceMetrics")):
        point = _struct(one)
        rates = (point.get("falsePositiveRate", 0.0), point.get("recall", 0.0), point.get("confidenceThreshold", 0.0))
        if all(isinstance(rate, int | float) and not isinstance(rate, bool) for rate in rates):
            points.append(dict(zip(("fpr", "tpr", "threshold"), (float(rate) for rate in rates), strict=True)))
    return sorted(points, key=lambda point: (point["fpr"], point["tpr"]))


def area_under(points: Sequence[Mapping[str, float]]) -> float:
    """Return the area under a ROC curve by trapezoids, from (0, 0) to (1, 1)."""
    area, x, y = 0.0, 0.0, 0.0
    for point in (*points, {"fpr": 1.0, "tpr": 1.0}):
        area += (point["fpr"] - x) * (point["tpr"] + y) / 2
        x, y = point["fpr"], point["tpr"]
    return area


def roc_curve(metadata: Mapping[str, Any]) -> Spec | None:
    """Return one ROC curve over the diagonal of chance; None if there is none."""
    points = roc_points(metadata)
    return roc_curves({"": points}) if points else None


def roc_curves(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> Spec:
    """Return several ROC curves over each other, named; one without a name gets no legend."""
    values = [{"curve": name, "order": i, **point} for name, points in curves.items() for i, point in enumerate(points)]
    named = any(curves)
    colour: Spec = {"value": "var:--accent"}
    if named:
        colour = {
            "field": "curve",
            "type": "nominal",
            "sort": None,
            "title": None,
            "legend": {"orient": "bottom", "columns": 1, "labelLimit": 280, "labelFontSize": 12},
        }
    rate = {
        "type": "quantitative",
        "scale": {"domain": [0, 1], "nice": False},
        "axis": {"format": ".1f", "tickCount": 5},
    }
    areas = ", ".join(f"{name or 'area'} {area_under(points):.3f}" for name, points in curves.items())
    return {
        "$schema": SCHEMA,
        "description": f"ROC curve, area under it: {areas}.",
        "width": 260,
        "height": 240,
        "title": None if named else f"Area under the curve {area_under(next(iter(curves.values()))):.4f}",
        "layer": [
            {
                "data": {"values": [{"fpr": 0, "tpr": 0}, {"fpr": 1, "tpr": 1}]},
                "mark": {"type": "line", "strokeDash": [4, 4], "color": "var:--line-strong", "strokeWidth": 1},
                "encoding": {"x": {"field": "fpr", **rate}, "y": {"field": "tpr", **rate}},
            },
            {
                "data": {"values": values},
                "mark": {
                    "type": "line",
                    "interpolate": "linear",
                    "strokeWidth": 2,
                    "point": len(values) <= 40,
                    "tooltip": True,
                },
                "encoding": {
                    "x": {"field": "fpr", "title": "false positive rate", **rate},
                    "y": {"field": "tpr", "title": "true positive rate", **rate},
                    "order": {"field": "order", "type": "quantitative"},
                    "color": colour,
                    "tooltip": [
                        {"field": "threshold", "type": "quantitative", "format": ".4f"},
                        {"field": "fpr", "type": "quantitative", "format": ".4f", "title": "false positive rate"},
                        {"field": "tpr", "type": "quantitative", "format": ".4f", "title": "true positive rate"},
                    ],
                },
            },
        ],
    }


def metric_bars(values: Mapping[str, Mapping[str, float]]) -> Spec | None:
    """Return one small row of bars a metric, a bar for each named source; None with fewer than two sources."""
    if len(values) < 2:
        return None
    rows = [
        {"source": source, "metric": name, "value": value}
        for source, own in values.items()
        for name, value in own.items()
    ]
    if not rows:
        return None
    return {
        "$schema": SCHEMA,
        "description": "Metrics side by side.",
        "data": {"values": rows},
        "facet": {
            "row": {
                "field": "metric",
                "type": "nominal",
                "title": None,
                "header": {"labelAngle": 0, "labelAlign": "left", "labelColor": "var:--muted"},
            }
        },
        "resolve": {"scale": {"x": "independent"}},
        "spec": {
            "width": 260,
            "height": {"step": 18},
            "mark": {"type": "bar", "tooltip": True, "color": "var:--accent"},
            "encoding": {
                "y": {"field": "source", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 180}},
                "x": {"field": "value", "type": "quantitative", "title": None, "axis": {"tickCount": 4}},
                "tooltip": [
                    {"field": "source", "type": "nominal"},
                    {"field": "metric", "type": "nominal"},
                    {"field": "value", "type": "quantitative", "format": ".5f"},
                ],
            },
        },
    }


def other_metadata(metadata: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return what neither a chart nor the metrics show, to be listed as it is."""
    return {name: value for name, value in metadata.items() if name not in _CHARTED and name not in metrics}


def charts_of(metadata: Mapping[str, Any]) -> list[tuple[str, Spec]]:
    """Return every chart that an artifact's metadata asks for, each with its heading."""
    found = []
    matrix, curve = confusion_matrix(metadata), roc_curve(metadata)
    if matrix is not None:
        found.append(("Confusion matrix", matrix))
    if curve is not None:
        found.append(("ROC curve", curve))
    for one in _list(metadata.get("evaluationSlices")):
        part = _struct(one)
        name = str(part.get("slice") or "slice")
        found += [(f"{heading}, {name}", spec) for heading, spec in charts_of(_struct(part.get("metrics")))]
    return found


def _struct(value: Any) -> Mapping[str, Any]:
    """Read a mapping; ``kfp`` wraps some lists and structs once more under ``struct``."""
    if not isinstance(value, Mapping):
        return {}
    inner = value.get("struct")
    return inner if isinstance(inner, Mapping) else value


def _list(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        value = value.get("list")
    return list(value) if isinstance(value, list | tuple) else []
