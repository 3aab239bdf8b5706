"""What licences permit for training, by SPDX identifier. Unknown permits nothing.

Families whose members differ only in version or country are matched by pattern. Proprietary terms
(`LicenseRef-…`) permit what the record's own list of purposes says, and nothing when it says nothing.
Expressions with AND and OR (SPDX specification 2.3, annex D) are understood; WITH exceptions only widen a
licence, so the licence decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Terms:
    """What a licence says of use as training data.

    commercial: commercial use is allowed. derivatives: adapted material may be made. share_alike: what is derived
    carries the same terms. attribution: the author must be named. own_terms: the record lists the purposes.
    """

    commercial: bool = True
    derivatives: bool = True
    share_alike: bool = False
    attribution: bool = True
    own_terms: bool = False


_FREE = Terms(attribution=False)
_BY = Terms()
_SHARE = Terms(share_alike=True)

_EXACT: dict[str, Terms] = {
    **dict.fromkeys(
        ("CC0-1.0", "PDDL-1.0", "Unlicense", "0BSD", "MIT-0", "WTFPL", "CC-PDDC", "CC-PDM-1.0", "DL-DE-ZERO-2.0",
         "CDLA-Permissive-2.0"), _FREE),
    **dict.fromkeys(
        ("MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-3-Clause-Clear", "BSD-4-Clause", "ISC", "Zlib",
         "NCSA", "PostgreSQL", "BSL-1.0", "Artistic-2.0", "AFL-3.0", "UPL-1.0", "X11", "Python-2.0", "PSF-2.0",
         "ODC-By-1.0", "CDLA-Permissive-1.0", "C-UDA-1.0", "OGL-UK-1.0", "OGL-UK-2.0", "OGL-UK-3.0",
         "OGL-Canada-2.0", "etalab-2.0", "DL-DE-BY-2.0", "NLOD-1.0", "NLOD-2.0", "MulanPSL-2.0"), _BY),
    **dict.fromkeys(
        ("ODbL-1.0", "CDLA-Sharing-1.0", "MPL-1.1", "MPL-2.0", "EPL-1.0", "EPL-2.0", "EUPL-1.1", "EUPL-1.2",
         "CDDL-1.0", "CDDL-1.1", "OSL-3.0", "CECILL-2.1", "Sleepycat"), _SHARE),
    **dict.fromkeys(("PolyForm-Noncommercial-1.0.0", "Aladdin", "Hippocratic-2.1"), Terms(commercial=False)),
}
_BY_LOWER = {name.lower(): terms for name, terms in _EXACT.items()}

_CC = re.compile(r"cc-by(?P<nc>-nc)?(?P<nd>-nd)?(?P<sa>-sa)?-(?:1\.0|2\.0|2\.5|3\.0|4\.0)(?:-[a-z]{2,3})?")
_COPYLEFT = re.compile(r"(?:a?gpl|lgpl|gfdl)-[123]\.[0-9](?:-invariants|-no-invariants)?(?:-only|-or-later|\+)?")
_OWN = re.compile(r"(?:documentref-[a-z0-9.-]+:)?licenseref-[a-z0-9.-]+")
_TOKEN = re.compile(r"\(|\)|[^\s()]+")

# Parsing is recursive and its alternatives multiply, so the length of an expression that comes from outside is bounded.
MAX_LENGTH = 500


@lru_cache(maxsize=4096)
def licence_terms(spdx: str) -> tuple[Terms, ...] | None:
    """The alternatives that an SPDX expression offers, each the sum of its parts; None when it is not known.

    Empty text, NONE, NOASSERTION and identifiers outside the matrix are not known. SPDX identifiers are matched
    without regard to case, as the specification asks.
    """
    tokens = _TOKEN.findall(spdx) if len(spdx) <= MAX_LENGTH else []
    parser = _Parser(tokens)
    try:
        alternatives = parser.any_of()
    # A hostile expression with hundreds of brackets exhausts the stack; it is treated like any other that cannot be
    # read.
    except (IndexError, RecursionError):
        return None
    # Words that are left over mean that the expression was not understood as a whole, and a licence that is understood
    # in part must permit nothing.
    return tuple(alternatives) if alternatives and parser.at == len(tokens) else None


def _single(identifier: str) -> Terms | None:
    name = identifier.lower()
    # "+" means "or any later version". The licensee may stay with the version that is named, so that one decides.
    if found := _BY_LOWER.get(name.removesuffix("+")):
        return found
    if match := _CC.fullmatch(name):
        return Terms(
            commercial=match["nc"] is None, derivatives=match["nd"] is None, share_alike=match["sa"] is not None
        )
    if _COPYLEFT.fullmatch(name):
        return _SHARE
    # The text of such a licence is not part of SPDX, so the terms are those that the source states itself.
    if _OWN.fullmatch(name):
        return Terms(own_terms=True)
    return None


def _both(a: Terms, b: Terms) -> Terms:
    return Terms(
        commercial=a.commercial and b.commercial, derivatives=a.derivatives and b.derivatives,
        share_alike=a.share_alike or b.share_alike, attribution=a.attribution or b.attribution,
        own_terms=a.own_terms or b.own_terms,
    )


class _Parser:
    """Recursive descent over `A AND (B OR C)`. Each method returns alternatives, or None for an unknown licence."""

    # The package license-expression 30.4 is not used, because it accepts a missing operator after a bracket: it reads
    # "MIT OR (ISC) foo" as "MIT OR ISC OR foo", and a malformed expression must permit nothing.

    def __init__(self, tokens: list[str]) -> None:
        self._tokens, self.at = tokens, 0

    def any_of(self) -> list[Terms] | None:
        options = [self._all_of()]
        while self._next_is("OR"):
            options.append(self._all_of())
        # The user of a dual licence may choose, so a known alternative is enough.
        return [terms for option in options if option for terms in option] or None

    def _all_of(self) -> list[Terms] | None:
        parts = self._part()
        while self._next_is("AND"):
            more = self._part()
            # Distinct combinations only, because a hostile expression would otherwise double the list at each AND.
            parts = list({_both(a, b): None for a in parts for b in more}) if parts and more else None
        return parts

    def _part(self) -> list[Terms] | None:
        word = self._tokens[self.at]
        self.at += 1
        if word == "(":
            inner = self.any_of()
            if self._tokens[self.at] != ")":
                raise IndexError
            self.at += 1
            return inner
        terms = _single(word)
        if self._next_is("WITH"):
            self.at += 1
        return [terms] if terms else None

    def _next_is(self, word: str) -> bool:
        if self.at < len(self._tokens) and self._tokens[self.at].upper() == word:
            self.at += 1
            return True
        return False
