"""``data:`` URLs (RFC 2397), by which the wires of OpenAI carry pictures and documents."""


def split_data_url(url: str) -> tuple[str | None, str | None]:
    """Media type and base64 text of a ``data:`` URL; data None where it is another kind of URL."""
    if not url.startswith("data:"):
        return None, None
    head, comma, data = url.partition(",")
    if not comma or not head.endswith(";base64"):
        return None, None
    return head[5:-7] or None, data


def data_url(media_type: str | None, data: str) -> str:
    """The URL that carries base64 text."""
    return f"data:{media_type or ''};base64,{data}"
