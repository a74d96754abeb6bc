"""The name by which a model of a node is asked for; read again by parley.nodes.names."""

_MARKS = (("%", "%25"), ("#", "%23"))


def called(project: str, model: str, node: str = "", cid: str = "") -> str:
    """``node/PROJECT/MODEL``, at a node where one is named, and at one place of it."""
    name = f"node/{escaped(project).replace('/', '%2F')}/{escaped(model)}"
    if node:
        name += f"#{escaped(node)}"
    return f"{name}#{escaped(cid)}" if node and cid else name


def escaped(text: str) -> str:
    """Without the marks that divide such a name."""
    for mark, written in _MARKS:
        text = text.replace(mark, written)
    return text
