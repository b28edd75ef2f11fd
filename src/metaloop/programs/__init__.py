"""Generated learning algorithms: short, typed, straight-line programs over embeddings.

A program is text in Python's words (`syntax.py`), made of the primitives of one table
(`primitives.py`), in up to five slots (`slots.py`). It is parsed and never executed; its types show
that no query sees another one; it runs on tensors of one task under `torch.func.vmap`.
"""

from metaloop.programs.behaviour import Behaviour, behaviour
from metaloop.programs.canonical import canonical, canonical_text
from metaloop.programs.checking import check
from metaloop.programs.episodes import episode_logits, episode_losses
from metaloop.programs.errors import ProgramError
from metaloop.programs.explain import explain
from metaloop.programs.gradient import EvolvedGradient
from metaloop.programs.inference import TypedProgram, infer_types
from metaloop.programs.learner import ProgramLearner
from metaloop.programs.library import LIBRARY, library_program
from metaloop.programs.parsing import parse
from metaloop.programs.primitives import PRIMITIVES
from metaloop.programs.standalone import standalone_module
from metaloop.programs.syntax import Program, to_text
from metaloop.programs.tuning import Tuned, tune, with_constants

__all__ = [
    "LIBRARY",
    "PRIMITIVES",
    "Behaviour",
    "EvolvedGradient",
    "Program",
    "ProgramError",
    "ProgramLearner",
    "Tuned",
    "TypedProgram",
    "behaviour",
    "canonical",
    "canonical_text",
    "check",
    "episode_logits",
    "episode_losses",
    "explain",
    "infer_types",
    "library_program",
    "parse",
    "standalone_module",
    "to_text",
    "tune",
    "with_constants",
]
