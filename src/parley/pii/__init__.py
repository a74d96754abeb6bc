"""Personal data in texts: found by its shape, and replaced by a word for what it was. Pure. See docs/hooks.md.

shapes  what a street address, a phone number or an e-mail address looks like; no shape takes more than linear time
spans   which places of a text are replaced, and which are left alone (links)
scrub   a text, or a text that comes in pieces, without personal data
places  many texts, in steps
"""

from parley.pii.scrub import Scrubbed, scrubbed
from parley.pii.shapes import ENTITIES

__all__ = ["ENTITIES", "Scrubbed", "scrubbed"]
