"""Scores of segmentations against ground truth, from tables that are summed over blocks."""

from attacca.evaluators.best_weights import BestWeights
from attacca.evaluators.binary_counts import binary_table
from attacca.evaluators.binary_evaluator import BinarySegmentationEvaluator
from attacca.evaluators.binary_scores import (
    BinarySegmentationEvaluationScores,
    BinaryTable,
    MultiChannelBinarySegmentationEvaluationScores,
    scores_from_binary_table,
)
from attacca.evaluators.contingency import ContingencyTable, contingency_table, merge_tables
from attacca.evaluators.dummy_evaluator import DummyEvaluationScores, DummyEvaluator
from attacca.evaluators.evaluator import Evaluator
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.evaluators.instance_evaluator import InstanceEvaluator, relabel, voi
from attacca.evaluators.instance_scores import (
    InstanceConvention,
    InstanceEvaluationScores,
    Rand,
    Voi,
    rand_from_table,
    scores_from_table,
    voi_from_table,
)
from attacca.evaluators.object_matching import Matching, match_objects
from attacca.evaluators.one_hot_evaluator import OneHotEvaluationScores, OneHotEvaluator
from attacca.evaluators.scores import Criterion, EvaluationScores, scores_to_json
from attacca.evaluators.table_blocks import EvaluateBlocks, collect_tables
from attacca.evaluators.table_evaluator import TableEvaluator
from attacca.evaluators.validation_scores import ValidationIterationScores, ValidationScores

__all__ = [
    "BestWeights",
    "BinarySegmentationEvaluationScores",
    "BinarySegmentationEvaluator",
    "BinaryTable",
    "ContingencyTable",
    "Criterion",
    "DummyEvaluationScores",
    "DummyEvaluator",
    "EvaluateBlocks",
    "EvaluationScores",
    "Evaluator",
    "GroundTruthRules",
    "InstanceConvention",
    "InstanceEvaluationScores",
    "InstanceEvaluator",
    "Matching",
    "MultiChannelBinarySegmentationEvaluationScores",
    "OneHotEvaluationScores",
    "OneHotEvaluator",
    "Rand",
    "TableEvaluator",
    "ValidationIterationScores",
    "ValidationScores",
    "Voi",
    "binary_table",
    "collect_tables",
    "contingency_table",
    "match_objects",
    "merge_tables",
    "rand_from_table",
    "relabel",
    "scores_from_binary_table",
    "scores_from_table",
    "scores_to_json",
    "voi",
    "voi_from_table",
]
