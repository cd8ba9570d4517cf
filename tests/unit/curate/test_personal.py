"""Each kind of personal data: what counts, what does not, and what the recipe does about it."""

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orfevre.curate import identifiers, personal
from orfevre.curate.draft import Draft
from orfevre.curate.units import Unit
from orfevre.data.readers.record import Facts
from orfevre.recipe import Curate, Source


def found(text: str, **options: bool) -> list[tuple[str, str]]:
    encoded = text.encode()
    return [(each.kind, encoded[each.begin : each.end].decode()) for each in personal.find([encoded], **options)[0]]


def kinds(text: str) -> list[str]:
    return [kind for kind, _ in found(text)]


@pytest.mark.parametrize(
    "text", ["jo.doe+x@mail.example.fr", "écrire à o'neil@u-bordeaux.fr.", "<a_b@c.io>", "é@x.fr non, z1@x.fr"]
)
def test_emails(text: str) -> None:
    assert kinds(text) == ["email"]


@pytest.mark.parametrize("text", ["icon@2x.png", "a @ b.fr", "@user", "x@localhost", "user@1.2", "a@b..fr"])
def test_what_is_no_email(text: str) -> None:
    assert kinds(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "06 12 34 56 78", "06.12.34.56.78", "0612345678", "06\u00a012\u202f34 56 78", "+33 6 12 34 56 78",
        "+33(0)612345678",
        "0033 1 42 68 53 00", "+49 30 901820", "030 901820-14", "+1-984-182-0190", "(415) 555-2671",
        "+44 20 7946 0958", "020 7946 0958", "Tél. : 12 34 56 78", "phone 467 3395", "+32 2 123 45 67", "02 123 45 67",
    ],
)  # fmt: skip
def test_phones(text: str) -> None:
    assert kinds(f"Numéro {text}, merci.") == ["phone"]


@pytest.mark.parametrize(
    "text",
    [
        "01/02/2003", "01.02.2003 10:30", "2024-03-01", "12 345 678 901", "ISBN 978-2-07-036822-8", "0.123456789",
        "1 000 000 000", "54-28-69-17", "π = 3.14159265358", "054-28-6917", "0000000000", "1234567890123456789012",
        "2019-2020 2021 2022",
    ],
)  # fmt: skip
def test_what_is_no_phone(text: str) -> None:
    assert kinds(f"Numéro {text}, merci.") == []


@pytest.mark.parametrize(
    "text", ["GB82 WEST 1234 5698 7654 32", "FR1420041010050500013M02606", "fr14 2004 1010 0505 0001 3m02 606"]
)
def test_ibans(text: str) -> None:
    assert found(f"Compte {text} à Paris") == [("iban", text)]
    assert found(f"Compte {text[:-1]}{'4' if text[-1] != '4' else '5'} à Paris") == []  # the check digits fail


def test_cards() -> None:
    for text in ("4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005", "6011000990139424"):
        assert found(f"pay {text} now") == [("card", text)]
    assert found("pay 4111 1111 1111 1112 now") == [] and found("0000 0000 0000 0000") == []
    assert found("order 630427373398") == [] and kinds("my card 501864667908") == []  # no Luhn
    assert kinds("card number 630427373398") == ["card"] and kinds("row 630427373398") == []  # Maestro wants the word


def nir(body: str) -> str:
    number = int(body.replace("2A", "19").replace("2B", "18"))
    return f"{body}{97 - number % 97:02d}"


def test_nirs() -> None:
    for body in ("2840575123456", "185022A004123", "260122B033999"):
        valid = nir(body)
        spaced = f"{valid[0]} {valid[1:3]} {valid[3:5]} {valid[5:7]} {valid[7:10]} {valid[10:13]} {valid[13:]}"
        for text in (valid, spaced):
            assert found(f"NIR {text}.") == [("nir", text)]
        wrong = f"{valid[:-2]}{(int(valid[-2:]) % 97) + 1:02d}"
        assert "nir" not in kinds(f"NIR {wrong}.")
    assert "nir" not in kinds("NIR " + nir("2841575123456"))  # no such month


def test_addresses() -> None:
    assert found("from 81.2.69.142, and 2a01:e0a:1:2::3!") == [("ip", "81.2.69.142"), ("ip", "2a01:e0a:1:2::3")]
    for text in ("192.168.1.1", "127.0.0.1", "::1", "2001:db8::1:2:3", "10.0.0.138"):
        assert kinds(f"from {text} on") == []
    assert found("at 192.168.1.77", private_ips=True) == [("ip", "192.168.1.77")]
    for text in ("version 81.2.69.142", "v81.2.69.142", "Chrome/99.0.48.51", "3.2.1.14", "1.2.3.4.5", "81.2.69.300",
                 "12:30:45", "std::vector", "a::b", "Foo::Bar"):  # fmt: skip
        assert kinds(f"see {text} there") == []


@given(st.text(max_size=200))
def test_any_text_can_be_searched(text: str) -> None:
    encoded = text.encode("utf-8", "surrogatepass")
    places = personal.find([encoded])[0]
    assert all(left.end <= right.begin for left, right in itertools.pairwise(places))


def test_checks_catch_every_single_wrong_digit() -> None:
    draw = random.Random(4)
    for _ in range(50):
        digits = "4" + "".join(draw.choices("0123456789", k=14))
        good = next(digits + last for last in "0123456789" if identifiers.luhn(digits + last))
        place = draw.randrange(16)
        bad = good[:place] + draw.choice([d for d in "0123456789" if d != good[place]]) + good[place + 1 :]
        assert not identifiers.luhn(bad)


def step_of(code: bool = False, **rules: object) -> personal.Step | None:
    source = Source.model_validate(
        {"name": "s", "paths": ["x"], "format": "text", "licence": "CC0-1.0", "language": "fr"}
    )
    curate = Curate.model_validate({"personal": {"iban": "keep", "card": "keep", "nir": "keep", "code": code, **rules}})
    return personal.step(Unit(source=source, files=(), curate=curate, folder=Path("none"), prepared=Path("none")))


TEXT = "Écrire à a@b.fr ou c@d.fr, ou appeler le 06 12 34 56 78."


def test_masking_counts_what_it_hid() -> None:
    step = step_of(email="mask", phone="mask")
    drafts = [Draft("1", TEXT, Facts(), False, "fr"), Draft("2", "Rien ici.", Facts(), False, "fr")]
    assert step is not None
    step(drafts)
    assert drafts[0].text == "Écrire à <email> ou <email>, ou appeler le <phone>."
    assert drafts[0].edits == {"email": 2, "phone": 1} and drafts[0].drop is None
    assert drafts[1].text == "Rien ici." and not drafts[1].edits
    step(drafts)
    assert drafts[0].edits == {"email": 2, "phone": 1}  # what is masked is not found again


def test_dropping_names_the_kinds() -> None:
    step = step_of(email="mask", phone="drop")
    draft = Draft("1", TEXT, Facts(), False, "fr")
    assert step is not None
    step([draft])
    assert draft.drop and (draft.drop.reason, draft.drop.detail) == ("personal_data", "phone") and draft.text == TEXT


def test_code_is_searched_only_when_asked() -> None:
    for code in (False, True):
        step, draft = step_of(code, email="mask"), Draft("1", TEXT, Facts(), True, "python")
        assert step is not None
        step([draft])
        assert bool(draft.edits) == code


def test_nothing_to_do_is_no_step() -> None:
    assert step_of() is None


def test_a_long_list_of_addresses_takes_no_quadratic_time() -> None:
    text = " ".join(f"user{number}@example.fr" for number in range(20_000))
    assert len(found(text)) == 20_000
