"""How people say who they are and when they were born: names after the usual words, in capitals or not, and dates.

Pure data for `personal_data`. Small letters are not evidence of a name, so the words before one must be, and what
is known to follow them otherwise ("this is different from …") is listed here.
"""

from __future__ import annotations

import re

AMOUNT = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    r"|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred)"
)

# -- names -------------------------------------------------------------------------------------------------------------
# What follows "my name is" or "this is" and is not a name; words in -ing, -ed, -able and the like come on top.
_NO_NAMES = """
a an the my your our his her its their this that these those it he she they we you i me him us them not no none
nothing some somebody someone something any anybody anyone anything every everybody everyone everything each both all
one two on in at by to of from for with without under over about after before since until like as into out off up down
here there and or but so if then than because when where while why how what which who whose is are was were be been am
has have had do does did can could would should wrong right left correct incorrect different same similar other
another missing gone still also just now only very really quite rather too even ever never always again already almost
exactly directly mostly mainly partly entirely completely simply probably apparently clearly obviously definitely
actually usually straight fresh far away back late early long short new old good bad great fine nice perfect awful
urgent true false clear free due live going doing being lying using private hidden visible blank empty invalid unique
common known unknown taken spelt written shown misspelt stolen broken hard easy okay ok yes please thanks thank sorry
hello hi hey sure well mail email e-mail message letter note payment money refund charge order invoice parcel package
transfer feedback spam support service customer agent staff team account number address card phone product mr mrs ms
miss mx dr prof
"""
_ENDINGS = r"\w{3,}(?:ing|able|ible|ful|less|ous|tion|ment|ness)\b|(?!\w*(?:hamm?ed|fred|fried|dred)\b)\w{4,}ed\b"
NO_NAME = rf"(?i:(?:{'|'.join(_NO_NAMES.split())})\b(?!['’-])|{_ENDINGS})"
_WORD = rf"(?!{NO_NAME})[^\W\d_][\w'’-]+"
_PARTICLE = r"(?:de|da|di|del|della|dos|du|la|le|van|von|der|den|ter|al|el|bin|ibn)"
_SAID = rf"({_WORD}(?: {{1,3}}(?:{_PARTICLE} ){{0,2}}{_WORD})?)(?![\w@])"
_LISTENERS = r"(?!(?:him|her|them|me|us|you|someone|somebody|people|person|manager|supervisor|human|bot)\b)"

KIN = (
    r"daughter|son|wife|husband|partner|fianc[ée]e?|mother|father|mum|mom|dad|parents|brother|sister|aunt|uncle|cousin|niece"
    r"|nephew|grand(?:son|daughter|mother|father|ma|pa)|gran|girlfriend|boyfriend|friend|neighbou?r|colleague|flatmate"
    r"|roommate|boss|landlord|landlady|tenant|assistant"
)
_CAPITAL = rf"(?!{NO_NAME}|I['’])[A-ZÀ-ÖØ-ÞĀ-Ž][\w'’-]+"

INTRODUCED: list[re.Pattern[str]] = [
    re.compile(
        rf"\b(?i:(?:my|his|her|our|their)(?: \w+)? (?:{KIN})(?:,| \(|,? (?:called|named))?)"
        rf" ?({_CAPITAL}(?: {_CAPITAL})?)"
    ),
    re.compile(
        r"\b(?i:(?:my|his|her|the)(?: (?:full|first|last))? name(?:'s|’s| is|:)|(?<!\w )name(?:'s|’s| is))"
        rf":? {{1,3}}[\"“‘']?{_SAID}"
    ),
    re.compile(rf"\b(?i:this is|it['’]?s|i['’]?m|i am) {_SAID} (?i:speaking|calling|from)\b"),
    re.compile(
        r"\b(?i:hi|hello|hey|good (?:morning|afternoon|evening))[ ,.!-]{1,3}(?i:this is) "
        rf"({_WORD} {_WORD})(?=[,.!]|$)"
    ),
    re.compile(rf"\b(?i:(?:speaking|talking|chatting) (?:with|to)) {_LISTENERS}{_SAID}"),
    re.compile(rf"(?im)^[ \t>]*(?:(?:full|first|last|contact|customer|caller)[ -]?)?name ?: ?({_WORD} {_WORD})[ \t]*$"),
]
"""A name is the group; it is looked for in the rest of its conversation too."""

# -- dates of birth ----------------------------------------------------------------------------------------------------
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_ORDINAL = (
    r"(?:(?:twenty|thirty)[ -])?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|tenth|eleventh|twelfth"
    r"|(?:thir|four|fif|six|seven|eigh|nine)teenth|twentieth|thirtieth"
)
_DAY = rf"(?:\d{{1,2}}(?:st|nd|rd|th)?\b|(?:{_ORDINAL})\b|{AMOUNT}(?:[ -]{AMOUNT})?\b)"
_NUMBERS = rf"{AMOUNT}(?:[ -](?:(?:and|oh)[ -])?{AMOUNT}){{0,3}}"
_YEAR = (
    rf"(?:\d{{4}}|['’]?\d{{2}}|two thousand(?:[ -](?:and[ -])?{_NUMBERS})?|(?:nineteen|twenty)[ -](?:oh[ -])?{_NUMBERS}"
    rf"|{_NUMBERS})\b"
)
_DAYS_MONTH = rf"{_DAY}[ .-]{{1,2}}(?:of )?{_MONTH}"
_MONTHS_DAY = rf"{_MONTH}[ -](?:the )?{_DAY}"
_DATE = (
    rf"(?:\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}}\b|(?:{_DAYS_MONTH}|{_MONTHS_DAY})[ ,-]{{1,2}}(?:(?:of|in) )?{_YEAR}"
    rf"|{_MONTH} (?:of )?\d{{4}}\b)"
)
_PART = (
    rf"(?:\d{{1,2}} \d{{1,2}} (?:\d\d)?\d\d\b|\d{{8}}\b|\d{{6}}\b|{_DAYS_MONTH}|{_MONTHS_DAY}"
    rf"|(?:oh )?{AMOUNT}(?:[ ,-]{{1,2}}(?:oh )?{AMOUNT}){{2,6}}\b)"
)
_BIRTH = r"\b(?:born|birth|birth-?day|birth-?date|dob|d\.o\.b\.?)\b"
_FILLER = r"\W{1,3}(?:(?:is|was|are|on|the|it|it['’]s|in|date|of|number|a)\b\W{1,3}){0,4}"

BIRTHDATES: list[re.Pattern[str]] = [
    re.compile(rf"{_BIRTH}[^\d\n]{{0,30}}?(?<!\w)({_DATE})", re.I),
    re.compile(rf"{_BIRTH}{_FILLER}({_PART})", re.I),
    re.compile(
        rf"(?<!\w)({_DATE}|{_DAYS_MONTH}|{_MONTHS_DAY}),? (?:is|was) (?:my|his|her|their|the) "
        r"(?:date of birth|birth-?day|birth-?date|dob)\b", re.I
    ),
]
"""A date of birth is the group."""

BIRTH_ASKED = re.compile(
    rf"{_BIRTH}[^.\n]{{0,60}}(?:\?|please)|\b(?:confirm|give|need|provide|tell)\b[^.\n]{{0,40}}{_BIRTH}", re.I
)
"""A message that asks for a date of birth: the date in the next one is the answer."""

ANSWERED_DATE = re.compile(rf"(?<!\w)(?:{_DATE}|{_DAYS_MONTH}|{_MONTHS_DAY})", re.I)
