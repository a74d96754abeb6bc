"""What the generated models are made of."""

from msgspec import Struct


class Body(Struct, frozen=True, gc=False):
    """A request body or an object in it. It may have more members than are declared, as OpenAI's fields may."""


class Closed(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """An object that may have no members but its own: the extension object."""
