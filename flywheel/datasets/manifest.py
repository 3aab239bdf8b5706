"""What the web adds to a snapshot's manifest, and the dataset card. Pure: counts in, documents out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Request:
    """What was requested, as the manifest records it."""

    uid: str
    name: str
    project: str
    purpose: str
    region: str
    commercial: bool
    seed: int
    shares: Mapping[str, float]
    system_prompt: str


def manifest_build(
    request: Request, counted: Mapping[str, Any], *, refused: Mapping[str, int], unsettled: int,
    flags: Mapping[str, bool], created_at: datetime, cleared_until: datetime | None = None,
) -> dict[str, Any]:
    """The manifest as JSON values.

    counted: the facts of the snapshot's writer. refused: rows kept out, by rule. unsettled: tasks that were not
    asked about. flags: duties of the licences. cleared_until: when the first row's consent, basis or retention ends.
    """
    return {
        **counted, "uid": request.uid, "name": request.name, "project": request.project,
        "purpose": request.purpose, "region": request.region, "commercial": request.commercial,
        "seed": request.seed, "shares": dict(request.shares), "system_prompt": request.system_prompt,
        "gate": {"cleared": counted["rows"], "refused": dict(sorted(refused.items())), "unsettled": unsettled},
        "cleared_until": cleared_until.isoformat(timespec="seconds") if cleared_until else None,
        "share_alike": flags.get("share_alike", False), "attribution": flags.get("attribution", False),
        "created_at": created_at.isoformat(timespec="seconds"),
    }


def card_bytes(manifest: Mapping[str, Any]) -> bytes:
    """The dataset card (README.md): a YAML header for the Hugging Face hub, then the same in sentences.

    Source: https://huggingface.co/docs/hub/datasets-cards
    """
    header = yaml.safe_dump(_card_header(manifest), sort_keys=False, allow_unicode=True)
    return f"---\n{header}---\n\n{_card_text(manifest)}".encode()


def _card_header(manifest: Mapping[str, Any]) -> dict[str, Any]:
    # The hub knows one licence per data set; several, or one of our own, are "other".
    licences = [name for name in manifest["licenses"] if name]
    header: dict[str, Any] = {"pretty_name": manifest["name"]}
    if manifest["languages"]:
        header["language"] = list(manifest["languages"])
    header |= {
        "license": licences[0].lower() if len(licences) == 1 and "LicenseRef" not in licences[0] else "other",
        "annotations_creators": ["expert-generated"], "source_datasets": ["original"],
        "task_categories": ["text-generation"], "size_categories": [_size_category(manifest["rows"])],
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


def _size_category(rows: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if rows < limit:
            return name
    return "1M<n<10M" if rows < 10_000_000 else "10M<n<100M"


def _card_text(manifest: Mapping[str, Any]) -> str:
    # A line break in the name would end the heading.
    name = " ".join(str(manifest["name"]).split())
    splits = "\n".join(
        f"| {split} | {entry['rows']:,} | {manifest['token_statistics']['splits'][split]['words']:,} |"
        f" `{entry['sha256'][:16]}` |" for split, entry in manifest["splits"].items()
    )
    licences = "\n".join(f"- {name or 'none'}: {rows:,} rows" for name, rows in manifest["licenses"].items())
    refused = "\n".join(f"- {rule}: {rows:,}" for rule, rows in manifest["gate"]["refused"].items())
    duties = [text for flag, text in (("share_alike", _SHARE_ALIKE), ("attribution", _ATTRIBUTION)) if manifest[flag]]
    use = "commercial use included" if manifest["commercial"] else "for non-commercial use only"
    return f"""# {name}

Customer conversations with replies corrected and reviewed by people, cleared for the purpose
**{manifest['purpose']}** in **{manifest['region']}**, {use}. Frozen from project `{manifest['project']}`.

Merkle root (RFC 9162): `{manifest['merkle_root']}`

Check it with `python -m training verify FOLDER`.

## Splits

Split by groups with seed {manifest['seed']}: a customer's conversations and near-duplicates of one another are in one
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

Personal data was detected and replaced by placeholders such as `<EMAIL_1>` before annotation. Detection is not
complete; treat the rows as pseudonymised and not as anonymous.
"""


_SHARE_ALIKE = "Some rows are share-alike: what is derived from this data set carries the same terms."
_ATTRIBUTION = "Some licences ask for attribution: name the sources when you pass this data set on."
