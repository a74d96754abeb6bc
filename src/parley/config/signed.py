"""What calls to AWS are signed with, as a provider's ``aws:`` or a component says it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from parley.config.address import region_of
from parley.config.environment import usable_key
from parley.config.parts import AwsEntry
from parley.settings import Signing

# Member of the entry -> what it is called once it was read.
MEMBERS: Final[Mapping[str, str]] = {
    "region": "region",
    "access_key_id": "access_key",
    "secret_access_key": "secret_key",
    "session_token": "token",
    "profile": "profile",
    "role_arn": "role",
    "role_session_name": "session",
    "external_id": "external_id",
}
# Told of a member: its name, what is wrong, the way out.
Tell = Callable[[str, str, str], None]


def given(entry: AwsEntry) -> dict[str, str]:
    """What an entry says, by the entry's names."""
    found = ((name, (getattr(entry, name) or "").strip()) for name in MEMBERS)
    return {name: text for name, text in found if text}


def credentials(said: Mapping[str, str]) -> bool:
    """Whether it says who asks, and not only where."""
    return not {"access_key_id", "profile", "role_arn"}.isdisjoint(said)


def regional(said: Mapping[str, str], urls: Iterable[str]) -> dict[str, str]:
    """The same with the region that an address names, where a role is to be assumed and no other region is given."""
    if "role_arn" not in said or "region" in said:
        return dict(said)
    found = next((region for url in urls if (region := region_of(url))), "")
    return {**said, "region": found} if found else dict(said)


def signing_of(said: Mapping[str, str], tell: Tell, names: Mapping[str, str] | None = None) -> Signing | None:
    """The values, None for none. ``names`` are those that the one who wrote it knows its members by."""
    named = dict(names or {}) or {name: name for name in MEMBERS}
    for one, other in (("access_key_id", "secret_access_key"), ("secret_access_key", "access_key_id")):
        if one in said and other not in said:
            tell(one, f"{named[one]} needs {named[other]}", f"add {named[other]}, or remove {named[one]}")
    if "session_token" in said and "access_key_id" not in said:
        tell("session_token", f"{named['session_token']} goes with {named['access_key_id']}", "remove it")
    if "profile" in said and "access_key_id" in said:
        tell("profile", "give a key or a profile, not both", "keep one of them")
    for name, text in said.items():
        if not usable_key(text):
            tell(name, f"{named[name]} holds characters that cannot be sent in a header", "check for line breaks in it")
    return Signing(**{MEMBERS[name]: text for name, text in said.items()}) if said else None
