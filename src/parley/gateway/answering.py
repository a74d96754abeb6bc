"""What the encoder of an answer must know of the request that it answers."""

from typing import TYPE_CHECKING

from parley import jsontext
from parley.failure import ParleyError
from parley.wire import Reply

if TYPE_CHECKING:
    from parley.gateway.job import Job


def reply_to(job: "Job") -> Reply:
    """For a job whose route is known."""
    route = job.route
    assert route is not None
    way = route.way
    return Reply(
        model=way.target.model,
        id=job.request.id,
        created=int(job.gateway.wall()),
        include_usage=job.message.include_usage or (way.verbatim and _asked_for_usage(job)),
        wire=way.outlet.name,
    )


def _asked_for_usage(job: "Job") -> bool:
    """For a verbatim request whose answer must be rebuilt after all: its body has not been decoded before."""
    try:
        return job.inlet.wire.decode_request(jsontext.whole(job.request.body)).include_usage
    except ParleyError:
        return False
