"""What personal data looks like: patterns over text, and the words that decide about a guessed name.

Pure data for the detector in `flywheel.privacy.detector`, which adds Presidio's checksums and the model's opinions.
"""

from __future__ import annotations

import re
import unicodedata

from flywheel.privacy.name_patterns import AMOUNT, BIRTHDATES, INTRODUCED, KIN

_DIGIT = r"(?:zero|oh|nought|one|two|three|four|five|six|seven|eight|nine)"
_SPOKEN = rf"(?:(?:double|triple)[ -])?{_DIGIT}"
_STREET = (
    r"Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Close|Court|Ct|Way|Place|Pl|Square|Sq|Boulevard|Blvd|Terrace"
    r"|Crescent|Gardens|Grove|Hill|Row|Mews|Walk|Parkway|Pkwy|Highway|Hwy|Circle|Quay|Park"
)
# The full stop of an abbreviation belongs to it, that of a sentence does not.
_SHORT = r"(?:(?<= (?:St|Rd|Ln|Dr|Ct|Pl|Sq))\.|(?<= Ave)\.|(?<= (?:Blvd|Pkwy))\.|(?<= Hwy)\.)?"
_PLAIN_STREET = r"street|road|avenue|lane|boulevard|crescent|terrace"
_UNIT = r"(?:,? (?:Apt|Apartment|Flat|Unit|Suite|Ste|No)\.? ?#?\w{1,5})?"
_NAME = r"[A-ZÀ-ÖØ-ÞĀ-Ž][\w'’-]+"
# What a document's number looks like: digits, letters before them or at the end, and no words in between.
_DOCUMENT = (
    r"(?=(?:[ -]?[A-Z\d]){5})((?:[A-Z]{1,6}(?=\d)|[A-Z]{1,2}[ -](?=\d))?\d[A-Z\d]*"
    r"(?:[ -](?:[A-Z]{0,2}\d[A-Z\d]*|[A-Z]\b)){0,6})\b"
)

PATTERNS: list[tuple[str, int, re.Pattern[str]]] = [
    ("EMAIL", 3, re.compile(r"(?<![\w.+%'-])[\w.+%'-]++@(?:[\w-]+\.)+[^\W\d_]{2,24}\b")),
    ("EMAIL", 2, re.compile(
        r"(?<![\w.+-])[\w.+-]++(?: (?:dot|underscore|dash|hyphen) [\w.+-]++){0,4} (?:\(at\)|\[at\]|at) [\w-]+"
        r"(?:(?: ?\.| dot ) ?(?:com|org|net|edu|io|co|eu|de|uk|fr|es|it|nl)\b){1,2}", re.I
    )),
    ("EMAIL", 2, re.compile(
        r"(?<![\w.+-])[\w.+-]++ @ ?[\w-]+(?:\.[\w-]+){0,3}\.(?:com|org|net|edu|io|co|eu|de|uk|fr|es|it|nl)\b", re.I
    )),
    ("HANDLE", 2, re.compile(
        r"(?<![\w.@/+%'-])@(?!(?:here|all|channel|everyone|home|work)\b)(?=[\w.]{0,29}[^\W\d])\w[\w.]{0,28}\w(?![\w@])"
    )),
    ("URL", 2, re.compile(r"\b(?:https?://|www\.)[^\s<>\"']+[^\s<>\"'.,;:!?)\]]", re.I)),
    ("URL", 2, re.compile(
        r"(?<![\w@./-])(?:[a-z\d-]+\.){1,4}(?:com|org|net|io|eu|de|uk|fr|es|it|nl|me|app)"
        r"/[^\s<>\"']*[^\s<>\"'.,;:!?)\]]", re.I
    )),
    ("PHONE", 2, re.compile(r"(?<![\w+-])0\d(?:[ .-]\d{2}){4}(?![\w-])")),
    ("PHONE", 2, re.compile(r"(?<![\w+-])[6-9]\d{4}[ -]\d{5}(?![\w-])")),
    ("PHONE", 2, re.compile(r"(?<![\w+-])\(0\) ?\d{2,5}[ -]?\d{3,4}(?:[ -]?\d{3,4})?(?![\w-])")),
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
    *[("PERSON", 2, pattern) for pattern in INTRODUCED],
    ("PERSON", 2, re.compile(
        rf"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Herr|Frau|Señora?|Monsieur|Madame|Mme)\b\.? ({_NAME}(?: {_NAME}){{0,2}})"
    )),
    ("PERSON", 2, re.compile(r"\b([A-ZÀ-Ý][\w'’-]+(?: [A-ZÀ-Ý][\w'’-]+){1,3}) <[\w.+-]+@")),
    ("ADDRESS", 2, re.compile(r"\bP\.? ?O\.? Box \d{1,6}\b", re.I)),
    ("ACCOUNT", 2, re.compile(
        r"\b(?:account|acct|sort code|routing)(?: (?:number|no\.?))?(?: is)?\W{1,3}(\d[\d -]{4,17}\d)\b", re.I
    )),
    ("ADDRESS", 2, re.compile(
        rf"\b(?:(?:Apt|Apartment|Flat|Unit|Suite|Ste)\.? ?\w{{1,5}},? )?"
        rf"\d{{1,5}}[A-Za-z]?,? (?:(?:[A-Z][\w'’.-]*|of|the|de|la) ){{1,4}}(?:{_STREET})\b{_SHORT}{_UNIT}"
    )),
    ("ADDRESS", 2, re.compile(rf"\b(?:{_NAME} ){{1,3}}(?:Street|Road|Avenue|Lane|Drive|Terrace) \d{{1,4}}[a-z]?\b")),
    ("ADDRESS", 2, re.compile(
        rf"\b(?i:{AMOUNT}(?:[ -]{AMOUNT}){{0,3}}) (?:{_NAME} ){{1,3}}(?:Street|Road|Avenue|Lane|Drive|Terrace)\b"
    )),
    ("ADDRESS", 2, re.compile(
        rf"\b\d{{1,4}}(?: (?:bis|ter))?,? (?:rue|avenue|boulevard|chemin|impasse|allée|quai|cours|place) "
        rf"(?:(?:de|des|du|la|le|les) ){{0,3}}(?:[ld]['’])?{_NAME}(?: {_NAME}){{0,2}}"
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
    ("NUMBER", 2, re.compile(r"(?<![\w.,+-])\d(?:[ -]\d){6,}(?![\w.-])")),
    ("SECRET", 2, re.compile(r"\b(?:cv[vc]2?|csc)\W{1,3}(?:(?:number|code|is)\W{1,2})?(\d{3,4})\b", re.I)),
    ("SECRET", 2, re.compile(
        r"\b(?:pass(?:word|code|phrase)|pwd|pin(?: ?code)?|(?:security|verification|one[- ]time|access) code|otp)"
        r"(?: number)?(?: is|:|=) ?[\"'“‘]?(?=\S*\d)([^\s\"'”’]{3,60}[^\s\"'”’.,;:!?)])", re.I
    )),
    *[("BIRTHDATE", 2, pattern) for pattern in BIRTHDATES],
    ("ID", 2, re.compile(
        r"\b(?:passport|driving licen[cs]e|driver['’]?s licen[cs]e|national id|id card|identity card|social security"
        r"|ssn|nino|national insurance|ni|nhs|tax id|tax file|tfn|itin|social insurance|sin|aadhaar|aadhar"
        r"|pan(?: card)?|dni|nie|nif|codice fiscale|steuer-?id|steueridentifikationsnummer|personalausweis|reisepass"
        r"|pesel|personnummer|cpf|curp)"
        rf"(?: ?(?:number|nummer|no\b\.?|nr\b\.?))?(?: is)?\W{{1,3}}{_DOCUMENT}", re.I
    )),
    ("ID", 2, re.compile(r"\b[A-Z]{3}P[A-Z]\d{4}[A-Z]\b")),
    ("ID", 2, re.compile(
        r"\b(?i:(?:licen[cs]e|number|registration) plate)(?: is)?\W{1,3}([A-Z]{1,3}[ -]?\d{1,4}(?:[ -]?[A-Z]{1,3})?)\b"
    )),
]

LINED = frozenset({"PHONE", "ADDRESS", "BIRTHDATE"})
"""Types whose patterns are looked for over a single line break too: mail programs break long lines."""

# What a greeting, a signature or a header calls a person. Guesses: they are weighed like the model's.
SALUTES = [
    re.compile(
        rf"(?m)^[ \t]*(?:Hi|Hello|Hey|Dear|Good (?:morning|afternoon|evening)),? ({_NAME}(?: {_NAME})?)"
        r"(?=[ \t]*(?:[,.!:;–—-]|$))"
    ),
    re.compile(
        r"(?m)\b(?:[Tt]hanks|[Tt]hank you|[Rr]egards|[Bb]est(?: wishes)?|[Cc]heers|[Ss]incerely|[Yy]ours(?: truly)?)"
        rf"[,.!]?(?:[ \t]+|[ \t]*\n[ \t]*)({_NAME}(?: {_NAME}){{0,3}})[ \t]*[.!]?$"
    ),
    re.compile(
        r"(?m)^[ \t>]*(?:From|To|Cc|Attn|Name|Caller|Contact|Signed|Von|An): ?"
        rf"({_NAME}(?: {_NAME}){{1,3}})[ \t]*(?=$|<)"
    ),
    re.compile(rf", ({_NAME}(?: {_NAME})?) speaking\b"),
]

PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]*_\d+>")
HINT = re.compile(
    r"\d|@| at |\w/|www\.|\bname\b|\bthis is\b|\bi['’]?m\b|\bit['’]?s\b|\bi am\b"
    r"|ing (?:with|to)\b|\b(?:born|birth|dob\b|d\.o\.b)"
    r"|\b(?:mrs?|ms|miss|mx|dr|prof|herr|frau|señora?|monsieur|madame|mme)\b|\b"
    + AMOUNT + r"\b|\b" + _DIGIT + r"\b|\b(?:" + KIN + r")\b", re.IGNORECASE
)
DETERMINER = re.compile(
    r"\b(?:the|a|an|my|your|our|this|that|these|those|his|her|their|its|any|each|every|another|new|old|no)\s+$", re.I
)
ARTICLE = re.compile(r"(?:a|an|the|my|your|our|this|that)\s", re.IGNORECASE)
LEADING = re.compile(
    r"^(?:(?:hi|hello|hey|dear|thanks|thank you|regards|cheers|best|sincerely|mr|mrs|ms|dr|sir|madam|ok|okay|yes|no"
    r"|and)\b[\s.,:!-]*)+", re.IGNORECASE
)
EDGE = " \t\n.,;:!?\"'“”‘’()[]{}<>*_-–—/\\|#&"

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
there all everyone everybody folks sir madam sirs both again guys friends member guest user client buyer seller shopper
manager admin sales billing service care desk crew staff sent much indeed advance
"""
EVERYDAY = frozenset(_EVERYDAY_WORDS.split())


class _Plain(dict[int, int]):
    """What a character is looked at as: another script's digit as the digit, a wide letter as the letter."""

    def __missing__(self, code: int) -> int:
        self[code] = found = self._plain(chr(code))
        return found

    @staticmethod
    def _plain(char: str) -> int:
        category = unicodedata.category(char)
        if category == "Nd":
            return ord(str(unicodedata.digit(char)))
        if category == "Zs":
            return ord(" ")
        if char in "‐‑‒–−﹣－":
            return ord("-")
        if unicodedata.decomposition(char).startswith(("<wide>", "<narrow>")):
            same = unicodedata.normalize("NFKC", char)
            return ord(same) if len(same) == 1 else ord(char)
        return ord(char)


_PLAIN = _Plain()


def plain(text: str) -> str:
    """The text as it is looked at, character by character, so that offsets stay: no-break spaces and the like as
    blanks, all digits as 0 to 9, wide forms as plain ones, hyphens as hyphens."""
    return text if text.isascii() else text.translate(_PLAIN)
