"""The licence matrix."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.domain.licences import licence_terms


@pytest.mark.parametrize("spdx", [
    "CC0-1.0", "cc0-1.0", "MIT", "Apache-2.0", "BSD-3-Clause", "ISC", "CC-BY-4.0", "CC-BY-2.0-UK", "CC-BY-3.0-IGO",
    "ODC-By-1.0", "PDDL-1.0", "CDLA-Permissive-2.0", "Unlicense", "OGL-UK-3.0",
])
def test_free_licences_permit_commercial_use_without_share_alike(spdx: str):
    (terms,) = licence_terms(spdx) or ()
    assert (terms.commercial, terms.derivatives, terms.share_alike) == (True, True, False)


@pytest.mark.parametrize("spdx", ["CC-BY-SA-4.0", "ODbL-1.0", "GPL-3.0-only", "GPL-2.0+", "AGPL-3.0-or-later",
                                  "LGPL-2.1-only", "MPL-2.0", "CDLA-Sharing-1.0", "GFDL-1.3-or-later"])
def test_share_alike_is_seen(spdx: str):
    (terms,) = licence_terms(spdx) or ()
    assert (terms.commercial, terms.share_alike) == (True, True)


@pytest.mark.parametrize(("spdx", "commercial", "derivatives"), [
    ("CC-BY-NC-4.0", False, True), ("CC-BY-NC-SA-3.0", False, True), ("CC-BY-ND-4.0", True, False),
    ("CC-BY-NC-ND-4.0", False, False), ("PolyForm-Noncommercial-1.0.0", False, True),
])
def test_nc_and_nd_are_seen(spdx: str, commercial: bool, derivatives: bool):
    (terms,) = licence_terms(spdx) or ()
    assert (terms.commercial, terms.derivatives) == (commercial, derivatives)


@pytest.mark.parametrize("spdx", [
    "", " ", "NONE", "NOASSERTION", "all rights reserved", "CC-BY", "CC-BY-9.9", "MIT AND", "(MIT", "MIT)", "AND", "()",
    "LicenseRef-", "MIT what", "CC-BY-SA-ND-4.0", "MIT OR", "x" * 600,
])
def test_what_is_not_in_the_matrix_is_not_known(spdx: str):
    assert licence_terms(spdx) is None


def test_own_terms_are_told_apart():
    (terms,) = licence_terms("LicenseRef-acme-contract") or ()
    assert terms.own_terms


def test_of_alternatives_one_may_choose_and_of_parts_one_keeps_all():
    assert len(licence_terms("CC-BY-NC-4.0 OR MIT") or ()) == 2
    (both,) = licence_terms("MIT AND CC-BY-SA-4.0") or ()
    assert both.share_alike
    assert licence_terms("MIT AND whatever") is None
    assert len(licence_terms("MIT OR whatever") or ()) == 1
    assert licence_terms("GPL-2.0-only WITH Classpath-exception-2.0")
    assert licence_terms("MIT AND (Apache-2.0 OR CC-BY-NC-4.0)")


def test_a_long_expression_is_read_at_once():
    assert licence_terms(" AND ".join(["(MIT OR GPL-2.0)"] * 20)) is not None


@given(st.text("MITANDORWH()- CB0123.", max_size=60))
def test_no_text_breaks_the_matrix(text: str):
    licence_terms(text)
