"""`minilm+wordllama`: what a sentence is about beside which words it has, 640 features.

    x = [m, 0.6 w],  m and w of unit length: MiniLM's features and the mean of wordllama's rows

A net that was tuned on sentences forgets some of the words, and a table knows nothing of their
order. Beside each other they are as good as MiniLM alone or a little better, and a map that is
learned gains more from both: +1 point at one shot on validation domains of CLINC150, where it had
gained nothing from MiniLM (LOG.md). Both packages must be installed.
"""

from __future__ import annotations

from metaloop.core.encoder import Beside
from metaloop.domains.text.minilm import minilm
from metaloop.domains.text.wordllama import wordllama

NAME = "minilm+wordllama"
_SHARES = (1.0, 0.6)


def minilm_and_wordllama() -> Beside:
    """Returns both with their packages' files; raises as `minilm` and `wordllama` do."""
    return Beside(NAME, (minilm(), wordllama()), _SHARES)
