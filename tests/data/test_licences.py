"""Licences as data sets write them, and what a table of tracks is told about them."""

from __future__ import annotations

import pandas as pd
import pytest

from crossmodal.data.licences import commercial, no_derivatives, share_alike, summary

ALLOWED = [
    "CC0",
    "CC0-1.0",
    "CC BY 4.0",
    "CC-BY-SA-3.0 (+ not to be sold or made available as-is as samples)",
    "Creative Commons Attribution-ShareAlike 3.0",
    "Attribution 3.0 United States",
    "http://creativecommons.org/licenses/by/3.0/",
    "https://creativecommons.org/licenses/by-nd/4.0/deed.de",
    "https://creativecommons.org/publicdomain/zero/1.0/",
    "http://creativecommons.org/publicdomain/mark/1.0/",
    "Public Domain",
    "PDM-1.0",
    "MIT",
    "GPL-3.0 (score); soundfont FluidR3 MIT",
    "LGPL-2.1-or-later",
    "http://artlibre.org/licence.php/lal.html",
]
FORBIDDEN = [
    "CC BY-NC-SA 4.0",
    "CC-BY-NC-ND-3.0",
    "CC-BY-NC-SA-4.0 (score)",
    "http://creativecommons.org/licenses/by-nc-sa/3.0/",
    "Attribution-NonCommercial-NoDerivatives (aka Music Sharing) 3.0 International",
    "Attribution-Noncommercial 3.0",
    "All rights reserved",
    "© 2004 Somebody. All Rights Reserved.",
    "In Copyright",
    "http://rightsstatements.org/vocab/InC/1.0/",
    "http://rightsstatements.org/vocab/InC-EDU/1.0/",
    "http://rightsstatements.org/vocab/NoC-NC/1.0/",
    "for research purposes only",
    "CC BY 4.0 (annotations); CC BY-NC 4.0 (audio)",
]
UNKNOWN = [
    "",
    "  ",
    "unknown",
    "see website",
    "© 2010 Acme Inc",
    "ask the author by mail",
    "http://rightsstatements.org/vocab/CNE/1.0/",
    "http://rightsstatements.org/vocab/UND/1.0/",
    "http://rightsstatements.org/vocab/NoC-OKLR/1.0/",
    "the committee permits it",
]


@pytest.mark.parametrize("licence", ALLOWED)
def test_allowed(licence):
    assert commercial(licence) is True


@pytest.mark.parametrize("licence", FORBIDDEN)
def test_forbidden(licence):
    assert commercial(licence) is False


@pytest.mark.parametrize("licence", UNKNOWN)
def test_unknown(licence):
    assert commercial(licence) is None


def test_share_alike():
    assert all(share_alike(name) for name in ("CC BY-SA 4.0", "GPL-3.0", "Attribution-ShareAlike", "ODbL"))
    assert not any(share_alike(name) for name in ("CC BY 4.0", "MIT", "", "South Africa"))


def test_no_derivatives():
    assert all(no_derivatives(name) for name in ("CC BY-ND 4.0", "Attribution-NoDerivs 2.0", "by-nc-nd"))
    assert not any(no_derivatives(name) for name in ("CC BY 4.0", "second hand"))


def test_the_summary_counts_every_track():
    licences = pd.Series(["CC BY-NC-SA 4.0"] * 3 + ["CC BY 4.0"] * 1_200 + ["", "", "ask"] + ["CC BY-SA 3.0"])
    assert summary(licences) == [
        "3 of 1,207 tracks forbid commercial use of a model: CC BY-NC-SA 4.0 3",
        "3 of 1,207 tracks do not say in known words if they allow it: no licence 2, ask 1",
        "4 of 1,207 tracks ask to share alike: CC BY-NC-SA 4.0 3, CC BY-SA 3.0 1",
    ]


def test_free_music_needs_no_words():
    assert summary(pd.Series(["CC0", "CC BY 4.0"])) == []
    assert summary(pd.Series([], dtype="str")) == []
