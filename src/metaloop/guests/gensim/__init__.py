"""Gensim as a guest: word vectors of one's own, and such that are trained on training texts."""

from metaloop.guests.gensim.vectors import EXTRA as EXTRA
from metaloop.guests.gensim.vectors import WordVectors as WordVectors
from metaloop.guests.gensim.vectors import as_encoder as as_encoder
from metaloop.guests.gensim.vectors import gensim_encoder as gensim_encoder

__all__ = ["EXTRA", "WordVectors", "as_encoder", "gensim_encoder"]
