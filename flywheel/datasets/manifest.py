"""The manifest that makes a snapshot checkable, and its dataset card. Pure: counts in, documents out.

Times stand in the manifest only, never in rows, so that the same state always has the same Merkle root.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from training.contract.merkle import node_hash
from training.contract.rows import SPLITS, Row

SCHEMA = "flywheel.snapshot/1"
MANIFEST = "manifest.json"
CARD = "README.md"
TREE = "tree.bin"
HASH_BYTES = 32

# What a tokenizer of 50,000 pieces makes of English support talk, and what a chat template adds to a message.
CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 5


@dataclass(slots=True)
class SplitStatistics:
    """What one split holds. Tokens are an estimate; the trainer counts them exactly before its first step."""

    rows: int = 0
    messages: int = 0
    words: int = 0
    characters: int = 0
    supervised_characters: int = 0

    def add(self, row: Row) -> None:
        """Count one row."""
        self.rows += 1
        self.messages += len(row.messages)
        for message in row.messages:
            self.words += message.content.count(" ") + 1
            self.characters += len(message.content)
            self.supervised_characters += len(message.content) * message.weight

    def to_json(self) -> dict[str, int]:
        """As it stands in the manifest."""
        return {
            "rows": self.rows, "messages": self.messages, "words": self.words, "characters": self.characters,
            "supervised_characters": self.supervised_characters,
            "tokens": -(-self.characters // CHARACTERS_PER_TOKEN) + self.messages * TOKENS_PER_MESSAGE,
        }


@dataclass(slots=True)
class Tally:
    """Everything that is counted while rows are written."""

    splits: dict[str, SplitStatistics] = field(default_factory=lambda: {s: SplitStatistics() for s in SPLITS})
    licenses: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    labels: dict[str, Counter[str]] = field(default_factory=lambda: {s: Counter() for s in SPLITS})
    languages: Counter[str] = field(default_factory=Counter)
    groups: set[str] = field(default_factory=set)

    def add(self, row: Row) -> None:
        """Count one row."""
        self.splits[row.split].add(row)
        self.licenses[row.license] += 1
        self.sources[row.source] += 1
        self.labels[row.split][row.label or "(none)"] += 1
        if row.extra.get("language"):
            self.languages[row.extra["language"]] += 1
        self.groups.add(row.group)

    @property
    def rows(self) -> int:
        """Rows in all splits."""
        return sum(s.rows for s in self.splits.values())


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for, as it stands in the manifest."""

    uid: str
    name: str
    project: str
    purpose: str
    region: str
    commercial: bool
    seed: int
    shares: Mapping[str, float]
    system_prompt: str


def file_entry(path: Path, rows: int) -> dict[str, Any]:
    """A file of rows as the manifest names it."""
    return {"file": path.name, "rows": rows} | digest_entry(path)


def digest_entry(path: Path) -> dict[str, Any]:
    """What a file has to be: its SHA-256 (hex) and its size in bytes."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": digest, "bytes": path.stat().st_size}


def manifest_build(
    request: Request, tally: Tally, *, root: str, files: Mapping[str, dict[str, Any]], refused: Mapping[str, int],
    unsettled: int, flags: Mapping[str, bool], created_at: datetime, cleared_until: datetime | None = None,
) -> dict[str, Any]:
    """The manifest as JSON values. `files` by split; `refused` by rule; `unsettled` tasks were not asked about;
    `cleared_until` is when the first row's consent, basis or retention ends by itself."""
    return {
        "schema": SCHEMA, "uid": request.uid, "name": request.name, "project": request.project,
        "purpose": request.purpose, "region": request.region, "commercial": request.commercial,
        "seed": request.seed, "shares": dict(request.shares), "system_prompt": request.system_prompt,
        "merkle_root": root, "rows": tally.rows, "splits": dict(files),
        "gate": {"cleared": tally.rows, "refused": dict(sorted(refused.items())), "unsettled": unsettled},
        "cleared_until": cleared_until.isoformat(timespec="seconds") if cleared_until else None,
        "licenses": dict(sorted(tally.licenses.items())), "share_alike": flags.get("share_alike", False),
        "attribution": flags.get("attribution", False), "sources": dict(sorted(tally.sources.items())),
        "languages": dict(sorted(tally.languages.items())),
        "labels": {split: dict(sorted(counts.items())) for split, counts in tally.labels.items()},
        "groups": len(tally.groups),
        "token_statistics": {
            "method": f"characters / {CHARACTERS_PER_TOKEN} + {TOKENS_PER_MESSAGE} for each message, estimated",
            "splits": {split: counts.to_json() for split, counts in tally.splits.items()},
        },
        "created_at": created_at.isoformat(timespec="seconds"),
    }


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """The manifest's file."""
    return json.dumps(manifest, indent=2, ensure_ascii=False, sort_keys=True).encode() + b"\n"


def card_bytes(manifest: Mapping[str, Any]) -> bytes:
    """The dataset card: YAML header as the Hugging Face hub reads it, then the same in sentences."""
    header = yaml.safe_dump(_header(manifest), sort_keys=False, allow_unicode=True)
    return f"---\n{header}---\n\n{_text(manifest)}".encode()


def _header(manifest: Mapping[str, Any]) -> dict[str, Any]:
    licences = [name for name in manifest["licenses"] if name]
    header: dict[str, Any] = {"pretty_name": manifest["name"]}
    if manifest["languages"]:
        header["language"] = list(manifest["languages"])
    header |= {
        "license": licences[0].lower() if len(licences) == 1 and "LicenseRef" not in licences[0] else "other",
        "annotations_creators": ["expert-generated"], "source_datasets": ["original"],
        "task_categories": ["text-generation"], "size_categories": [_size(manifest["rows"])],
        "configs": [{
            "config_name": "default",
            "data_files": [{"split": split, "path": e["file"]} for split, e in manifest["splits"].items() if e["rows"]],
        }],
        "dataset_info": {"splits": [
            {"name": split, "num_examples": e["rows"], "num_bytes": e["bytes"]}
            for split, e in manifest["splits"].items()
        ]},
    }
    return header


def _size(rows: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if rows < limit:
            return name
    return "1M<n<10M" if rows < 10_000_000 else "10M<n<100M"


def _text(manifest: Mapping[str, Any]) -> str:
    splits = "\n".join(
        f"| {split} | {entry['rows']:,} | {manifest['token_statistics']['splits'][split]['words']:,} |"
        f" `{entry['sha256'][:16]}` |" for split, entry in manifest["splits"].items()
    )
    licences = "\n".join(f"- {name or 'none'}: {rows:,} rows" for name, rows in manifest["licenses"].items())
    refused = "\n".join(f"- {rule}: {rows:,}" for rule, rows in manifest["gate"]["refused"].items())
    duties = [text for flag, text in (("share_alike", _SHARE_ALIKE), ("attribution", _ATTRIBUTION)) if manifest[flag]]
    use = "commercial use included" if manifest["commercial"] else "for non-commercial use only"
    return f"""# {_one_line(manifest['name'])}

Customer conversations with replies corrected and reviewed by people, cleared for the purpose
**{manifest['purpose']}** in **{manifest['region']}**, {use}. Frozen from project `{manifest['project']}`.

Merkle root (RFC 9162): `{manifest['merkle_root']}`

Check it with `python -m training verify FOLDER`.

## Splits

Split by groups with seed {manifest['seed']}: a customer's conversations and near-duplicates of one another stand in one
split. Stratified by label.

| split | rows | words | sha256 |
|---|---|---|---|
{splits}

## Columns

`id, split, group, label, license, source, provenance` are text; `messages` is a list of role, content and weight, of
which weight 1 marks what may teach; `extra` is a JSON object.

## Licences

{licences or 'No rows.'}
{''.join(f'{chr(10)}{duty}{chr(10)}' for duty in duties)}
## The gate

Cleared: {manifest['gate']['cleared']:,}. Kept out, by the first rule that refused:

{refused or 'None.'}

## Personal data

Personal data was detected and replaced by placeholders such as `<EMAIL_1>` before anybody annotated. Detection is not
complete; treat the rows as pseudonymised and not as anonymous.
"""


_SHARE_ALIKE = "Some rows are share-alike: what is derived from this data set carries the same terms."
_ATTRIBUTION = "Some licences ask for attribution: name the sources when you pass this data set on."


def _one_line(text: str) -> str:
    return " ".join(str(text).split())


def tree_write(path: Path, leaves: int) -> None:
    """Turn a file of leaf hashes into all levels of the tree, one after the other, each node 32 bytes.

    With it an inclusion proof is a few reads however many leaves there are. An odd last node moves up unchanged, as
    in RFC 9162. Constant memory.
    """
    with path.open("r+b") as file:
        start, count = 0, leaves
        while count > 1:
            end = start + count * HASH_BYTES
            _level_write(file, start, count, end)
            start, count = end, (count + 1) // 2


def _level_write(file: Any, start: int, count: int, end: int) -> None:
    step = 4096
    for first in range(0, count, step):
        file.seek(start + first * HASH_BYTES)
        data = file.read(min(step, count - first) * HASH_BYTES)
        nodes = [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]
        pairs = [node_hash(*nodes[i : i + 2]) if i + 1 < len(nodes) else nodes[i] for i in range(0, len(nodes), 2)]
        file.seek(end + first // 2 * HASH_BYTES)
        file.write(b"".join(pairs))


def tree_proof(file: Any, leaves: int, index: int) -> list[bytes]:
    """The inclusion proof of leaf `index` from an open tree file: siblings from the leaf up (RFC 9162, 2.1.3.1)."""
    if not 0 <= index < leaves:
        raise IndexError(f"leaf {index} is not among {leaves} leaves")
    proof, start, count = [], 0, leaves
    while count > 1:
        sibling = index ^ 1
        if sibling < count:
            file.seek(start + sibling * HASH_BYTES)
            proof.append(file.read(HASH_BYTES))
        start, index, count = start + count * HASH_BYTES, index // 2, (count + 1) // 2
    return proof
