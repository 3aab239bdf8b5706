"""The snapshot format, said once: web and trainer write, split, read and verify through this package.

A snapshot is a folder with one Parquet file per split, `tree.bin`, `README.md` and `manifest.json`; `layout` names its
parts, `messages` builds the chat of a row, `splits` divides groups, `tally` counts, `tree` keeps proofs. These are
re-exported here and need the standard library only. `parquet`, `writer` and `reader` need pyarrow as well and are
imported by their own names, so that importing the contract does not load pyarrow.
"""

from training.contract.snapshot.layout import (
    CARD,
    DOCUMENTS,
    MANIFEST,
    SCHEMA,
    TEXT_COLUMNS,
    TREE,
    Manifest,
    SplitEntry,
    manifest_write,
    rows_file,
)
from training.contract.snapshot.messages import messages_build
from training.contract.snapshot.splits import (
    MAX_SHARE,
    GroupSize,
    group_name,
    group_node,
    groups_split,
    shares_problem,
)
from training.contract.snapshot.tally import SplitStatistics, Tally
from training.contract.snapshot.tree import tree_proof, tree_write

__all__ = [
    "CARD", "DOCUMENTS", "MANIFEST", "MAX_SHARE", "SCHEMA", "TEXT_COLUMNS", "TREE", "GroupSize", "Manifest",
    "SplitEntry", "SplitStatistics", "Tally", "group_name", "group_node", "groups_split", "manifest_write",
    "messages_build", "rows_file", "shares_problem", "tree_proof", "tree_write",
]
