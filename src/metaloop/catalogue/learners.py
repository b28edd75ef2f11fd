"""The table of learners: every method by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from metaloop.core.black_box import BlackBoxLearner
from metaloop.core.errors import unknown_name
from metaloop.core.extraction import EXTRACTION
from metaloop.core.generation import GENERATION
from metaloop.core.learner import Learner
from metaloop.core.ranking import OF_ITEMS, RANKING
from metaloop.core.rating import RATING
from metaloop.core.views import View
from metaloop.guests.keras.learner import KerasCnn
from metaloop.guests.sklearn import (
    ExtraTrees,
    GaussianNaiveBayes,
    ShrunkDiscriminant,
    SupportVectorMachine,
)
from metaloop.learners.anil import Anil
from metaloop.learners.baselinepp import BaselinePlusPlus
from metaloop.learners.blurred_mixture import BlurredMixture
from metaloop.learners.calibrated import Calibrated
from metaloop.learners.committee import Committee
from metaloop.learners.deep_kernel import DeepKernel
from metaloop.learners.fomaml import FirstOrderMaml
from metaloop.learners.fomaml_pixelcnn import FomamlPixelCnn
from metaloop.learners.gaussian_process import GaussianProcess
from metaloop.learners.in_context import InContext
from metaloop.learners.logistic_regression import LogisticRegressionLearner
from metaloop.learners.maml import Maml
from metaloop.learners.mean_of_support import MeanOfSupport
from metaloop.learners.nearest_centroid import NearestCentroid
from metaloop.learners.nearest_neighbour import NearestNeighbour
from metaloop.learners.pixelcnn import PixelCnnAlone
from metaloop.learners.plain_extracts import Centroid, Lead, Longest, TextRank
from metaloop.learners.plain_ratings import FoldIn, ItemKnn, ItemMean, UserBias
from metaloop.learners.protonet import ProtoNet
from metaloop.learners.rfs import Rfs
from metaloop.learners.ridge import Ridge
from metaloop.learners.sentence_cover import SentenceCover
from metaloop.learners.sentence_mixture import SentenceMixture
from metaloop.learners.sentence_ridge import SentenceRidge
from metaloop.learners.sentence_steps import SentenceSteps
from metaloop.learners.set_attention import SetAttention
from metaloop.learners.set_pixelcnn import SetPixelCnn
from metaloop.learners.set_vae import SetVaeLearner
from metaloop.learners.simpleshot import SimpleShot
from metaloop.learners.soft_means import SoftMeans
from metaloop.learners.spectral import Spectral
from metaloop.nets.embedding import NetLearner
from metaloop.programs.gradient import EvolvedGradient
from metaloop.programs.learner import ProgramLearner


@dataclass(frozen=True)
class Baseline:
    """How a method serves as a plain baseline: what it is tuned over.

    `values` of its `option`, best guesses first, for a budget may end on the way; and `forms` of
    the inputs, one where it does not look at them.
    """

    option: str = ""
    values: tuple[float, ...] = ()
    forms: tuple[View, ...] = ("unit", "standardised", "raw")


@dataclass(frozen=True)
class LearnerEntry:
    """A method: its constructor, what it is in one line, and how it is trained.

    `trunk` names what training its net serves: learners with the same trunk (and net and plan)
    share one trained net. `none` needs no training, `classifier` is the whole-class classifier.
    `starts_slowly`: a few seconds of training on images show nothing of what it can do.
    `view`: the form in which one without a net sees its inputs, unless another is chosen.
    `inputs`: the kind of inputs that it takes, where not all will do; `extra`: what brings its
    library. `offered`: whether the loop tries it by itself; guests wait until they are named.
    `baseline`: how it is one of the plain methods that every learner has to beat, None where it is
    none. `only`: the objectives of the tasks that alone it is offered for, none for all that it can
    learn. `net`: the net that it is made for, where no other will do.
    """

    constructor: Callable[..., Learner]
    summary: str
    trunk: str
    starts_slowly: bool = False
    view: View = "raw"
    inputs: str = ""
    extra: str = ""
    offered: bool = True
    baseline: Baseline | None = None
    only: frozenset[str] = frozenset()
    net: str = ""


_OF_RATINGS, _OF_EVENTS = frozenset({RATING.name}), frozenset({RANKING.name})
_OF_GENERATION, _OF_EXTRACTION = frozenset({GENERATION.name}), frozenset({EXTRACTION.name})


def _plain_extract(constructor: Callable[..., Learner], summary: str) -> LearnerEntry:
    return LearnerEntry(
        constructor,
        f"plain baseline of summaries: {summary}",
        "none",
        inputs="sentence",
        baseline=Baseline(forms=("raw",)),
        only=_OF_EXTRACTION,
    )


def _learned_extract(constructor: Callable[..., Learner], trunk: str, summary: str) -> LearnerEntry:
    return LearnerEntry(constructor, summary, trunk, inputs="sentence", only=_OF_EXTRACTION)


LEARNERS: Mapping[str, LearnerEntry] = MappingProxyType(
    {
        "anil": LearnerEntry(
            Anil, "MAML in which only the head adapts", "anil", starts_slowly=True
        ),
        "baselinepp": LearnerEntry(
            BaselinePlusPlus, "fine-tuned cosine head on a whole-class net", "classifier"
        ),
        "blurred_mixture": LearnerEntry(
            BlurredMixture,
            "plain baseline of generation: the support, blurred and shifted",
            "none",
            inputs="image",
            baseline=Baseline("blur", (0.7, 0.5, 1.0), forms=("raw",)),
            only=_OF_GENERATION,
        ),
        "calibrated": LearnerEntry(
            Calibrated, "class means drawn to those of near training classes", "none", offered=False
        ),
        "centroid": _plain_extract(Centroid, "sentences most like the whole document"),
        "deep_kernel": LearnerEntry(
            DeepKernel,
            "a Gaussian process on learned features, trained through",
            "deep_kernel",
            only=_OF_RATINGS,
        ),
        "evolved_gradient": LearnerEntry(
            EvolvedGradient,
            "MAML with learned rates and, as a program, a learned inner loss",
            "evolved_gradient",
            starts_slowly=True,
        ),
        "extra_trees": LearnerEntry(
            ExtraTrees,
            "randomised trees, of classes or values (scikit-learn)",
            "none",
            offered=False,
        ),
        "fold_in": LearnerEntry(
            FoldIn,
            "plain baseline of ratings: ALS with the user folded in",
            "none",
            inputs="item",
            baseline=Baseline("strength", (5.0, 10.0, 2.0), forms=("raw",)),
            only=_OF_RATINGS,
        ),
        "fomaml": LearnerEntry(
            FirstOrderMaml, "MAML without second derivatives", "fomaml", starts_slowly=True
        ),
        "fomaml_pixelcnn": LearnerEntry(
            FomamlPixelCnn,
            "an autoregressive model that gradient steps adapt",
            "fomaml_pixelcnn",
            starts_slowly=True,
            inputs="image",
            only=_OF_GENERATION,
            net="pixelcnn",
        ),
        "gaussian_naive_bayes": LearnerEntry(
            GaussianNaiveBayes,
            "a smoothed Gaussian a class and feature (scikit-learn)",
            "none",
            view="standardised",
            offered=False,
        ),
        "gaussian_process": LearnerEntry(
            GaussianProcess,
            "plain baseline of regression; its kernel is chosen on tasks",
            "none",
            view="standardised",
            baseline=Baseline(),
        ),
        "in_context": LearnerEntry(
            InContext,
            "rows attend to labelled rows, learned on synthetic_tables",
            "in_context",
            offered=False,
            net="raw",
        ),
        "item_knn": LearnerEntry(
            ItemKnn,
            "plain baseline of ratings: what was said of items like it",
            "none",
            inputs="item",
            baseline=Baseline("damping", (1.0, 2.0, 0.5), forms=("raw",)),
            only=_OF_RATINGS,
        ),
        "item_mean": LearnerEntry(
            ItemMean,
            "constant baseline of ratings: the mean of each item",
            "none",
            inputs="item",
            baseline=Baseline(forms=("raw",)),
            only=OF_ITEMS,
        ),
        "keras_cnn": LearnerEntry(
            KerasCnn,
            "the convolutional net that textbooks begin with (Keras)",
            "none",
            inputs="image",
            extra="keras",
            offered=False,
        ),
        "lda": LearnerEntry(
            ShrunkDiscriminant,
            "linear discriminants, covariance shrunk (scikit-learn)",
            "none",
            view="standardised",
            offered=False,
        ),
        "lead": _plain_extract(Lead, "the first sentences of a document"),
        "logistic_regression": LearnerEntry(
            LogisticRegressionLearner,
            "plain baseline on the inputs (scikit-learn)",
            "none",
            baseline=Baseline("inverse_strength", (10.0, 1.0, 100.0, 0.1, 1000.0, 0.01)),
        ),
        "longest": _plain_extract(Longest, "the longest sentences of a document"),
        "maml": LearnerEntry(
            Maml, "initial weights from which few gradient steps learn", "maml", starts_slowly=True
        ),
        "mean_of_support": LearnerEntry(
            MeanOfSupport,
            "constant baseline of regression: the mean target",
            "none",
            baseline=Baseline(forms=("unit",)),
        ),
        "nearest_centroid": LearnerEntry(
            NearestCentroid,
            "plain baseline: nearest class mean of the inputs",
            "none",
            baseline=Baseline(),
        ),
        "nearest_neighbour": LearnerEntry(
            NearestNeighbour,
            "plain baseline on the inputs (scikit-learn)",
            "none",
            baseline=Baseline(),
        ),
        "pixelcnn": LearnerEntry(
            PixelCnnAlone,
            "an autoregressive model of images, without their support",
            "pixelcnn",
            inputs="image",
            offered=False,
            only=_OF_GENERATION,
            net="pixelcnn",
        ),
        "protonet": LearnerEntry(ProtoNet, "nearest class mean in a learned embedding", "protonet"),
        "rfs": LearnerEntry(Rfs, "logistic regression on a whole-class net", "classifier"),
        "ridge": LearnerEntry(
            Ridge,
            "closed-form ridge regression, trained through",
            "ridge",
            baseline=Baseline("initial_lambda", (0.1, 1.0, 0.01, 10.0)),
        ),
        "sentence_cover": _learned_extract(
            SentenceCover,
            "sentence_cover",
            "sentences that together have most of a summary's likely words",
        ),
        "sentence_mixture": _learned_extract(
            SentenceMixture,
            "sentence_mixture",
            "sentences by what was learned or by the pairs, whoever foretells them",
        ),
        "sentence_ridge": _learned_extract(
            SentenceRidge,
            "sentence_ridge",
            "sentences scored by ridge regression around a learned prior",
        ),
        "sentence_steps": _learned_extract(
            SentenceSteps,
            "sentence_steps",
            "sentences scored by weights that a few gradient steps move",
        ),
        "set_attention": LearnerEntry(
            SetAttention,
            "known ratings as a set that what is asked about attends to",
            "set_attention",
            offered=False,
            only=_OF_RATINGS,
        ),
        "set_pixelcnn": LearnerEntry(
            SetPixelCnn,
            "an autoregressive model of images that attends to the support",
            "set_pixelcnn",
            inputs="image",
            only=_OF_GENERATION,
            net="pixelcnn",
        ),
        "set_vae": LearnerEntry(
            SetVaeLearner,
            "latent variables of images whose prior is the support's",
            "set_vae",
            inputs="image",
            only=_OF_GENERATION,
            net="set_vae",
        ),
        "simpleshot": LearnerEntry(
            SimpleShot, "centred, normalised class means on a whole-class net", "classifier"
        ),
        "soft_means": LearnerEntry(
            SoftMeans, "transductive: class means that queries move", "classifier", offered=False
        ),
        "spectral": LearnerEntry(
            Spectral,
            "plain baseline of events: factors of what a user has had, added up",
            "none",
            inputs="item",
            baseline=Baseline(forms=("raw",)),
            only=_OF_EVENTS,
        ),
        "svm": LearnerEntry(
            SupportVectorMachine,
            "support vectors, of classes or values (scikit-learn)",
            "none",
            view="standardised",
            offered=False,
        ),
        "textrank": _plain_extract(TextRank, "the sentences that most others are like"),
        "user_bias": LearnerEntry(
            UserBias,
            "plain baseline of ratings: item means and the user's bias",
            "none",
            inputs="item",
            baseline=Baseline(forms=("raw",)),
            only=_OF_RATINGS,
        ),
    }
)


BY_PRIOR = ("deep_kernel", "set_attention")  # whose mean begins with a feature, if one is named
COMMITTEE = "committee"  # learners that were trained, put together (`committees.py`)
EVOLVED = "evolved_gradient"  # its program, if it has one, is the inner loss
OWN = "own"  # a learner of the user's own, which is given beside its file
PROGRAM = "program"  # a learner that a program describes; `catalogue/programs.py` has known ones

# learners that need more than a name
_OTHERS = {
    COMMITTEE: LearnerEntry(Committee, "the mean of what several learners say", COMMITTEE),
    OWN: LearnerEntry(BlackBoxLearner, "a learner of your own", "none", offered=False),
    PROGRAM: LearnerEntry(ProgramLearner, "a learning algorithm written as a program", PROGRAM),
}


def learner_entry(name: str) -> LearnerEntry:
    """Returns the entry of this name; raises `UnknownNameError` naming near matches."""
    if name not in LEARNERS and name not in _OTHERS:
        raise unknown_name("learner", name, LEARNERS)
    return LEARNERS[name] if name in LEARNERS else _OTHERS[name]


def learners_for(
    target_kind: str, *, offered: bool = False, extras: bool = True, objective: str = ""
) -> list[str]:
    """Returns the names of learners of such targets, in order.

    Only those `offered` by the loop for tasks of this objective if asked; without those of `extras`
    if not.
    """
    return sorted(
        name
        for name, entry in LEARNERS.items()
        if target_kind in entry.constructor.target_kinds  # type: ignore[attr-defined]
        and (not offered or (entry.offered and _suits(entry, objective)))
        and (extras or not entry.extra)
    )


def _suits(entry: LearnerEntry, objective: str) -> bool:
    """Whether the loop tries a learner on such tasks: extracts are no values to be regressed."""
    return objective in entry.only or (not entry.only and objective != EXTRACTION.name)


def embeds(name: str) -> bool:
    """Whether the learner of this name has a net whose features other heads can use."""
    constructor = learner_entry(name).constructor
    return isinstance(constructor, type) and issubclass(constructor, NetLearner)
