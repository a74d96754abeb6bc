"""Administration over HTTP: who may, and loading the configuration again."""

from ipaddress import ip_address

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.failure import Failure
from parley.serve.guard import key_of
from parley.serve.house import House
from parley.serve.rereading import Reloads, told_of
from parley.wire import load

_JSON = "application/json"


def routes(house: House, reload: Reloads) -> list[Route]:
    """What only the operator may do."""
    return [Route("/admin/api/reload", _Admin(house, reload).load, methods=["POST"])]


class _Admin:
    def __init__(self, house: House, reload: Reloads) -> None:
        self._house = house
        self._reload = reload

    async def load(self, request: Request) -> Response:
        """200 where it is served from now on, 422 where it is wrong; either way what is to be said of it."""
        failure = stranger(self._house, request)
        if failure is not None:
            return refused(self._house, failure)
        reading = await self._reload.load("asked")
        problems = [*told_of(reading), *(one for one in self._house.problems() if one["kind"] == "restart")]
        body = {"status": "rejected" if reading.problems else "loaded", "problems": problems}
        return Response(msgspec.json.encode(body), 422 if reading.problems else 200, media_type=_JSON)


def stranger(house: House, request: Request) -> Failure | None:
    """Why this caller may not administer, if so."""
    if key_of(request) is not None:
        # The guard lets nobody in here with a key of another kind.
        return None
    if house.gateway.settings.admin_key:
        return Failure("unauthorized", "an admin key is required")
    if request.client is not None and _near(request.client.host):
        return None
    return Failure("forbidden", "without auth.admin_key this is possible from this machine only")


def refused(house: House, failure: Failure) -> Response:
    """The answer to one that may not, or asked for what there is not."""
    request_id = house.gateway.request_id(None)
    status, body = load("openai_chat").encode_error(failure, request_id)
    answer = Response(body, status, {"x-request-id": request_id}, media_type=_JSON)
    if status == 401:
        answer.headers["www-authenticate"] = "Bearer"
    return answer


def _near(host: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
