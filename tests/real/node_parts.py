"""A node with workers, as seen from outside."""

from typing import Any, NamedTuple

import httpx2

from fixtures.parley import Gateway
from real.worker import Worker

PROJECT = "DecentralGPT"
API = "http://127.0.0.1:1/v1/chat/completions"
ONE = {"model": "m", "api": API}
OK = {"code": 0, "message": "ok"}
NOT_HERE = "the url and the node are not on the same machine"
SAID = [{"role": "user", "content": "hi"}]


class Answer(NamedTuple):
    """Status and object."""

    status: int
    body: Any


def bad(code: int, message: str) -> Answer:
    """What a request that is no good is answered with."""
    return Answer(400, {"code": code, "message": message})


class Node(NamedTuple):
    """Asks a gateway as callers of nodes do."""

    gateway: Gateway

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        """POST of an object, or of text."""
        content = {"content": body} if isinstance(body, bytes | str) else {"json": body}
        found = httpx2.post(f"{self.gateway.url}/api/v0/{path}", headers=headers, timeout=30, **content)
        return Answer(found.status_code, found.json())

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        found = httpx2.get(f"{self.gateway.url}/api/v0/{path}", headers=headers)
        return Answer(found.status_code, found.json())

    @property
    def id(self) -> str:
        """Its name."""
        return str(self.get("id").body["peer_id"])

    def register(self, worker: Worker, *models: str, kind: int = 0, project: str = PROJECT, **more: Any) -> None:
        """These models of a worker, in place of those the project had."""
        paths = ("chat/completions", "images/generations", "images/edits")
        api = f"{worker.url}/v1/{paths[kind]}"
        told = [{"model": name, "api": api, "type": kind, "cid": more.get("cid", "")} for name in models]
        answer = self.post("ai/project/register", {"project": project, "models": told, "ttl": more.get("ttl")})
        assert answer == (200, {"code": 0, "message": "ok"})

    def register_model(self, api: str, model: str, **more: Any) -> Answer:
        """One model."""
        return self.post("ai/model/register", {"project": PROJECT, "model": model, "api": api, **more})

    def chat(self, model: str, *, proxy: bool = True, **more: Any) -> Answer:
        """A chat through it, at the node itself where it is no ``proxy``."""
        body = {"project": PROJECT, "model": model, "messages": SAID, **more}
        if proxy:
            return self.post("chat/completion/proxy", body)
        return self.post("chat/completion", {"node_id": self.id, **body})

    def openai(self, model: str, path: str = "chat/completions", **more: Any) -> Any:
        """The same as callers of OpenAI ask."""
        body = {"model": model, "messages": SAID, **more}
        return httpx2.post(f"{self.gateway.url}/v1/{path}", json=body, timeout=30)
