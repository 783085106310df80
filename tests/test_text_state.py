"""Models of texts as files: the same predictions, and headers that do not fit."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from test_artifact import header_with, rebuilt
from test_texts import build, tokenized
from tiers import first_quick

import naejax
from naejax.models.text_backbone import bert_backbone
from naejax.texts import TextSOP, explain_texts

GOLDEN = Path(__file__).parent / "golden" / "format2"


@pytest.fixture(scope="module")
def fitted():
    return naejax.load(GOLDEN / "texts.safetensors")


@pytest.mark.parametrize("removal", first_quick(["attention", "embedding"], 0))
def test_a_saved_model_removes_words_as_before(fitted, removal, tmp_path):
    backbone = fitted.backbone
    backbone = bert_backbone(backbone.model, {"params": backbone.params}, removal)
    model = fitted.model.clone(backbone=backbone)
    changed = TextSOP(model, fitted.variables, backbone, ("a", "b"))
    naejax.save(tmp_path / "model", changed)
    loaded = naejax.load(tmp_path / "model")
    assert (loaded.backbone.removal, loaded.classes) == (removal, ("a", "b"))
    x = np.load(GOLDEN / "texts.npz")["x"]
    outputs = [explain_texts(f, x) for f in (changed, loaded)]
    assert all(map(np.array_equal, *outputs))
    differs = not np.allclose(
        outputs[0].prediction, explain_texts(fitted, x).prediction
    )
    assert differs == (removal == "attention")


@pytest.mark.slow
def test_a_backbone_that_trained_along_is_saved(fitted, tmp_path):
    x = np.load(GOLDEN / "texts.npz")["x"]
    model = fitted.model.clone(frozen=False)
    params = {**fitted.variables["params"], "backbone": fitted.backbone.params}
    tuned = dataclasses.replace(fitted, model=model, variables={"params": params})
    naejax.save(tmp_path / "model", tuned)
    loaded = naejax.load(tmp_path / "model")
    assert not loaded.model.frozen and set(loaded.variables) == {"params"}
    outputs = [explain_texts(f, x).prediction for f in (tuned, loaded)]
    np.testing.assert_array_equal(*outputs)


def test_other_backbones_are_refused(tmp_path):
    own = build(tokenized([5, 9]).x)
    with pytest.raises(ValueError, match="around a Backbone, expected one that"):
        naejax.save(tmp_path / "model", own)
    assert not list(tmp_path.iterdir())


DAMAGED = {
    "depth": (header_with(backbone__depth=10**6), "more layers than"),
    "heads": (header_with(backbone__heads=3), "not a multiple of heads 3"),
    "positions": (header_with(backbone__positions=10**5), "positions is 100000"),
    "vocabulary": (header_with(backbone__vocabulary=21), "does not have the shape"),
    "removal": (header_with(removal="magic"), "removal is 'magic'"),
    "classes": (header_with(classes=["a", "b", "c"]), "names 3 classes"),
    "blur": (header_with(model__blur=2), "expected an odd size"),
    "encoder": (header_with(model__encoder="patches"), "encoder is 'patches'"),
    "parts": (header_with(model__num_parts=10**9), "num_parts is"),
    "field": (header_with(model__magic=1), "has or lacks 'magic'"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_headers_that_do_not_fit_are_refused(name, tmp_path):
    change, message = DAMAGED[name]
    path = tmp_path / "model"
    path.write_bytes(rebuilt((GOLDEN / "texts.safetensors").read_bytes(), change))
    with pytest.raises(ValueError, match=message) as caught:
        naejax.load(path)
    assert "\n" not in str(caught.value)
