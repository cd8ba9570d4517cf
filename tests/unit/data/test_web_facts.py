"""What a page says of itself is taken from the places meant for it, and from nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orfevre.data.readers.licences import normal
from orfevre.data.readers.record import NOTHING_SAID, Facts
from orfevre.data.readers.web_facts import facts_of, signals_of_headers

CC = "https://creativecommons.org/licenses"


def told(page: str, *headers: tuple[str, str], url: str = "https://exemple.fr/a/b") -> Facts:
    return facts_of(page, headers, Facts(url=url))


def test_a_french_page() -> None:
    page = """<!DOCTYPE html><html lang="fr-FR" class=no-js><head><meta charset="utf-8">
    <title>L&rsquo;&eacute;t&eacute;
      &agrave; Paris</title><link rel="canonical" href="/a/b-propre">
    <META NAME='Robots' CONTENT='noai, NOIMAGEAI'><meta name="tdm-reservation" content="1">
    <meta name=tdm-policy content="https://exemple.fr/tdm.json">
    <meta property="article:published_time" content="2024-07-01T08:30:00+02:00">
    </head><body><a rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/deed.fr">licence</a></body>"""
    facts = told(page)
    assert facts.title == "L’été à Paris" and facts.language == "fr-FR"
    assert facts.canonical_url == "https://exemple.fr/a/b-propre"
    assert facts.date == "2024-07-01T08:30:00+02:00" and facts.licence == "CC-BY-SA-4.0"
    assert facts.signals == (
        "robots: noai, NOIMAGEAI",
        "tdm-reservation: 1",
        "tdm-policy: https://exemple.fr/tdm.json",
    )


def test_headers_speak_too() -> None:
    headers = (
        ("x-robots-tag", "noai"),
        ("x-robots-tag", "noodp"),
        ("tdm-reservation", "1"),
        ("content-language", "de, en"),
        ("link", f'<https://a.org/x>; rel="next", <{CC}/by/4.0/>; rel="license"'),
    )
    facts = told("<p>Text</p>", *headers)
    assert facts.signals == ("x-robots-tag: noai", "tdm-reservation: 1") == signals_of_headers(headers)
    assert facts.language == "de" and facts.licence == "CC-BY-4.0"
    assert told('<html lang="en"><p>Text</p>', *headers).language == "en"


@pytest.mark.parametrize(
    "hidden", ["<!-- {} -->", "<script>var a = '{}'</script>", "<template>{}</template>", "<!-- {}"]
)
def test_comments_and_scripts_say_nothing(hidden: str) -> None:
    said = f'<meta name="robots" content="noai"><title>No</title><a rel=license href="{CC}/by/4.0/">x</a>'
    facts = told(hidden.format(said))
    assert (facts.signals, facts.title, facts.licence) == ((), "", "")


@pytest.mark.parametrize(
    ("page", "date"),
    [
        ('<script type="application/ld+json">{"@type": "Blog", "datePublished": "2023-01-02"}</script>', "2023-01-02"),
        ('<script type="application/ld+json">{"@graph": [{"datePublished": "2023-01-02T03:04"}]}', "2023-01-02T03:04"),
        ('<time itemprop="datePublished" datetime="2022-05-06">x</time>', "2022-05-06"),
        ('<time pubdate datetime="2022-05-06T07:08:09Z">', "2022-05-06T07:08:09Z"),
        ('<meta name="date" content="2021-02-03 00:00:00">', "2021-02-03"),
        ('<meta name="date" content="2021-02-30">', ""),
        ('<meta name="date" content="0021-02-03">', ""),
        ('<meta name="date" content="3 mai 2021">', ""),
        ('<time datetime="2022-05-06">', ""),
        ('<script type="application/ld+json">{broken</script>', ""),
        ('<script type="application/ld+json">{"@type": "ImageObject", "datePublished": "2023-01-02"}</script>', ""),
    ],
)  # fmt: skip
def test_dates(page: str, date: str) -> None:
    assert told(page).date == date


@pytest.mark.parametrize(
    ("page", "licence"),
    [
        (f'<link rel="license" href="{CC}/by/4.0/">', "CC-BY-4.0"),
        (f'<script type="application/ld+json">{{"license": {{"@id": "{CC}/by-nd/3.0/"}}}}</script>', "CC-BY-ND-3.0"),
        (f'<p>Photo: <a href="{CC}/by/2.0/">CC</a></p><footer>x</footer>', ""),
        (f'<p>x</p><footer><a class="licence" href="{CC}/by/2.0/">CC</a></footer>', "CC-BY-2.0"),
        ('<a rel="license" href="/terms">Terms</a>', "/terms"),
        ('<a href="/license">Licence</a>', ""),
    ],
)
def test_licences_of_pages(page: str, licence: str) -> None:
    assert told(page).licence == licence


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (f"{CC}/by/4.0/", "CC-BY-4.0"),
        ("http://www.creativecommons.org/licenses/by-nc-sa/3.0/de/", "CC-BY-NC-SA-3.0-DE"),
        ("//creativecommons.org/licenses/by-sa/3.0/igo/", "CC-BY-SA-3.0-IGO"),
        (f"{CC}/by-sa/4.0/legalcode.fr", "CC-BY-SA-4.0"),
        (f"{CC}/by/4.0/fr/", "CC-BY-4.0"),
        (f"{CC}/by/3.0/fr/", f"{CC}/by/3.0/fr/"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/deed.fr", "CC-PDM-1.0"),
        (f"{CC}/by/9.0/", f"{CC}/by/9.0/"),
        ("https://www.apache.org/licenses/LICENSE-2.0.html", "Apache-2.0"),
        ("https://www.etalab.gouv.fr/licence-ouverte-open-licence", "etalab-2.0"),
        ("Tous droits\n réservés", "Tous droits réservés"),
    ],
)
def test_licence_links_as_spdx(written: str, name: str) -> None:
    assert normal(written) == name


@given(st.text(alphabet="<>!-/ametlinkscrptd=\"' &#;x", max_size=300))
def test_any_page_is_read(page: str) -> None:
    facts = told(page)
    facts.title.encode()
    assert facts.url == "https://exemple.fr/a/b"


@pytest.mark.parametrize("piece", ["<meta ", "<a license", "<!--", "<script>", '<a href="', "<title>", "license<"])
def test_no_page_takes_time_that_grows_with_its_square(piece: str) -> None:
    assert told(piece * 40_000).url


def test_nothing_said_stays_nothing() -> None:
    assert facts_of("<p>Only text</p>", (), NOTHING_SAID) == NOTHING_SAID
