"""Documents to be summarised: sentences as numbers, words as ROUGE counts them."""

from metaloop.domains.summaries.domain import SENTENCES

__all__ = ["SENTENCES"]
