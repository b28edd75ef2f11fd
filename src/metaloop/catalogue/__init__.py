"""The visible tables: what can be chosen by name, and learners built from those choices."""

from metaloop.catalogue.candidates import build_learner, catalogue_candidates, make_candidate
from metaloop.catalogue.families import FAMILIES, DataOptions, OpenedData, open_data
from metaloop.catalogue.learners import LEARNERS
from metaloop.catalogue.nets import NETS

__all__ = [
    "FAMILIES",
    "LEARNERS",
    "NETS",
    "DataOptions",
    "OpenedData",
    "build_learner",
    "catalogue_candidates",
    "make_candidate",
    "open_data",
]
