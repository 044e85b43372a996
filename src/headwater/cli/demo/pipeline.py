"""The demo's pipeline: tell benign from malignant tumours with three models, and keep the best.

Written against the public ``kfp`` SDK only, as any user's pipeline is; nothing here knows Headwater. The data is
scikit-learn's copy of the Wisconsin breast cancer set (569 rows, 30 features).
"""

import sys
from typing import NamedTuple

from kfp import dsl
from kfp.dsl import ClassificationMetrics, Dataset, Input, Metrics, Model, Output

IMAGE = f"python:{sys.version_info.major}.{sys.version_info.minor}"
PACKAGES = ["scikit-learn==1.7.2"]
ALGORITHMS = ["logistic-regression", "random-forest", "nearest-neighbours"]


@dsl.component(base_image=IMAGE, packages_to_install=PACKAGES)
def load(data: Output[Dataset]) -> int:
    """Write the data set as CSV, after checking that it is what the other steps expect."""
    import csv

    import numpy
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    if numpy.isnan(bunch.data).any():
        raise ValueError("the data set has missing values")
    if set(bunch.target) != {0, 1}:
        raise ValueError(f"expected the classes 0 and 1, found {sorted(set(bunch.target))}")
    with open(data.path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*bunch.feature_names, "benign"])
        for row, label in zip(bunch.data, bunch.target, strict=True):
            writer.writerow([*row, label])
    data.metadata["rows"] = len(bunch.data)
    data.metadata["features"] = bunch.data.shape[1]
    print(f"{len(bunch.data)} rows, {bunch.data.shape[1]} features, {bunch.target.mean():.0%} benign")
    return len(bunch.data)


@dsl.component(base_image=IMAGE, packages_to_install=PACKAGES)
def split(data: Input[Dataset], test_fraction: float, seed: int, train: Output[Dataset], test: Output[Dataset]):
    """Divide the rows into a part to learn from and a part to judge by, with equal shares of each class."""
    import numpy
    from sklearn.model_selection import train_test_split

    with open(data.path) as file:
        header = file.readline().strip()
        table = numpy.loadtxt(file, delimiter=",")
    parts = train_test_split(table, test_size=test_fraction, random_state=seed, stratify=table[:, -1])
    for output, part in zip((train, test), parts, strict=True):
        numpy.savetxt(output.path, part, delimiter=",", header=header, comments="", fmt="%.10g")
        output.metadata["rows"] = len(part)
    print(f"{len(parts[0])} rows to learn from, {len(parts[1])} to judge by")


@dsl.component(base_image=IMAGE, packages_to_install=PACKAGES)
def train_model(train: Input[Dataset], algorithm: str, seed: int, model: Output[Model]):
    """Fit one model."""
    import joblib
    import numpy
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = numpy.loadtxt(train.path, delimiter=",", skiprows=1)
    candidates = {
        "logistic-regression": LogisticRegression(max_iter=1000, random_state=seed),
        "random-forest": RandomForestClassifier(n_estimators=100, random_state=seed),
        "nearest-neighbours": KNeighborsClassifier(n_neighbors=7),
    }
    fitted = make_pipeline(StandardScaler(), candidates[algorithm]).fit(table[:, :-1], table[:, -1])
    joblib.dump(fitted, model.path)
    model.framework = "scikit-learn"
    model.metadata["algorithm"] = algorithm
    print(f"fitted {algorithm} on {len(table)} rows")


@dsl.component(base_image=IMAGE, packages_to_install=PACKAGES)
def evaluate(
    model: Input[Model],
    test: Input[Dataset],
    metrics: Output[Metrics],
    curves: Output[ClassificationMetrics],
) -> float:
    """Judge one model on rows that it has not seen: scalar metrics, a confusion matrix and a ROC curve."""
    import joblib
    import numpy
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, roc_auc_score, roc_curve

    table = numpy.loadtxt(test.path, delimiter=",", skiprows=1)
    truth = table[:, -1]
    fitted = joblib.load(model.path)
    predicted = fitted.predict(table[:, :-1])
    score = fitted.predict_proba(table[:, :-1])[:, 1]

    accuracy = float(accuracy_score(truth, predicted))
    metrics.log_metric("accuracy", accuracy)
    metrics.log_metric("f1", float(f1_score(truth, predicted)))
    metrics.log_metric("roc_auc", float(roc_auc_score(truth, score)))
    curves.log_confusion_matrix(["malignant", "benign"], confusion_matrix(truth, predicted).tolist())
    false_positive_rate, true_positive_rate, thresholds = roc_curve(truth, score)
    # scikit-learn starts the curve at an infinite threshold, which JSON cannot say.
    curves.log_roc_curve(
        false_positive_rate.tolist(), true_positive_rate.tolist(), numpy.minimum(thresholds, 1.0).tolist()
    )
    print(f"{model.metadata['algorithm']}: accuracy {accuracy:.4f}")
    return accuracy


@dsl.component(base_image=IMAGE, packages_to_install=PACKAGES)
def pick_best(models: Input[list[Model]], scores: list[float], best: Output[Model]) -> NamedTuple(
    "Choice", [("algorithm", str), ("accuracy", float)]
):
    """Keep the model with the highest accuracy."""
    import shutil
    from collections import namedtuple

    accuracy, winner = max(zip(scores, models, strict=True), key=lambda pair: pair[0])
    shutil.copyfile(winner.path, best.path)
    best.metadata.update(winner.metadata)
    best.metadata["accuracy"] = accuracy
    for score, model in sorted(zip(scores, models, strict=True), key=lambda pair: -pair[0]):
        print(f"{model.metadata['algorithm']:<24}{score:.4f}")
    return namedtuple("Choice", ["algorithm", "accuracy"])(winner.metadata["algorithm"], accuracy)


@dsl.pipeline(
    name="breast-cancer",
    description="Load and validate, split, train three models in a loop, evaluate each, keep the best.",
)
def breast_cancer(test_fraction: float = 0.25, seed: int = 7):
    """The whole way from the data set to the best model."""
    loaded = load()
    parts = split(data=loaded.outputs["data"], test_fraction=test_fraction, seed=seed)
    with dsl.ParallelFor(ALGORITHMS, name="models") as algorithm:
        trained = train_model(train=parts.outputs["train"], algorithm=algorithm, seed=seed)
        judged = evaluate(model=trained.outputs["model"], test=parts.outputs["test"])
    pick_best(models=dsl.Collected(trained.outputs["model"]), scores=dsl.Collected(judged.outputs["Output"]))
