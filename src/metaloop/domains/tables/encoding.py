"""Columns into numbers, fitted on the rows that a pipeline learns from and on nothing else.

Two ways. `trees`: numbers as they are with NaN for what is missing; words of few kinds a column
each, of many kinds their frequency and their rank by it. `scaled`: without gaps, standardised and
clipped, with marks for what is missing; the commonest words a column each. Dates become their time
and its parts, texts the leading directions of their hashed terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from metaloop.domains.tables.frame import Column, Frame

Way = Literal["trees", "scaled"]
State = dict[str, Any]  # of JSON values and arrays: what is fitted of one column

_FEW, _MANY = 12, 50  # words that have a column each
_RARE = 2  # rows of a word that has one
_CLIP = 6.0  # standard deviations
_TERMS, _DIRECTIONS = 4096, 16  # of texts
_LEAST_DIRECTION = 1e-6  # of the largest singular value
_FEWEST_GAPS = 0.01  # of rows, for a mark of its own


def fit_encoding(frame: Frame, way: Way, seed: int) -> dict[str, State]:
    """Returns what is fitted of every column, by its name."""
    return {
        column.name: _FIT[column.kind](column, frame.values[column.name], way, seed)
        for column in frame.schema
    }


def encode(frame: Frame, fitted: Mapping[str, State], way: Way) -> np.ndarray:
    """Returns the rows `[n, features]`: for trees float32 with NaN, scaled ones float64 without."""
    parts = [
        _SEE[column.kind](frame.values[column.name], fitted[column.name], way)
        for column in frame.schema
    ]
    # linear algebra in float32 would hang on the order of rows
    return np.concatenate(parts, axis=1, dtype=np.float32 if way == "trees" else np.float64)


def _fit_numbers(column: Column, values: np.ndarray, way: Way, seed: int) -> State:
    return _scale(np.asarray(values)[:, None]) if way == "scaled" else {}


def _see_numbers(values: np.ndarray, state: State, way: Way) -> np.ndarray:
    numbers = np.asarray(values, np.float64)[:, None]
    return _scaled(numbers, state) if way == "scaled" else _bounded(numbers)


def _fit_dates(column: Column, values: np.ndarray, way: Way, seed: int) -> State:
    parts = _parts_of_dates(values)
    kept = [bool(len(np.unique(part[np.isfinite(part)])) > 1) for part in parts.T]
    kept = kept if any(kept) else [True, *kept[1:]]
    return {"kept": kept, **(_scale(parts[:, kept]) if way == "scaled" else {})}


def _see_dates(values: np.ndarray, state: State, way: Way) -> np.ndarray:
    parts = _parts_of_dates(values)[:, np.asarray(state["kept"], bool)]
    return _scaled(parts, state) if way == "scaled" else parts


def _parts_of_dates(values: np.ndarray) -> np.ndarray:
    """Days, year, month, day of the month, day of the week and hour, NaN where there is no date."""
    days = np.asarray(values, np.float64)
    known = np.isfinite(days)
    whole = np.where(known, np.floor(days), 0).astype("datetime64[D]")
    months = whole.astype("datetime64[M]")
    parts = np.stack(
        [
            days,
            whole.astype("datetime64[Y]").astype(np.int64) + 1970.0,
            months.astype(np.int64) % 12 + 1.0,
            (whole - months.astype("datetime64[D]")).astype(np.int64) + 1.0,
            (whole.astype(np.int64) + 3) % 7 + 0.0,
            np.floor(24 * (days - np.floor(days)) + 1e-6),
        ],
        axis=1,
    )
    parts[~known] = np.nan
    return parts


def _fit_words(column: Column, codes: np.ndarray, way: Way, seed: int) -> State:
    known = np.asarray(codes)
    counts = np.bincount(known[known >= 0], minlength=max(1, len(column.words)))
    order = np.argsort(-counts, kind="stable")
    seen = int((counts > 0).sum())
    most = _MANY if way == "scaled" else _FEW
    if way == "trees" and seen > _FEW:
        rank = np.empty(len(counts))
        rank[order] = np.arange(len(counts))
        rank[counts == 0] = np.nan
        return {"rank": rank, "share": counts / max(1, len(known))}
    own = [int(place) for place in order[:most] if counts[place] >= _RARE or seen <= 2]
    return {"own": np.asarray(own or order[:1], np.int64)}


def _see_words(codes: np.ndarray, state: State, way: Way) -> np.ndarray:
    known = np.asarray(codes)
    if "rank" in state:
        inside = np.where(known >= 0, known, 0)
        rank = np.where(known >= 0, state["rank"][inside], np.nan)
        share = np.where(known >= 0, state["share"][inside], 0.0)
        return np.stack([rank, share], axis=1)
    own = np.asarray(state["own"])
    return np.asarray(known[:, None] == own[None, :], np.float32)


def _fit_texts(column: Column, values: np.ndarray, way: Way, seed: int) -> State:
    terms = _terms(values)
    weight = np.log((1 + terms.shape[0]) / (1 + np.asarray((terms > 0).sum(0)).ravel())) + 1
    from sklearn.decomposition import TruncatedSVD  # lazy: few tables have texts

    number = max(1, min(_DIRECTIONS, terms.shape[0] - 1))
    svd = TruncatedSVD(number, random_state=seed % (1 << 32)).fit(_weighted(terms, weight))
    # texts of few different terms have fewer directions; what is beyond them is rounding
    real = svd.singular_values_ > _LEAST_DIRECTION * svd.singular_values_.max()
    directions = svd.components_[: max(1, int(real.sum()))]
    found = _weighted(terms, weight) @ directions.T
    return {"weight": weight, "directions": directions, **_scale(found)}


def _see_texts(values: np.ndarray, state: State, way: Way) -> np.ndarray:
    found = _weighted(_terms(values), state["weight"]) @ np.asarray(state["directions"]).T
    return _scaled(np.asarray(found), state) if way == "scaled" else np.asarray(found)


def _terms(values: np.ndarray) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer  # lazy: few tables have texts

    return HashingVectorizer(n_features=_TERMS, alternate_sign=False, norm=None).transform(
        [str(text) for text in values]
    )


def _weighted(terms: Any, weight: np.ndarray) -> Any:
    from sklearn.preprocessing import normalize  # lazy: few tables have texts

    return normalize(terms.multiply(weight[None, :]).tocsr())


def _bounded(numbers: np.ndarray) -> np.ndarray:
    """Numbers that float32 can hold."""
    most = float(np.finfo(np.float32).max) / 4
    return np.asarray(np.clip(numbers, -most, most))


def _scale(numbers: np.ndarray) -> State:
    """Middle, spread and gaps of columns `[n, d]`."""
    numbers = _bounded(np.asarray(numbers, np.float64))
    known = np.isfinite(numbers)
    count = np.maximum(1, known.sum(0))
    mean = np.where(known, numbers, 0).sum(0) / count
    spread = np.sqrt(np.where(known, (numbers - mean) ** 2, 0).sum(0) / count)
    gaps = 1 - known.mean(0) if len(numbers) else np.zeros(numbers.shape[1])
    return {
        "mean": mean,
        "spread": np.where(spread > 0, spread, 1.0),
        "marked": gaps > _FEWEST_GAPS,
    }


def _scaled(numbers: np.ndarray, state: State) -> np.ndarray:
    known = np.isfinite(numbers)
    filled = np.where(known, _bounded(np.where(known, numbers, 0)), state["mean"])
    found = np.clip((filled - state["mean"]) / state["spread"], -_CLIP, _CLIP)
    marks = ~known[:, np.asarray(state["marked"], bool)]
    return np.concatenate([found, marks], axis=1)


_FIT = {"number": _fit_numbers, "date": _fit_dates, "category": _fit_words, "text": _fit_texts}
_SEE = {"number": _see_numbers, "date": _see_dates, "category": _see_words, "text": _see_texts}
