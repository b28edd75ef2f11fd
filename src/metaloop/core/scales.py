"""Scales of metrics: which way is better, what is perfect, how a number is printed. No torch here.

Records hold names of metrics; what reads records needs no more than this.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """What the numbers of a metric mean.

    `name` is that of records and JSON, `words` that of pages. `perfect` is what who is always right
    reaches. A `share` lies between 0 and 1 and is printed in percent.
    """

    name: str
    words: str
    higher_is_better: bool
    perfect: float
    share: bool = False


ACCURACY = Scale("accuracy", "accuracy", True, 1.0, share=True)
BALANCED_ACCURACY = Scale("balanced_accuracy", "balanced accuracy", True, 1.0, share=True)
F1 = Scale("f1_macro", "F1, the mean over classes", True, 1.0, share=True)
LOG_LOSS = Scale("log_loss", "log loss", False, 0.0)
CALIBRATION = Scale("calibration", "calibration error", False, 0.0, share=True)
SQUARED_ERROR = Scale("mse", "mse", False, 0.0)
ABSOLUTE_ERROR = Scale("mae", "mean absolute error", False, 0.0)
EXPLAINED = Scale("r2", "R²", True, 1.0)
ROOT_SQUARED_ERROR = Scale("rmse", "rmse", False, 0.0)
RANKING_GAIN = Scale("ndcg@10", "NDCG@10", True, 1.0)
ROUGE_1 = Scale("rouge1", "ROUGE-1", True, 1.0, share=True)
ROUGE_2 = Scale("rouge2", "ROUGE-2", True, 1.0, share=True)
ROUGE_L = Scale("rougeL", "ROUGE-L", True, 1.0, share=True)
ROUGE_1_ORACLE, ROUGE_2_ORACLE, ROUGE_L_ORACLE = (
    Scale(f"{scale.name}_oracle", f"{scale.words} of the best sentences", True, 1.0, share=True)
    for scale in (ROUGE_1, ROUGE_2, ROUGE_L)
)
RECALL_OF_THE_BEST = Scale("recall@10", "recall@10", True, 1.0, share=True)
RIGHT_ORDER = Scale("auc", "in the right order", True, 1.0, share=True)
BITS_PER_DIM = Scale("bits_per_dim", "bits per dimension", False, 0.0)

# Of tasks that are asked about other classes, too (engine/open_scores.py).
AUROC = Scale("auroc", "AUROC", True, 1.0, share=True)
RECALL = Scale("recall", "accepted", True, 1.0, share=True)
RECOGNISED = Scale("recognised", "accepted and right", True, 1.0, share=True)
FALSE_ALARMS = Scale(
    "false_alarms", "false alarms at the model's threshold", False, 0.0, share=True
)
ALARMS_AN_HOUR = Scale("false_alarms_per_hour", "false alarms an hour at it", False, 0.0)
KEPT = Scale("kept", "accepted at it", True, 1.0, share=True)
OF_COSINE = tuple(
    Scale(f"{scale.name}_{name}", f"{words} {scale.words}", True, 1.0, share=True)
    for scale in (AUROC, RECALL)
    for name, words in (("cosine", "by the cosine"), ("lead", "lead over the cosine in"))
)

OF_TABLES = (BALANCED_ACCURACY, F1)  # of `select`, beside those of objectives
OF_OPEN_TASKS = (AUROC, RECALL, RECOGNISED, FALSE_ALARMS, ALARMS_AN_HOUR, KEPT, *OF_COSINE)

SCALES = {
    scale.name: scale
    for scale in (
        ACCURACY,
        LOG_LOSS,
        CALIBRATION,
        SQUARED_ERROR,
        ABSOLUTE_ERROR,
        EXPLAINED,
        ROOT_SQUARED_ERROR,
        RANKING_GAIN,
        ROUGE_1,
        ROUGE_2,
        ROUGE_L,
        ROUGE_1_ORACLE,
        ROUGE_2_ORACLE,
        ROUGE_L_ORACLE,
        RECALL_OF_THE_BEST,
        RIGHT_ORDER,
        BITS_PER_DIM,
        *OF_TABLES,
        *OF_OPEN_TASKS,
    )
}
