"""What is sent: request bodies of exact sizes in both dialects, and the programs that send them."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).parent
LOAD_CORE = 1
SMALL, PROMPT, IMAGE = 2_048, 100_000, 1_500_000
ANTHROPIC_HEADERS = ("anthropic-version:2023-06-01", "x-api-key:bench")
OPENAI_HEADERS = ("Authorization:Bearer bench",)
WORDS = "the quick brown fox jumps over the lazy dog and runs away from it "


@dataclass(frozen=True)
class Dialect:
    """How one kind of caller asks: path, headers, the shape of an image, a mark of a good answer."""

    name: str
    path: str
    headers: tuple[str, ...]
    answer: bytes


OPENAI = Dialect("openai", "/v1/chat/completions", OPENAI_HEADERS, b'"chat.completion"')
ANTHROPIC = Dialect("anthropic", "/v1/messages", ANTHROPIC_HEADERS, b'"end_turn"')


def text(size: int) -> str:
    return (WORDS * (size // len(WORDS) + 1))[:size]


def _image_block(dialect: Dialect, data: str) -> dict[str, object]:
    if dialect is OPENAI:
        return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


def body(dialect: Dialect, size: int, stream: bool = False) -> bytes:
    """A chat request of exactly ``size`` bytes; from IMAGE up nearly all of it is one image."""

    def build(fill: int) -> bytes:
        content: object = text(fill)
        if size >= IMAGE:
            content = [
                {"type": "text", "text": "What is this?"},
                _image_block(dialect, "iVBORw0KGgoA"[:8] * (fill // 8)),
            ]
        request: dict[str, object] = {"model": "bench", "max_tokens": 256, "temperature": 0.7}
        system = "You are a helpful assistant. Answer in short sentences."
        if dialect is OPENAI:
            request["messages"] = [{"role": "system", "content": system}, {"role": "user", "content": content}]
        else:
            request |= {"system": system, "messages": [{"role": "user", "content": content}]}
        if stream:
            request["stream"] = True
        return json.dumps(request, separators=(",", ":")).encode()

    short = build(size - len(build(0)))
    return short[:-1] + b" " * (size - len(short)) + b"}"


def raw_request(dialect: Dialect, port: int, content: bytes) -> bytes:
    """The bytes of one HTTP/1.1 request."""
    lines = [f"POST {dialect.path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: application/json"]
    lines += [header.replace(":", ": ", 1) for header in dialect.headers]
    lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def _on_load_core(command: list[str], timeout: float) -> str:
    done = subprocess.run(
        ["taskset", "-c", str(LOAD_CORE), *command], capture_output=True, text=True, timeout=timeout, check=False
    )
    return done.stdout + done.stderr


def load(dialect: Dialect, port: int, file: Path, connections: int, seconds: int) -> dict[str, float]:
    """One run of wrk: see load.lua for what it counts."""
    url = f"http://127.0.0.1:{port}{dialect.path}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", str(BENCH / "load.lua")]
    printed = _on_load_core([*command, url, "--", str(file), *dialect.headers], seconds + 90)
    lines = [line for line in printed.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise RuntimeError(f"wrk against {url} said: {printed}")
    return dict(json.loads(lines[0].removeprefix("RESULT ")))


def read_streams(
    programs: Path, port: int, count: int, file: Path, limit: float, again: tuple[int, str] | None = None
) -> dict[str, float]:
    """One run of streams.c: COUNT streams at once, read to their ends. ``again``: how often on each connection, and
    what the last event holds."""
    command = [str(programs / "streams"), str(port), str(count), str(file), str(limit)]
    printed = _on_load_core(command + ([str(again[0]), again[1]] if again else []), limit + 30)
    try:
        return dict(json.loads(printed))
    except ValueError:
        raise RuntimeError(f"streams against port {port} said: {printed}") from None
