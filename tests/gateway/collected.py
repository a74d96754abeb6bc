"""What requests leave for the garbage collector."""

import gc
from collections.abc import Callable

from parley.gateway.job import Job


def leaves_nothing(play: Callable[[], object]) -> None:
    """No job lives on after ``play``, and nothing of the gateway waits in a cycle."""
    # The first one imports and remembers.
    play()
    gc.collect()
    gc.disable()
    try:
        play()
        assert [found for found in gc.get_objects() if isinstance(found, Job)] == []
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        assert {type(found) for found in gc.garbage if type(found).__module__.startswith("parley")} == set()
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
