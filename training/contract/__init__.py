"""What the trainer and everything around it agree on: run specifications, events, results, rows, Merkle trees.

Standard library only, so that the web process can import it without torch and an auditor without Django.
It describes and validates; reading snapshots, training and talking to the network are left to other modules.
"""

from training.contract.errors import ContractError, RowError, SnapshotError
from training.contract.merkle import EMPTY_ROOT, MerkleTree, inclusion_proof, leaf_hash, merkle_root, verify_inclusion
from training.contract.rows import SPLITS, Row, row_from_json
from training.contract.spec import (
    EXIT_BAD_INPUT,
    EXIT_CRASH,
    EXIT_DONE,
    EXIT_STOPPED,
    METHODS,
    SPEC_SCHEMA,
    TUNINGS,
    EvaluationPlan,
    GenerateSpec,
    Hyperparameters,
    Limits,
    RunEvent,
    RunResult,
    RunSpec,
    SnapshotRef,
)
from training.contract.tokenizer_stats import TextFigures

__all__ = [
    "EMPTY_ROOT", "EXIT_BAD_INPUT", "EXIT_CRASH", "EXIT_DONE", "EXIT_STOPPED", "METHODS", "SPEC_SCHEMA", "SPLITS",
    "TUNINGS", "ContractError", "EvaluationPlan", "GenerateSpec", "Hyperparameters", "Limits", "MerkleTree", "Row",
    "RowError", "RunEvent", "RunResult", "RunSpec", "SnapshotError", "SnapshotRef", "TextFigures", "inclusion_proof",
    "leaf_hash", "merkle_root", "row_from_json", "verify_inclusion",
]
