"""What tests of nodes are made of."""

from typing import Any

from parley.nodes import Directory, Registry
from parley.nodes.registry import Entry
from parley.settings import Registration, Settings, Target

ORIGIN = "http://127.0.0.1:1088"
CHAT = f"{ORIGIN}/v1/chat/completions"


def entry(model: str = "m", cid: str = "", *, project: str = "p", **facts: Any) -> Entry:
    """A registration."""
    usual: dict[str, Any] = {"url": CHAT, "since": 0.0, "heard": 0.0}
    return Entry(project=project, model=model, cid=cid, **{"api": facts.get("url", CHAT), **usual, **facts})


def directory(*entries: Entry, settings: Settings | None = None) -> Directory:
    """The directory of the node "n1" with these workers."""
    made = Directory("n1", "parley", Registry())
    made.adopted(settings or Settings())
    register(made, *entries)
    return made


def register(made: Directory, *entries: Entry) -> None:
    """Register these as well."""
    for one in entries:
        made.changed(made.registry.put(one))


def shared(*names: str) -> Settings:
    """Models of the configuration that are shared, and one that is not."""
    from parley.config.environment import echo

    to = (Target("echo", "echo"),)
    made = {("*", name): Registration(model=name, targets=to, share=name != "own") for name in (*names, "own")}
    return Settings(providers={"echo": echo()}, registrations=made)
