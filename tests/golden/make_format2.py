"""Writes the golden files of format 2: models of every kind, and what they predict.

They are never written again: every later naejax must load them and predict what it
predicted then. Format 1, which held the networks of models with knots, was never
published. To add one:

    python tests/golden/make_format2.py tests/golden/format2 NAME
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

import naejax
from naejax.data import infer_schema, make_shapes, read_columns
from naejax.settings import Settings
from naejax.tabular import explain_rows, fit_table

ROWS = 60


def table(kind: str) -> dict[str, np.ndarray]:
    """Numbers, a category, truth values and a target, with missing cells."""
    rng = np.random.default_rng(0)
    size, gap = rng.uniform(1, 9, ROWS), rng.normal(size=ROWS)
    city = np.array(["Oslo", "Bergen", "Tromsø"])[rng.integers(3, size=ROWS)]
    garden = rng.random(ROWS) < 0.5
    value = 1000 + 500 * size + 800 * (city == "Oslo") + 300 * garden * gap
    target: Any = {
        "regression": value,
        "monotone": value,
        "ensemble": np.array(["dear", "cheap"])[(value < 3500).astype(int)],
        "multiclass": np.array(["low", "mid", "high"])[
            np.digitize(value, [2700, 4300])
        ],
        "counts": np.round(value / 1000),
    }[kind]
    gap[::7] = np.nan
    city[::9] = ""
    return {"size": size, "gap": gap, "city": city, "garden": garden, "y": target}


SIGNS = (("size", 1), ("garden", -1))
SETTINGS = {
    "regression": Settings(hidden=(8, 8), top_k=2, gate_rank=4, num_knots=0),
    "multiclass": Settings(hidden=(8,), top_k=2, gate="equal", gate_rank=2),
    "counts": Settings(
        hidden=(6,),
        gate="own",
        loss="poisson",
        categorical="target",
        numeric="standard",
    ),
    "monotone": Settings(hidden=(6,), num_knots=6, monotone=SIGNS, gate_rank=2),
    "ensemble": Settings(hidden=(6,), num_knots=4, gate_rank=0, members=2),
}


def make_table(kind: str) -> tuple[Any, dict[str, np.ndarray]]:
    """A fitted table, with its rows and what it says about them."""
    cells = table(kind)
    columns = read_columns(cells)
    fitted, _ = fit_table(
        columns,
        columns,
        infer_schema(columns, "y", task="regression" if kind == "counts" else "auto"),
        replace(SETTINGS[kind], num_experts=4, epochs=30),
        progress=False,
    )
    del cells["y"]
    # Rows that training has not seen: a new city, gaps everywhere.
    cells["city"][:2], cells["size"][2] = "Bodø", np.nan
    output = explain_rows(fitted, read_columns(cells))
    arrays = {f"column:{name}": cell for name, cell in cells.items()}
    arrays["prediction"] = output.prediction
    arrays["contributions"] = output.contributions
    return fitted, arrays


def make_estimator(kind: str) -> tuple[Any, dict[str, np.ndarray]]:
    """A fitted estimator, with rows and what it says about them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 2))
    options: Any = {"num_experts": 4, "hidden": (6,), "epochs": 30, "num_knots": 4}
    if kind == "regressor":
        model: Any = naejax.NAERegressor(
            **options, n_members=2, calibration_fraction=0.3, monotone={0: -1}
        )
        model.fit(x, 100 - 20 * x[:, 0] + 10 * x[:, 1] ** 2)
    else:
        labels = np.array([-1, 3, 10])[np.digitize(x[:, 0] * x[:, 1], [-0.3, 0.3])]
        model = naejax.NAEClassifier(**options).fit(x, labels)
    arrays = {"x": x, "prediction": model.predict(x)}
    if kind == "regressor":
        return model, arrays | {"interval": model.predict_interval(x, 0.2)}
    return model, arrays | {"scores": model.decision_function(x)}


def make_images(kind: str) -> tuple[Any, dict[str, np.ndarray]]:
    """A backbone, or Sum-of-Parts around it, with images and what it says."""
    from naejax.models.cnn import CNN, cnn_backbone
    from naejax.models.sop import SumOfParts
    from naejax.vision import ImageBackbone, ImageSOP, explain_images, score_images

    x = make_shapes(4, side=16).x.astype(np.float32)
    cnn = CNN(2, channels=(4, 4), hidden=(6,))
    variables = jax.jit(cnn.init)(jax.random.key(0), x)
    backbone = ImageBackbone(
        cnn, variables, x.shape[1:], ("cat", "dog"), (), (0.0, 0.0), (1.0, 1.0)
    )
    if kind == "backbone":
        return backbone, {"x": x, "prediction": score_images(backbone, x)}
    model = SumOfParts(cnn_backbone(cnn, variables), 2, num_groups=3, heads=2, width=8)
    fitted = ImageSOP(model, jax.jit(model.init)(jax.random.key(1), x), backbone)
    output = explain_images(fitted, x)
    return fitted, {
        "x": x,
        "prediction": output.prediction,
        "contributions": output.contributions,
    }


def make_texts(kind: str) -> tuple[Any, dict[str, np.ndarray]]:
    """Sum-of-Parts around a BERT, with texts and what it says."""
    from naejax.models.bert import BERT
    from naejax.models.sop import SumOfParts
    from naejax.models.text_backbone import bert_backbone
    from naejax.texts import TextSOP, explain_texts

    bert = BERT(2, 20, width=8, depth=2, heads=2, mlp=8, positions=12)
    rng = np.random.default_rng(0)
    x = np.zeros((4, 10, 4), np.float32)
    x[..., 0] = rng.integers(20, size=(4, 10))
    x[..., 2] = np.arange(10) < rng.integers(5, 11, (4, 1))
    x[..., 3] = np.where(x[..., 2], np.arange(10) // 2 - 1, -1)
    variables = jax.jit(bert.init)(jax.random.key(0), x[..., 0].astype(int))
    backbone = bert_backbone(bert, variables, "embedding")
    model = SumOfParts(
        backbone, 2, num_groups=3, heads=2, encoder="copy", num_parts=4, keep=0.5
    )
    variables = jax.jit(model.init)(jax.random.key(1), x)
    fitted = TextSOP(model, variables, backbone, ("no", "yes"))
    output = explain_texts(fitted, x)
    return fitted, {
        "x": x,
        "prediction": output.prediction,
        "contributions": output.contributions,
    }


MAKERS = {
    "regression": make_table,
    "multiclass": make_table,
    "counts": make_table,
    "monotone": make_table,
    "ensemble": make_table,
    "regressor": make_estimator,
    "classifier": make_estimator,
    "backbone": make_images,
    "sop": make_images,
    "texts": make_texts,
}


def main() -> None:
    """Writes the files that are asked for."""
    folder = Path(sys.argv[1])
    for name in sys.argv[2:] or MAKERS:
        path = folder / f"{name}.safetensors"
        if path.exists():
            raise SystemExit(f"{path} exists: golden files are never written again")
        fitted, arrays = MAKERS[name](name)
        naejax.save(path, fitted)
        np.savez_compressed(folder / f"{name}.npz", **arrays)


if __name__ == "__main__":
    main()
