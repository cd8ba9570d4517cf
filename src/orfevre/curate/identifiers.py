"""Whether a run of characters is what it looks like: check digits, lengths and ranges of numbers that name a person.

IBAN: ISO 13616 and its registry's lengths; cards: ISO/IEC 7812 with Luhn's check; NIR: the key of the French social
security number, 97 minus the number modulo 97; phones: ITU E.164.
"""

import ipaddress

IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
    "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20,
    "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
"""Characters of a whole IBAN, by country."""

CARDS = (
    (4, 4, (13, 16, 19)),  # Visa
    (51, 55, (16,)), (2221, 2720, (16,)),  # Mastercard
    (34, 34, (15,)), (37, 37, (15,)),  # American Express
    (300, 305, (14,)), (36, 36, (14,)), (38, 39, (14, 16)),  # Diners Club
    (6011, 6011, (16, 19)), (644, 649, (16, 19)), (65, 65, (16, 19)),  # Discover
    (3528, 3589, (16, 19)), (2131, 2131, (15,)), (1800, 1800, (15,)),  # JCB
    (62, 62, (16, 17, 18, 19)),  # UnionPay
    (2200, 2204, (16,)),  # Mir
)  # fmt: skip
"""First digits from and to, and lengths."""

_CODES = (
    "1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 "
    "84 86 90 91 92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 "
    "235 236 237 238 239 240 241 242 243 244 245 246 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 "
    "264 265 266 267 268 269 290 291 297 298 299 350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 "
    "376 377 378 380 381 382 383 385 386 387 389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 "
    "593 594 595 596 597 598 599 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 "
    "692 850 852 853 855 856 880 886 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 992 993 "
    "994 995 996 998"
)

CALLING_CODES = frozenset(_CODES.split())
"""Country codes of E.164."""


def luhn(digits: str) -> bool:
    """Whether the last digit checks the others."""
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(value - 9 * (value > 9) for value in doubled)) % 10 == 0


def is_card(digits: str, is_named: bool) -> bool:
    """`is_named`: a word beside it says that it is a card; then its issuer may be any (Maestro's ranges are wide)."""
    if not luhn(digits) or len(set(digits)) == 1:
        return False
    return is_named or any(
        low <= int(digits[: len(str(low))]) <= high and len(digits) in lengths for low, high, lengths in CARDS
    )


def iban_length(start: str) -> int:
    """Characters that an IBAN of this country has, 0 for none."""
    return IBAN_LENGTHS.get(start[:2].upper(), 0)


def is_iban(compact: str) -> bool:
    """`compact`: without spaces. Country, length and ISO 7064's mod 97-10."""
    if len(compact) != iban_length(compact):
        return False
    turned = compact[4:] + compact[:4]
    return int("".join(str(int(char, 36)) for char in turned)) % 97 == 1


def is_nir(compact: str) -> bool:
    """15 characters: sex, year, month, department, commune, order, key; `2A` and `2B` may stand for Corsica."""
    if len(compact) != 15 or compact[0] not in "123478":
        return False
    month = compact[3:5]
    if not month.isdecimal():
        return False
    is_month, is_unknown = 1 <= int(month) <= 12, 20 <= int(month) <= 42 or int(month) >= 50
    if not (is_month or (is_unknown and compact[0] in "12")):  # 3, 4, 7, 8: given for a time, never without a month
        return False
    department = {"2A": "19", "2B": "18"}.get(compact[5:7].upper(), compact[5:7])
    number = compact[:5] + department + compact[7:13]
    return number.isdecimal() and compact[13:].isdecimal() and 97 - int(number) % 97 == int(compact[13:])


def calling_code(digits: str) -> str | None:
    """The country code that an international number begins with."""
    return next((digits[:size] for size in (1, 2, 3) if digits[:size] in CALLING_CODES), None)


def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
