"""The page has two parts, written by two commands: each keeps what the other wrote."""

START, END = "<!-- pairs: written by make bench BENCH=pairs WRITE=1 -->", "<!-- end of pairs -->"


def kept(page: str) -> str:
    """The pairs' section of a page, markers and all; "" where it has none."""
    _, start, rest = page.partition(START)
    inner, end, _ = rest.partition(END)
    return START + inner + END if start and end else ""


def put(page: str, text: str) -> str:
    """The page with ``text`` for its section of pairs: in its place, or at the end."""
    made, old = f"{START}\n\n{text}\n\n{END}", kept(page)
    return page.replace(old, made) if old else (page.rstrip("\n") + f"\n\n{made}\n").lstrip("\n")


def renewed(page: str, text: str) -> str:
    """``text`` for a page, but its section of pairs stays."""
    old = kept(page)
    return text + "\n" + (f"\n{old}\n" if old else "")
