"""What a provider cannot take, told in the caller's own words: paths of the caller's very request."""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from parley import jsontext
from parley.failure import ParleyError
from parley.ir import ChatRequest
from parley.wire import Wire
from parley.wire.paths import Moved, own_paths, plain

_UNMOVED: Final[Moved] = {}


def own_names(inlet: Wire, body: bytes, names: tuple[str, ...], moved: Moved = _UNMOVED) -> tuple[str, ...]:
    """The names as paths of the request in ``body``, each once; without those of blocks that were put back. ``moved``
    has, by the path of a turn, the numbers that its blocks have there."""
    places = inlet.places
    if not names:
        return names
    if places is None or all(map(plain, names)):
        return names
    request = jsontext.whole(body)
    found = dict.fromkeys([path for name in names for path in own_paths(request, name, places, moved)])
    return tuple([name for name in found if name])


def moved_by(turns: Mapping[int, tuple[int, ...]], request: ChatRequest) -> Moved:
    """The same by the numbers of turns among the messages of ``request``."""
    return {
        request.messages[index].place or f"messages[{index - request.ahead}]": numbers
        for index, numbers in turns.items()
    }


def own_error(inlet: Wire, body: bytes, error: ParleyError) -> ParleyError:
    """The same error about the caller's own field."""
    failure = error.failure
    if not failure.param:
        return error
    (param,) = own_names(inlet, body, (failure.param,))
    if param == failure.param:
        return error
    return ParleyError(replace(failure, param=param, message=failure.message.replace(failure.param, param, 1)))
