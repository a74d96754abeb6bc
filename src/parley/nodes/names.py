"""The names by which models of nodes are asked for.

``node/PROJECT/MODEL`` is any place of that model; behind a ``#`` may stand a node's id, and behind a second one the
label of one place there. Marks that would be taken for these are percent-encoded; a model may hold slashes.
"""

from msgspec import Struct

from parley.wire.node.names import called

PREFIX = "node/"


class Named(Struct, frozen=True):
    """What a name means. ``node`` is "" for any, ``cid`` "" for any place there."""

    project: str
    model: str
    node: str = ""
    cid: str = ""

    @property
    def plain(self) -> "Named":
        """The same wherever it is."""
        return Named(self.project, self.model)

    @property
    def text(self) -> str:
        """As it is asked for."""
        return called(self.project, self.model, self.node, self.cid)


def read(name: str) -> Named | None:
    """What a name means, None where it is none of these."""
    if not name.startswith(PREFIX):
        return None
    where, *rest = name[len(PREFIX) :].split("#")
    project, slash, model = where.partition("/")
    if not (project and slash and model) or len(rest) > 2:
        return None
    node, cid = (*rest, "", "")[:2]
    return Named(_plain(project), _plain(model), _plain(node), _plain(cid))


def _plain(text: str) -> str:
    return text.replace("%2F", "/").replace("%23", "#").replace("%25", "%")
