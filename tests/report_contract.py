"""What the page of a report relies on, as checks of its data."""

import json
import math

import numpy as np

FEATURE = (
    "name kind missing unique range levels importance member_importance additivity "
    "agreement explained_by_others positions window edges histogram counts shift mean "
    "low high lower upper experts expert_weight hidden_experts member_means rules"
).split()
TABLE = (
    "kind title about target outputs score_name rows scores notes warnings bias "
    "additivity members order features interactions pairs table residuals calibration "
    "confusion"
).split()
ROW = "id cells truth prediction score contributions lower upper movers".split()
ENTRY = (
    "id truth prediction explained image outline flat groups rest bias total"
).split()

TEXT_ENTRY = (
    "id truth prediction explained tokens left_out marked still groups rest bias total"
).split()


def plain(value):
    """Whether a value is what JSON knows, without NaN."""
    if isinstance(value, dict):
        return all(type(key) is str and plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) in (str, int, bool)


def check_common(data):
    """Checks what all reports have."""
    assert plain(data) and json.loads(json.dumps(data, allow_nan=False)) == data
    for pair in data["about"]:
        assert len(pair) == 2 and all(type(text) is str for text in pair)
    assert all(type(note) is str and note.endswith(".") for note in data["notes"])
    assert set(data["target"]) == {"name", "kind", "classes"}
    for entry in data["scores"]:
        assert set(entry) == {"name", "split", "values"} and entry["values"]
    for warning in data["warnings"]:
        assert set(warning) == {"level", "title", "text", "features"}
        assert warning["level"] in ("warn", "info") and warning["text"].endswith(".")
    levels = [warning["level"] for warning in data["warnings"]]
    assert levels == sorted(levels, reverse=True)


def check_table(data):
    """Checks the data of a report on a table."""
    check_common(data)
    assert set(data) == set(TABLE) and data["kind"] == "table"
    outputs, count = len(data["outputs"]), len(data["features"])
    assert len(data["bias"]) == len(data["additivity"]) == outputs >= 1
    assert sorted(data["order"]) == list(range(count))
    for feature in data["features"]:
        check_feature(feature, outputs, data["members"])
    known = range(count)
    for warning in data["warnings"]:
        assert set(warning["features"]) <= set(known)
    if data["interactions"] is not None:
        m = len(data["interactions"]["features"])
        assert set(data["interactions"]["features"]) <= set(known)
        assert np.shape(data["interactions"]["matrix"]) == (outputs, m, m)
    for pair in data["pairs"]:
        assert pair["i"] in known and pair["j"] in known and pair["i"] != pair["j"]
        assert len(pair["strength"]) == outputs and pair["groups"]
        n = len(data["features"][pair["i"]]["positions"])
        for group in pair["groups"]:
            assert group["rows"] > 0
            assert np.shape(group["curve"]) == (outputs, n)
    for row in data["table"]["rows"]:
        assert set(row) == set(ROW) and len(row["cells"]) == count
        assert len(row["score"]) == outputs
        for name in ("contributions", "lower", "upper"):
            assert np.shape(row[name]) == (outputs, count)
        for j, i, effect in row["movers"]:
            assert j in known and i in known and effect > 0


def check_feature(feature, outputs, members):
    """Checks one feature."""
    assert set(feature) == set(FEATURE)
    n = len(feature["positions"])
    assert None not in feature["positions"][:-1] and len(feature["counts"]) == n
    is_numeric = feature["kind"] == "numeric"
    assert (feature["window"] is not None) == is_numeric
    kinds = {type(p) for p in feature["positions"] if p is not None}
    assert kinds <= ({int, float} if is_numeric else {str})
    if feature["histogram"]:
        assert len(feature["edges"]) == len(feature["histogram"]) + 1
        assert (np.diff(feature["edges"]) > 0).all()
    else:
        assert feature["edges"] == []
    for name in ("mean", "low", "high", "lower", "upper"):
        assert np.shape(feature[name]) == (outputs, n)
    slack = 1e-3 * max(np.abs(feature["upper"]).max(), np.abs(feature["lower"]).max())
    for inner in ("low", "mean", "high"):
        assert (np.array(feature["lower"]) <= np.array(feature[inner]) + slack).all()
        assert (np.array(feature["upper"]) >= np.array(feature[inner]) - slack).all()
    for name in ("importance", "additivity", "explained_by_others", "shift"):
        assert len(feature[name]) == outputs
    shown = len(feature["expert_weight"])
    assert feature["expert_weight"] == sorted(feature["expert_weight"], reverse=True)
    if feature["experts"] is not None:
        assert np.shape(feature["experts"]) == (outputs, shown, n) and shown <= 8
    several = members > 1
    for name in ("member_importance", "agreement"):
        assert (feature[name] is not None) == several
    if several:
        assert np.shape(feature["member_importance"]) == (outputs, members)
    if feature["member_means"] is not None:
        assert np.shape(feature["member_means"]) == (outputs, members, n)
    if feature["rules"] is not None:
        leaves, at = feature["rules"]["leaves"], feature["rules"]["at"]
        assert leaves and 0 <= feature["rules"]["fidelity"] <= 1
        assert abs(sum(leaf["share"] for leaf in leaves) - 1) < 1e-3
        for leaf in leaves:
            assert leaf["text"] and np.shape(leaf["curve"]) == (outputs, len(at))


def check_images(data):
    """Checks the data of a report on images."""
    check_common(data)
    assert data["kind"] == "sop" and data["gallery"]
    for entry in data["gallery"]:
        assert set(entry) == set(ENTRY)
        pictures = [entry["image"], entry["flat"], entry["outline"]]
        pictures += [group["image"] for group in entry["groups"]]
        for uri in pictures:
            assert uri is None or uri.startswith("data:image/png;base64,iVBORw0KGgo")
        check_sum(entry)
        for group in entry["groups"]:
            assert 0 < group["kept"] <= 1


def check_texts(data):
    """Checks the data of a report on texts."""
    check_common(data)
    assert data["kind"] == "texts" and data["gallery"]
    for entry in data["gallery"]:
        assert set(entry) == set(TEXT_ENTRY)
        check_sum(entry)
        tokens = entry["tokens"]
        assert tokens and entry["left_out"] >= tokens.count(None)
        assert (None in tokens) == (entry["left_out"] > 0)
        for token in tokens:
            assert token is None or (token.strip() == token and 0 < len(token) <= 60)
        for places in (entry["marked"], entry["still"]):
            check_places(places, tokens)
        for group in entry["groups"]:
            assert set(group) == set(
                "tokens kept contribution weight score copies".split()
            )
            check_places(group["tokens"], tokens)
            assert not set(group["tokens"]) & set(entry["still"])
            assert 0 <= group["kept"] <= 1


def check_places(places, tokens):
    """Places are of tokens that are there, in order."""
    assert places == sorted(set(places))
    assert all(0 <= k < len(tokens) and tokens[k] is not None for k in places)


def check_sum(entry):
    """Groups come strongest first and add up, and each is weight times score."""
    shares = [abs(group["contribution"]) for group in entry["groups"]]
    assert shares == sorted(shares, reverse=True)
    total = entry["bias"] + sum(g["contribution"] for g in entry["groups"])
    total += entry["rest"]["contribution"] if entry["rest"] else 0
    slack = 1e-2 * max([*shares, abs(entry["total"])])
    assert abs(total - entry["total"]) <= slack
    for group in entry["groups"]:
        assert group["copies"] >= 1
        product = group["weight"] * group["score"]
        assert abs(product - group["contribution"]) <= slack
