r"""What personal data looks like. Source: Dapr conversation contract section 4.4.

Python's ``re`` goes back on its steps, so each pattern is written such that it cannot do so for long. From one place
of a text every pattern here takes a bounded number of steps beyond those that it never takes back: repetitions are
bounded ({2,6}), or possessive (*+), or over characters that nothing behind them begins with. What has no bound of its
own, addresses of mail and links, is found from the one character that it must have, and a street from its word:
parley.pii.spans.
"""

import re
from collections.abc import Mapping
from string import ascii_letters, digits
from typing import Final

# Spaces as Go's regular expressions know them; letters and digits are those of ASCII.
_S: Final = r"[\t\n\f\r ]"
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)"
_PLAIN_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4: Final = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_EMBEDDED: Final = rf"{_PLAIN_OCTET}(?:\.{_PLAIN_OCTET}){{3}}"
_GROUP: Final = "[0-9A-Fa-f]{1,4}"
_STREETS: Final = (
    "street", "st", "avenue", "ave", "road", "rd", "highway", "hwy", "square", "sq", "trail", "trl", "drive", "dr",
    "court", "ct", "park", "parkway", "pkwy", "circle", "cir", "boulevard", "blvd",
)  # fmt: skip


def _ipv6() -> str:
    """Groups in front of the gap, the most first, and for each number what may follow."""
    forms = [f"(?:{_GROUP}:){{7}}(?:{_GROUP}|:)", f"(?:{_GROUP}:){{6}}(?:{_EMBEDDED}|:{_GROUP}|:)"]
    for before in (5, 4, 3, 2, 1, 0):
        rest = f"(?::{_GROUP}){{0,{5 - before}}}:{_EMBEDDED}|(?::{_GROUP}){{1,{7 - before}}}|:"
        forms.append(f"(?:{_GROUP}:){{{before}}}(?:{rest})" if before else f":(?:{rest})")
    # One that is none fails on its first group: there must be a colon behind it.
    return rf"(?=[0-9A-Fa-f]{{0,4}}:)(?:{'|'.join(forms)})(?:%[\w.~-]{{1,64}})?{_S}*+"


def _nanp() -> str:
    """A number of North America, in brackets or not, with an extension or not."""
    gap = rf"{_S}*+(?:[.-]{_S}*+)?"
    area = "(?:[2-9]1[02-9]|[2-9][02-8]1|[2-9][02-8][02-9])"
    exchange = "(?:[2-9]1[02-9]|[2-9][02-9]1|[2-9][02-9]{2})"
    extension = rf"{_S}*+(?:\#|x\.?|ext\.?|extension){_S}*+[0-9]*+"
    country = rf"\+?1{gap}"
    return rf"(?:(?:{country})?(?:\({_S}*+{area}{_S}*+\)|{area}){gap})?{exchange}{gap}[0-9]{{4}}(?:{extension})?"


def _phone() -> str:
    """Any run of four digits and more with what people put between them."""
    gap = r"[-.\t\n\f\r *]?"
    return rf"(?:\+?[0-9]{{1,3}}{gap})?(?:\(?[0-9]{{2,3}}\)?{gap})?[0-9]{{2,3}}{gap}[0-9]{{2,6}}"


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII | re.IGNORECASE)


PHONE: Final = "PHONE_NUMBER"
EMAIL: Final = "EMAIL_ADDRESS"
# What stands for an entity that was found. Of two that are equally long at one place the first is meant.
SHAPES: Final[Mapping[str, tuple[re.Pattern[str], ...]]] = {
    "IBAN": (re.compile("[A-Z]{2}[0-9]{2}[A-Z0-9]{4}[0-9]{7}[A-Z0-9]{0,16}"),),
    "MAC_ADDRESS": (_compiled("[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}"),),
    "IP": (_compiled(_IPV4), _compiled(_ipv6())),
    "CREDIT_CARD": (_compiled("[0-9]{4}(?:[- ]?[0-9]{4}){3}"), _compiled("[0-9]{15,16}")),
    "US_SSN": (_compiled("[0-9]{3}-[0-9]{2}-[0-9]{4}"),),
    "PO_BOX": (_compiled(r"P\.? ?O\.? Box [0-9]++"),),
    "ZIP_CODE": (_compiled(r"\b[0-9]{5}(?:[-\t\n\f\r ][0-9]{4})?\b"),),
    PHONE: (_compiled(_phone()), _compiled(_nanp())),
    "ISBN": (_compiled("(?:[0-9]-?){9}[0-9X]"), _compiled("(?:[0-9]-?){12}[0-9X]")),
}
STREET: Final = "STREET_ADDRESS"
ENTITIES: Final = frozenset({*SHAPES, EMAIL, STREET})
# No entity without one of these.
DIGIT: Final = re.compile("[0-9]")

# Of an address: the characters before its @, and the whole of what must follow.
LOCAL: Final = f"{ascii_letters}{digits}!#$%&'*+/=?^_{{|}}.~-"
_LABEL: Final = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
DOMAIN: Final = _compiled(rf"(?:{_LABEL}\.)+{_LABEL}")
# Of a street: the word that it must have, and the whole. Between its number and that word stand 1 to 20 characters of
# these, so that it begins at most so many before the word.
STREET_WORD: Final = _compiled("|".join(_STREETS))
STREET_BETWEEN: Final = f"{ascii_letters}{digits}_\t\n\f\r "
STREET_REACH: Final = 25
STREET_WHOLE: Final = _compiled(rf"[0-9]{{1,4}} [\w\t\n\f\r ]{{1,20}}(?:{'|'.join(_STREETS)})\W?")
# Links, and addresses of repositories, are left alone; what ends a sentence does not belong to a link.
LINK: Final = re.compile(r"https?://[^\s<>]++")
LINKED: Final = re.compile(r"[^\s<>]*+")
AFTER_LINK: Final = "!()[]{};:'\".,<>?"
REPOSITORY_RUN: Final = re.compile(r"[\w.@:/~-]++", re.ASCII)
REPOSITORY_BEGIN: Final = re.compile(r"(?:git@[\w.]++|git|ssh|https?):", re.ASCII)
