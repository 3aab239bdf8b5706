"""The agreement between web and trainer: run specifications, events, results, rows, Merkle trees, the snapshot format.

Needs the standard library and pydantic, so that the web can import it without torch and an auditor without Django.
One module, `snapshot.parquet`, needs pyarrow as well.
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
