"""Fitted models of tables as one SELECT statement, for sqlite and DuckDB.

A model with knots is a set of tables. A feature has an entry for every bound (a knot or
a level) and one for missing cells; a cell becomes a place among all entries, such as
17.25, and numbers are interpolated there, as in `naejax.numpy_nae` but in float64.
Sqlite needs its mathematical functions and version 3.35.
"""

from collections.abc import Iterable

import numpy as np

from naejax.data.cells import LARGEST, MISSING_MARKERS, quoted
from naejax.data.codec import Codec, encode_column
from naejax.data.schema import Feature
from naejax.layout import config_of, flatten
from naejax.numpy_nae import look_up, prepare
from naejax.tabular import TabularNAE
from naejax.tabular.fitted import LOG_LINK
from naejax.tabular.predict import name_parts

_STATEMENT = """\
-- naejax: predicts {target} for every row of the table "rows", named once below.
-- NULL is missing. In columns of numbers so are '' and 'NA'; correct other texts there.
WITH {tables},
nae_row AS MATERIALIZED (SELECT ROW_NUMBER() OVER () AS nae_r, t.* FROM "rows" AS t),
nae_cell AS ({cells}),
nae_place AS MATERIALIZED (
SELECT r, c.f, COALESCE(e, gone) AS e, COALESCE((x - low) * rate, 0e0) AS share
FROM nae_cell AS c LEFT JOIN nae_bound AS b ON b.f = c.f AND x > low AND x <= high),
nae_told AS MATERIALIZED (
SELECT r, m, {told} FROM nae_place JOIN nae_tell USING (e) GROUP BY r, m),
nae_logit AS (SELECT p.r, p.f, p.e, p.share, g.m, g.k, {logit} AS logit
FROM nae_place AS p JOIN nae_told AS s ON s.r = p.r
JOIN nae_gate AS g ON g.f = p.f AND g.m = s.m),
nae_weight AS (SELECT r, f, e, share, m, k, ROW_NUMBER() OVER w AS position,
exp({slope} * (logit - FIRST_VALUE(logit) OVER w)) AS g
FROM nae_logit WINDOW w AS (PARTITION BY r, m, f ORDER BY logit DESC, k)),
nae_part AS (SELECT r, f, {parts} FROM nae_weight JOIN nae_expert USING (e, m, k)
WHERE position <= {top_k} GROUP BY r, f, m)
SELECT {columns} FROM nae_part GROUP BY r ORDER BY r;
"""
_MOST = 500
"""Numbers side by side; sqlite joins as many selects, and takes sums of 1,000 terms."""


def to_sql(fitted: TabularNAE) -> str:
    """Writes a model as a statement that gives what `predict_table` gives, by rows.

    Args:
        fitted: a fitted model of a table, with knots and a gate with a rank.

    Returns:
        The statement, which reads the table ``"rows"``; its column ``row`` counts them.

    Raises:
        ValueError: if it is another model, or has more numbers than sqlite takes.
    """
    config, F = config_of(fitted.model), len(fitted.encoder.codecs)
    router, widest = config.router(F), max(F * config.num_outputs, config.told(F))
    full = router != "none" and config.gate_rank is None
    if not config.num_knots or router == "own" or full or widest > _MOST:
        raise ValueError(
            f"got num_knots={config.num_knots}, gate {router!r} of rank "
            f"{config.gate_rank} and {widest} numbers a row, expected knots, another "
            f"gate, with a rank, and at most {_MOST}: fit it so, or write a .stablehlo"
        )
    members = prepare(config, flatten(fitted.variables))
    codes, bounds, cells = _entries(fitted, members)
    shift, scale = fitted.target_scale
    bias = np.mean([m.variables["params/bias"] for m in members], axis=0)
    told, outputs = range(config.told(F) + 1), range(config.num_outputs)
    return _STATEMENT.format(
        target=quoted(fitted.encoder.schema.target.name),
        tables=",\n".join([bounds, *_tables(members, codes, scale / len(members))]),
        cells=cells,
        told=_each("SUM(n{0} + share * d{0}) AS s{0}", told),
        logit=_each("s{0} * w{0}", told, " + "),
        slope=int(router != "equal"),
        parts=_each("SUM(g * (n{0} + share * d{0})) / SUM(g) AS c{0}", outputs),
        top_k=config.num_experts if router == "none" else config.top_k,
        columns=_columns(fitted, [_number(b) for b in bias * scale + shift]),
    )


def _entries(fitted: TabularNAE, members: list) -> tuple[list, str, str]:
    """Codes of the entries of every feature, the table of bounds, and all cells.

    The entries of a feature are its bounds, and last the one of a missing cell.
    """
    codes, rows, cells, first = [], [], [], 0
    for f, feature in enumerate(fitted.encoder.schema.features):
        codec = fitted.encoder.codecs[f]
        bounds = _bounds(codec, np.concatenate([m.knots[f] for m in members]))
        known = codec.table if codec.levels else encode_column(feature, codec, bounds)
        codes.append(np.append(known, codec.fill).astype(np.float32))
        edges = [-LARGEST, *bounds, LARGEST]
        rates = 1 / np.maximum(np.diff(bounds), 1 / LARGEST)
        for i, rate in enumerate([0.0, *rates, 0.0]):
            numbers = ", ".join(map(_number, (*edges[i : i + 2], rate)))
            rows.append(f"({f}, {first + max(i - 1, 0)}, {numbers})")
        first += len(codes[f])
        cell = f"{_cell(feature, codec)} AS x FROM nae_row AS t"
        cells.append(f"SELECT nae_r AS r, {f} AS f, {first - 1} AS gone, {cell}")
    bound = "nae_bound(f, e, low, high, rate) AS MATERIALIZED (VALUES\n{})"
    return codes, bound.format(",\n".join(rows)), "\nUNION ALL ".join(cells)


def _bounds(codec: Codec, knots: np.ndarray) -> np.ndarray:
    """Where a column has entries, in its unit, increasing; or its levels' indices."""
    if codec.levels:
        return np.arange(len(codec.levels))
    knots = knots.astype(np.float64)
    if codec.kind == "standard":
        return np.unique(knots * codec.table[1] + codec.table[0])
    values, codes = codec.table
    # Rounded as knots are, so that a knot of the encoding is found again exactly.
    return np.unique([*values, *np.interp(knots, codes.astype(np.float32), values)])


def _cell(feature: Feature, codec: Codec) -> str:
    """A cell as a number, of text the index of its level; else NULL."""
    # Without its table, sqlite reads a name that is not there as a text.
    name = "t." + _quote(feature.name, '"')
    text = f"CAST({name} AS VARCHAR)"
    if feature.kind == "numeric":
        gone = ", ".join(map(_quote, sorted(MISSING_MARKERS)))
        return f"CASE WHEN trim({text}) NOT IN ({gone}) THEN CAST({name} AS DOUBLE) END"
    # As naejax writes them, 3.0 is 3; sqlite keeps true and false as 1 and 0.
    real = f"CASE WHEN typeof({name}) IN ('real', 'DOUBLE', 'FLOAT') THEN"
    text = f"{real} rtrim(replace({text} || '#', '.0#', ''), '#') ELSE {text} END"
    levels = [*enumerate(codec.levels)]
    levels += [(0, "0"), (1, "1")] if feature.kind == "boolean" else []
    cases = " ".join(f"WHEN {_quote(word)} THEN {i}" for i, word in levels)
    return f"CASE {text} {cases} END"


def _tables(members: list, codes: list, scale: float) -> list[str]:
    """The tables: what entries tell the gates, their experts, and the gates' matrix."""
    K, C, F = members[0].config.num_experts, members[0].config.num_outputs, len(codes)
    dense, each = "params/gates/router/dense/{}".format, []
    for member in members:
        entries = zip(member.knots[:, None], member.table[:, None], codes, strict=True)
        found = [look_up(k, t, c[:, None])[:, 0] for k, t, c in entries]
        numbers = np.concatenate(found)
        experts = numbers[:, : K * C].reshape(-1, K, C) * scale
        # All features together tell a 1, whose weight is the bias.
        told = np.pad(numbers[:, K * C :], ((0, 0), (0, 1)), constant_values=1 / F)
        kernel = member.variables.get(dense("kernel"), np.zeros((0, F, K)))
        bias = member.variables.get(dense("bias"), np.zeros((F, K)))
        each.append((told, experts, np.stack([*kernel, bias], axis=-1)))
    told, experts, gate = map(np.stack, zip(*each, strict=True))
    # Where no bound of the same column follows, a place is whole and no rise counts.
    return [
        _table("nae_tell", "m e", n=told, d=np.diff(told, axis=1, append=0)),
        _table("nae_expert", "m e k", n=experts, d=np.diff(experts, axis=1, append=0)),
        _table("nae_gate", "m f k", w=gate),
    ]


def _columns(fitted: TabularNAE, biases: list[str]) -> str:
    """The columns of `predict_table`, as sums over the parts of a row."""
    classes, C = fitted.encoder.schema.target.classes, len(biases)
    scores = [f"({bias} + SUM(c{j}))" for j, bias in enumerate(biases)]
    columns = ["r", f"exp{scores[0]}" if fitted.loss in LOG_LINK else scores[0]]
    if classes:
        scores = scores if C > 1 else ["0e0", *scores]
        best = (" AND ".join(f"{s} >= {o}" for o in scores) for s in scores)
        cases = zip(best, map(_quote, classes), strict=True)
        columns[1] = f"CASE {' '.join(f'WHEN {b} THEN {c}' for b, c in cases)} END"
        odds = (" + ".join(f"exp({o} - {s})" for o in scores) for s in scores)
        columns += [f"1e0 / ({o})" for o in odds]
    parts = range(len(fitted.encoder.codecs))
    for j, bias in enumerate(biases):
        columns += [bias, *(f"SUM(CASE f WHEN {f} THEN c{j} END)" for f in parts)]
    none = np.zeros((1, len(parts), C))
    names = ["row", *name_parts(fitted, none[:, 0], none[0, 0], none)]
    pairs = zip(columns, names, strict=True)
    return ", ".join(column + " AS " + _quote(name, '"') for column, name in pairs)


def _table(name: str, keys: str, **numbers: np.ndarray) -> str:
    """Arrays (..., n) as one table, side by side, by the indices of the other axes."""
    cells = np.concatenate([*numbers.values()], axis=-1, dtype=np.float32)
    names = [f"{a}{j}" for a, n in numbers.items() for j in range(n.shape[-1])]
    rows = (
        f"({', '.join([*map(str, at), *map(_number, cells[at])])})"
        for at in np.ndindex(cells.shape[:-1])
    )
    columns = ", ".join([*keys.split(), *names])
    return f"{name}({columns}) AS MATERIALIZED (VALUES\n" + ",\n".join(rows) + ")"


def _each(pattern: str, items: Iterable, joint: str = ", ") -> str:
    """A pattern for every item, of which it may name the index and the item."""
    return joint.join(pattern.format(i, item) for i, item in enumerate(items))


def _number(value: float | np.floating) -> str:
    """A number as short as can be, that DuckDB takes for a double by its exponent."""
    return str(value) if "e" in str(value) else f"{value!s}e0"


def _quote(text: str, mark: str = "'") -> str:
    """A text, or the name of a column, in its marks."""
    return mark + text.replace(mark, 2 * mark) + mark
