"""Caila's predict API for chat: an envelope around OpenAI's wires, as a dialect and as a provider.

Nothing of those wires is repeated here: what is in the envelope is theirs.

envelope  requests taken out of their envelopes
kinds     what the types of this API say otherwise than OpenAI's
sealed    requests put into an envelope for a provider, answers taken out of theirs
errors    errors, as this API answers them

Source: predict contract.
"""

from msgspec.structs import replace

from parley.wire.caila.errors import encode_adapter_error, encode_error
from parley.wire.openai_chat import WIRE as CHAT

# The face of the dialect: what is asked inside is a request of OpenAI's wires, and is handled as one.
WIRE = replace(CHAT, name="caila", encode_error=encode_error, names_model=True, several=())
ADAPTER = replace(CHAT, name="caila_adapter", encode_error=encode_adapter_error, names_model=True, several=())
