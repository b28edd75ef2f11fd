"""Inputs that came one by one, as if they had come together: what a server asks a model at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from metaloop.estimators.documents import DocumentRows
from metaloop.estimators.images import Pictures
from metaloop.estimators.items import ItemRows
from metaloop.estimators.pictures_seen import SeenPictures
from metaloop.estimators.recordings import RecordingRows
from metaloop.estimators.task import RawInputs
from metaloop.estimators.texts import TextRows


def opened(read: RawInputs) -> RawInputs:
    """Returns the same inputs with all files decoded, but not yet seen through a view.

    Raises `DataError` for the first that cannot be read.
    """
    if isinstance(read, TextRows | RecordingRows | DocumentRows | ItemRows):
        return read
    if isinstance(read, SeenPictures):
        detail = _kept(read.detail)
        own = detail if read.own is read.detail else _kept(read.own)
        return SeenPictures(read.view, detail, own)
    return read[:]


def joined(parts: Sequence[RawInputs]) -> RawInputs:
    """Returns inputs of one model, each `opened`, one behind the other."""
    first = parts[0]
    if isinstance(first, TextRows):
        texts = [text for part in parts if isinstance(part, TextRows) for text in part.texts]
        return TextRows(tuple(texts), first.view)
    if isinstance(first, DocumentRows):
        known = [part for part in parts if isinstance(part, DocumentRows)]
        lines = tuple(line for part in known for line in part.sentences)
        return DocumentRows(lines, tuple(each for part in known for each in part.seen))
    if isinstance(first, ItemRows):
        items = [part for part in parts if isinstance(part, ItemRows)]
        names = tuple(name for part in items for name in part.names)
        return ItemRows(torch.cat([part.rows for part in items]), names)
    if isinstance(first, RecordingRows):
        rows = [row for part in parts if isinstance(part, RecordingRows) for row in part.recordings]
        return RecordingRows(tuple(rows), first.view)
    if isinstance(first, SeenPictures):
        seen = [part for part in parts if isinstance(part, SeenPictures)]
        detail = _together([part.detail for part in seen])
        own = detail if first.own is first.detail else _together([part.own for part in seen])
        return SeenPictures(first.view, detail, own)
    return torch.cat([part for part in parts if isinstance(part, Tensor)])


def _kept(pictures: Pictures) -> Pictures:
    pixels = pictures[:].numpy()
    return Pictures(len(pixels), pixels.__getitem__, pictures.value_range)


def _together(pictures: Sequence[Pictures]) -> Pictures:
    pixels = np.concatenate([each[:].numpy() for each in pictures])
    return Pictures(len(pixels), pixels.__getitem__, pictures[0].value_range)
