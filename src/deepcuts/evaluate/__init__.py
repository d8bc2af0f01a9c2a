"""Stage evaluate: user and song vectors + hidden plays → mAP@500 and AUC, with intervals, after a leakage audit.

`deepcuts.evaluate.report` writes the report; it is not imported here because drawing takes long to load.
"""

from deepcuts.evaluate.audit import AuditReport, audit
from deepcuts.evaluate.controls import popularity_system, random_system
from deepcuts.evaluate.metrics import (
    METRICS,
    auc,
    average_precision,
    expected_average_precision,
    fixed_order,
    ndcg,
    recall,
)
from deepcuts.evaluate.popularity import popularity_bins
from deepcuts.evaluate.scoring import evaluate, relevant_plays
from deepcuts.evaluate.systems import (
    EvaluateSettings,
    Evaluation,
    Row,
    System,
    compare,
)

__all__ = [
    "METRICS",
    "AuditReport",
    "EvaluateSettings",
    "Evaluation",
    "Row",
    "System",
    "auc",
    "audit",
    "average_precision",
    "compare",
    "evaluate",
    "expected_average_precision",
    "fixed_order",
    "ndcg",
    "popularity_bins",
    "popularity_system",
    "random_system",
    "recall",
    "relevant_plays",
]
