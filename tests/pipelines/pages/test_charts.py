"""Charts from the metadata that kfp writes; what makes no sense makes no chart."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.pipelines.pages.charts import (
    area_under,
    charts_of,
    confusion_matrix,
    metric_bars,
    roc_curve,
    roc_curves,
    roc_points,
    scalar_metrics,
)

MATRIX = {
    "confusionMatrix": {
        "annotationSpecs": [{"displayName": "malignant"}, {"displayName": "benign"}],
        "rows": [{"row": [50, 3]}, {"row": [2, 88]}],
    }
}
ROC = {
    "confidenceMetrics": [
        {"confidenceThreshold": 0.2, "falsePositiveRate": 1, "recall": 1},
        {"confidenceThreshold": 1, "falsePositiveRate": 0, "recall": 0},
        {"confidenceThreshold": 0.5, "falsePositiveRate": 0.5, "recall": 0.8},
    ]
}
WRAPPED = {
    "confusionMatrix": {"struct": {"annotationSpecs": [{"displayName": "a"}], "rows": [{"row": [1]}]}},
    "confidenceMetrics": {"list": [{"confidenceThreshold": 1, "falsePositiveRate": 0, "recall": 1}]},
}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


def test_a_confusion_matrix_has_a_cell_for_each_pair() -> None:
    spec = confusion_matrix(MATRIX)
    assert spec is not None
    assert spec["data"]["values"] == [
        {"true": "malignant", "predicted": "malignant", "count": 50, "share": 0.9434},
        {"true": "malignant", "predicted": "benign", "count": 3, "share": 0.0566},
        {"true": "benign", "predicted": "malignant", "count": 2, "share": 0.0222},
        {"true": "benign", "predicted": "benign", "count": 88, "share": 0.9778},
    ]
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["rect", "text"]
    assert spec["encoding"]["x"]["sort"] is None, "classes stay in the order in which they were given"


def test_a_roc_curve_is_in_order_with_its_area() -> None:
    assert [(point["fpr"], point["tpr"]) for point in roc_points(ROC)] == [(0, 0), (0.5, 0.8), (1, 1)]
    spec = roc_curve(ROC)
    assert spec is not None
    assert spec["title"] == "Area under the curve 0.6500"


def test_areas() -> None:
    assert area_under([]) == 0.5
    assert area_under([{"fpr": 0, "tpr": 1}]) == 1
    assert area_under([{"fpr": 0, "tpr": 0}, {"fpr": 1, "tpr": 1}]) == 0.5


def test_curves_over_each_other_are_named() -> None:
    spec = roc_curves({"forest": roc_points(ROC), "trees": roc_points(ROC)})
    colour = spec["layer"][1]["encoding"]["color"]
    assert colour["field"] == "curve"
    assert {value["curve"] for value in spec["layer"][1]["data"]["values"]} == {"forest", "trees"}


def test_older_sdks_wrap_once_more() -> None:
    assert [heading for heading, _ in charts_of(WRAPPED)] == ["Confusion matrix", "ROC curve"]


def test_slices_have_their_own_charts() -> None:
    sliced = {"evaluationSlices": [{"slice": "women", "metrics": MATRIX}, {"slice": "men", "metrics": ROC}]}
    assert [heading for heading, _ in charts_of(sliced)] == ["Confusion matrix, women", "ROC curve, men"]


def test_scalars_are_numbers_only() -> None:
    metadata = {"accuracy": 0.9, "n": 3, "flag": True, "name": "x", "display_name": "m", **MATRIX}
    assert scalar_metrics(metadata) == {"accuracy": 0.9, "n": 3}


def test_bars_compare_at_least_two() -> None:
    assert metric_bars({"a": {"accuracy": 1.0}}) is None
    assert metric_bars({"a": {}, "b": {}}) is None
    spec = metric_bars({"a": {"accuracy": 1.0}, "b": {"accuracy": 0.5}})
    assert spec is not None
    assert len(spec["data"]["values"]) == 2


@pytest.mark.parametrize(
    "matrix",
    [
        None, [], {}, "text", {"annotationSpecs": [], "rows": []},
        {"annotationSpecs": [{"displayName": "a"}], "rows": [{"row": [1, 2]}]},
        {"annotationSpecs": [{"displayName": "a"}], "rows": [{"row": ["1"]}]},
        {"annotationSpecs": [{"displayName": "a"}], "rows": [{"row": [True]}]},
        {"annotationSpecs": [{"displayName": "a"}], "rows": [1]},
    ],
)  # fmt: skip
def test_a_matrix_that_makes_no_sense_makes_no_chart(matrix: Any) -> None:
    assert confusion_matrix({"confusionMatrix": matrix}) is None


@given(st.dictionaries(st.sampled_from(["confusionMatrix", "confidenceMetrics", "evaluationSlices", "x"]), anything))
def test_no_metadata_breaks_a_page(metadata: dict[str, Any]) -> None:
    charts_of(metadata)
    scalar_metrics(metadata)
