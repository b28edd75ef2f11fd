"""What frozen encoders make of a family's examples: computed once, kept in the user's cache.

    CACHE/features/KEY.safetensors    float32 `[N, D]`, of these examples by this encoder

The key is of the examples' content and of the encoder's weights, so that another run on the same
data takes a moment. Of encoders that are joined each has a file of its own, so that one whose
features are known is not asked again for the pair. What was not used for longest goes when all take
more than `MOST_BYTES`. The cache may be lost or damaged at any time: then features are computed
again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from metaloop.catalogue.views import encoder_of, view_of_encoder
from metaloop.core.column_content import hash_into
from metaloop.core.column_kinds import kind_of
from metaloop.core.columns import described, length, take
from metaloop.core.encoder import JoinedEncoder
from metaloop.core.errors import DataError
from metaloop.core.fitted_view import FittedView
from metaloop.core.large import room
from metaloop.tasks.glyphs import cache_folder
from metaloop.tasks.store import Store

MOST_BYTES = 4 << 30
_AT_ONCE = 256  # examples between two words on how far it is

Tell = Callable[[int, int], None]  # examples done, of so many


def encoded(view: FittedView, store: Store, tell: Tell | None = None) -> Tensor:
    """Returns the features float32 `[N, D]` of a store's examples by the view's encoder.

    `tell` is called now and then, if they are not known yet. Raises `DataError` for inputs of
    another kind, and for features that are not finite.
    """
    column = store.inputs if store.detail is None else store.detail
    encoder = encoder_of(view)
    if kind_of(column) != encoder.card.takes:
        raise DataError(
            f"'{encoder.card.name}' takes {encoder.card.takes}, the data are {described(column)}; "
            "use --backbone none"
        )
    if isinstance(encoder, JoinedEncoder):
        pieces = [encoded(view_of_encoder(piece), store, tell) for piece in encoder.pieces]
        return encoder.join(pieces)
    sha = hashlib.sha256(f"1 {view.identity}".encode())
    hash_into(sha, column)
    path = cache_folder() / "features" / f"{sha.hexdigest()[:32]}.safetensors"
    shape = (length(column), encoder.card.features)
    known = _read(path, shape)
    if known is not None:
        return known
    features = torch.from_numpy(room(shape, np.float32))
    for rows in torch.split(torch.arange(len(features)), _AT_ONCE):
        features[rows] = encoder.encode(take(column, rows))
        if tell is not None:
            tell(int(rows[-1]) + 1, len(features))
    if not bool(features.isfinite().all()):
        raise DataError(f"'{encoder.card.name}' makes numbers that are not finite; use another")
    _keep(path, features)
    return features


def _read(path: Path, shape: tuple[int, int]) -> Tensor | None:
    try:
        with safetensors.safe_open(str(path), framework="pt", device="cpu") as file:
            features: Tensor = file.get_tensor("features")
        os.utime(path)  # used just now
    except (OSError, safetensors.SafetensorError):
        return None
    return features if tuple(features.shape) == shape else None


def _keep(path: Path, features: Tensor) -> None:
    """Writes the features, whole or not at all; a cache that cannot be written is none."""
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_room(path.parent, features.numel() * features.element_size())
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        os.close(handle)
        save_file({"features": features}, temporary)
        os.replace(temporary, path)
    except (OSError, safetensors.SafetensorError):
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _make_room(folder: Path, needed: int) -> None:
    known = [(file.stat(), file) for file in folder.glob("*.safetensors")]
    total = needed + sum(facts.st_size for facts, _ in known)
    for facts, file in sorted(known, key=lambda each: each[0].st_mtime):
        if total <= MOST_BYTES:
            break
        file.unlink(missing_ok=True)
        total -= facts.st_size
