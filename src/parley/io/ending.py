"""The end of an answer, told to whoever hears it.

What goes wrong there is our own fault and becomes that try's failure: nobody must wait for an answer that never comes.
"""

import logging

from parley.failure import Failure
from parley.ports import Sink


def finished(sink: Sink) -> None:
    """Tell the sink that its answer is whole; what it raises is told to it, whom nobody else knows any more."""
    try:
        sink.done()
    except Exception as error:
        sink.failed(unhandled(error))


def unhandled(error: BaseException) -> Failure:
    """What a sink raised, told in the log and as a failure for it."""
    logging.getLogger("parley").error("an answer could not be handled", exc_info=error)
    return Failure("internal", "the gateway failed to handle the provider's answer")
