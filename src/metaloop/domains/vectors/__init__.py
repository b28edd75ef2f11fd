"""Vectors: measurements, embeddings and whatever a view makes of other inputs, `[features]`."""

from metaloop.domains.vectors.domain import VECTORS

__all__ = ["VECTORS"]
