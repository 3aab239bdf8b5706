"""Changes of state in datasets: asking for a snapshot, building it, tainting it, handing out its files.

requests: what people ask for; building: the job; files: reading what was frozen; withdrawing: the walk's part here.
"""

from flywheel.datasets.services.build import snapshot_build
from flywheel.datasets.services.files import (
    ALL,
    InclusionProof,
    export_stream,
    pieces,
    proof_of,
    snapshot_file_open,
)
from flywheel.datasets.services.requests import snapshot_request
from flywheel.datasets.services.taint import SnapshotsReached, snapshots_withdraw

__all__ = [
    "ALL", "InclusionProof", "SnapshotsReached", "export_stream", "pieces", "proof_of",
    "snapshot_build", "snapshot_file_open", "snapshot_request", "snapshots_withdraw",
]
