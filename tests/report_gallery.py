"""A report on Sum-of-Parts as the page gets it, made without a model."""

import base64
import io

import numpy as np
from PIL import Image


def fake_gallery(images: int = 6, side: int = 24) -> dict:
    """A report on Sum-of-Parts: discs and squares, and the groups that find them."""
    rng = np.random.default_rng(0)
    return {
        "kind": "sop",
        "title": "shapes: which pair of shapes",
        "about": [["data", "1,000 drawn images"], ["naejax", "0.1.0"]],
        "target": {"name": "pair", "kind": "multiclass", "classes": ["disc", "square"]},
        "score_name": "score of the predicted class (log-odds)",
        "scores": [
            {"name": "Sum-of-Parts", "split": "test", "values": {"accuracy": 0.94}},
            {"name": "backbone", "split": "test", "values": {"accuracy": 0.96}},
        ],
        "notes": ["Images are an even sample of the test images."],
        "warnings": [],
        "gallery": [_example(rng, b, side) for b in range(images)],
    }


def fake_texts(texts: int = 5) -> dict:
    """A report on Sum-of-Parts: texts of several lengths and directions."""
    rng = np.random.default_rng(0)
    return fake_gallery(1) | {
        "kind": "texts",
        "title": "reviews: what people say",
        "gallery": [_text(rng, b) for b in range(texts)],
    }


def _text(rng, b: int) -> dict:
    words = ("good", "film", ",", "الفيلم", "</script><img src=x>", "x" * 60, "日本語")
    length = (12, 300, 9, 40, 1)[b % 5]
    tokens = [words[k] for k in rng.integers(7 if b else 3, size=length)]
    if b == 1:
        tokens[50] = None
    entry = _example(rng, b, 4)
    groups = [
        {**group, "tokens": np.flatnonzero(rng.random(length) < 0.25 * k).tolist()}
        for k, group in enumerate(entry["groups"])
    ]
    for group in groups:
        group["tokens"] = [k for k in group["tokens"] if tokens[k] and k < length - 2]
        group.pop("image")
    for key in ("image", "outline", "flat"):
        entry.pop(key)
    return entry | {
        "id": f"text {b + 1}",
        "tokens": tokens,
        "left_out": 120 if b == 1 else 0,
        "marked": [0, 2] if length > 9 else [],
        "still": [length - 2, length - 1] if length > 2 else [],
        "groups": groups,
    }


def _example(rng, b: int, side: int) -> dict:
    image = rng.uniform(0, 90, (side, side, 3))
    image[side // 4 : side // 2, side // 4 : side // 2] = (230, 180, 60)
    outlined, flat = image.copy(), image.copy()
    outlined[side // 4, side // 4 : side // 2] = 255
    flat[side // 2 :] *= 0.3
    contributions = rng.normal(0.6, 0.9, 4).round(3)
    contributions = contributions[np.argsort(-abs(contributions))]
    groups = []
    for value in contributions.tolist():
        kept = image * (rng.uniform(size=(side, side, 1)) < 0.4)
        group = {"image": _png(kept), "contribution": value, "weight": 0.25}
        group |= {"score": round(value / 0.25, 3), "kept": 0.2, "copies": 1 + b % 2}
        groups.append(group)
    total = round(float(contributions.sum()) + 0.1 + 0.02, 3)
    return {
        "id": f"test image {11 * b}",
        "truth": ("disc", "square")[b % 2],
        "prediction": ("disc", "square")[b % 2 if b != 3 else 0],
        "explained": "score of disc",
        "image": _png(image),
        "outline": _png(outlined) if b % 3 else None,
        "flat": _png(flat),
        "groups": groups,
        "rest": {"groups": 3, "contribution": 0.02},
        "bias": 0.1,
        "total": total,
    }


def _png(rgb) -> str:
    file = io.BytesIO()
    Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(file, "png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
