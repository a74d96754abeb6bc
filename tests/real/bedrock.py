"""A Bedrock of our own: a server that speaks event streams, checks every signature, and remembers what it was sent.

What it answers follows from the model: see SCENES. Its frames are built by the same hand as those of the wire's tests.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from wire.bedrock_parts import CALLED, META, SPOKEN, START, answer, delta, ended, faults, raised, stopped

KEYS = ReadOnlyCredentials("AKIDEXAMPLE", "secret/+", "session//token==", None)
REGION = "eu-west-3"
EVENTS = "application/vnd.amazon.eventstream"
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "Let me look.", "signature": "c2ln/+=="}}}
HIDDEN = {"reasoningContent": {"redactedContent": "AAECgP8="}}
CALLS = (
    {"toolUse": {"toolUseId": "tooluse_a.b:1", "name": "weather", "input": {"city": "Paris", "n": 1.0}}},
    {"toolUse": {"toolUseId": "tooluse_2", "name": "clock", "input": {}}},
)
TEXT = answer({"text": "Bedrock "}, {"text": "says hi."})
FAILED = (START, delta(0, text="Bedrock "), raised("modelStreamErrorException", message="it fell over"))
BLOCKED = (START, delta(0, text="Blocked."), stopped(0), ended("guardrail_intervened"), META)
# By model: the whole answer (status, exception, body) and the messages of the stream.
Scene = tuple[tuple[int, str, Any], tuple[bytes, ...]]
SCENES: dict[str, Scene] = {
    "text": ((200, "", TEXT), SPOKEN),
    "calls": ((200, "", answer(THOUGHT, HIDDEN, {"text": "Looking."}, *CALLS, reason="tool_use")), CALLED),
    "blocked": ((200, "", answer({"text": "Blocked."}, reason="guardrail_intervened")), BLOCKED),
    "throttled-first": ((200, "", {}), (raised("throttlingException", message="too fast"),)),
    "failed": ((200, "", {"stopReason": "end_turn"}), FAILED),
    "cut": ((200, "", {}), SPOKEN[:2]),
    "busy": ((429, "ThrottlingException:http://internal/", {"message": "too fast"}), ()),
    "denied": ((403, "AccessDeniedException", {"message": "AKIDEXAMPLE may not"}), ()),
    "wrong": ((400, "ValidationException", {"message": "The model wants less."}), ()),
    "gone": ((404, "ResourceNotFoundException", {"message": "No such model."}), ()),
    "crashed": ((424, "ModelErrorException", {"message": "boom"}), ()),
}


class Bedrock(ThreadingHTTPServer):
    """The server; ``seen`` are (path, headers, body) of its requests, ``forged`` what no key of ours has signed."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.forged: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def last(self) -> dict[str, Any]:
        """The last body."""
        return self.seen[-1][2]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bedrock

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        parsed = json.loads(body)
        self.server.seen.append((self.path, headers, parsed))
        if not headers.get("authorization", "").startswith("Bearer ") and not genuine(self.path, headers, body):
            self.server.forged.append(self.path)
        complaint = faults(parsed)
        _, _, model, verb = self.path.split("/")
        bytewise, _, name = unquote(model).rpartition("/")
        whole, stream = SCENES[name.partition(":")[0]]
        if complaint:
            self._whole(400, "ValidationException", {"message": complaint})
        elif verb == "converse-stream" and stream:
            self._stream(stream, 1 if bytewise else 65536)
        else:
            self._whole(*whole)

    def _whole(self, status: int, name: str, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if name:
            self.send_header("x-amzn-errortype", name)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, stream: tuple[bytes, ...], size: int) -> None:
        self.send_response(200)
        self.send_header("content-type", EVENTS)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for message in stream:
            for at in range(0, len(message), size):
                piece = message[at : at + size]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def genuine(path: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether botocore's own signer gives the same signature for what came over the wire."""
    said = headers["authorization"]
    names = said.split("SignedHeaders=")[1].split(",")[0].split(";")
    if names != ["content-type", "host", "x-amz-date", "x-amz-security-token"]:
        return False
    request = AWSRequest(
        method="POST", url=f"http://{headers['host']}{path}", data=body, headers={name: headers[name] for name in names}
    )
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(KEYS, "bedrock", REGION)
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return headers["x-amz-security-token"] == KEYS.token and said.endswith(f"Signature={signature}")


@contextmanager
def serving(make: Callable[[], Bedrock] = Bedrock) -> Iterator[Bedrock]:
    """The server while it runs."""
    server = make()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(30)
