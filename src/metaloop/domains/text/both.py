"""MiniLM beside wordllama: what a sentence is about, and which words it has.

    minilm+wordllama          x = [m, 0.6 w], 640 features
    minilm-layers+wordllama   x = [l, 0.4 w], 1024 features

m, l and w are of unit length: MiniLM's features, those of two of its layers, and the mean of
wordllama's rows. A net that was tuned on sentences forgets some of the words, and a table knows
nothing of their order. Beside each other they are a little better than MiniLM alone, and a map that
is learned gains more from both: at one shot on validation domains of CLINC150 a map of MiniLM is
worth +0.4 points, of both +0.9, of two layers and the words +1.8 (LOG.md). Both packages must be
installed.
"""

from __future__ import annotations

from metaloop.core.encoder import Beside
from metaloop.domains.text.minilm import minilm, minilm_layers
from metaloop.domains.text.wordllama import wordllama

NAME, OF_LAYERS = "minilm+wordllama", "minilm-layers+wordllama"
_SHARES, _SHARES_OF_LAYERS = (1.0, 0.6), (1.0, 0.4)


def minilm_and_wordllama() -> Beside:
    """Returns both with their packages' files; raises as `minilm` and `wordllama` do."""
    return Beside(NAME, (minilm(), wordllama()), _SHARES)


def minilm_layers_and_wordllama() -> Beside:
    """Returns two layers beside the words; raises as `minilm_layers` and `wordllama` do."""
    return Beside(OF_LAYERS, (minilm_layers(), wordllama()), _SHARES_OF_LAYERS)
