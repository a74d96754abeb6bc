"""The local engine with a real model: what it answers, and how it lives and dies."""

import asyncio
import json
import os
import signal
import stat
import struct
from pathlib import Path
from typing import Any

import pytest

from fixtures.local import MakeLocal
from parley.io.local import memory, process
from parley.io.local import upstream as local_upstream
from parley.settings import EXTENSIONS, Engine
from real import tiny

SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": tiny.ANSWER, "strict": True}}
SPECIAL = "<|assistant|>"


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def text_of(chunks: list[Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


async def test_the_first_request_starts_it_and_the_next_finds_it(local: MakeLocal) -> None:
    engine = local()
    assert engine.log == []
    first = (await engine.chat("hi")).json
    assert first["choices"][0]["message"]["content"] == tiny.HI
    assert first["model"] == "tiny"
    await engine.chat("hi")
    assert engine.events == ["engine.load", "engine.ready"]
    assert engine.log[0]["bytes"] > 331936


TEXTS: list[tuple[str, dict[str, Any], str, str, int]] = [
    ("COUNT", {}, "stop", tiny.COUNT, 13),
    ("COUNT", {"max_tokens": 3}, "length", "one two three", 3),
    ("COUNT", {EXTENSIONS: {"stopwords": [" four"]}}, "stop", "one two three", 4),
    ("JSON", {"response_format": SCHEMA}, "stop", '{"answer": 42}', 5),
    ("THINK", {}, "stop", "Greetings!", 10),
    ("hi", {"tools": tiny.OPENAI_ONE}, "tool_calls", "", 11),
]


async def test_chats(local: MakeLocal) -> None:
    engine = local()
    for text, more, finish, content, tokens in TEXTS:
        answer = (await engine.chat(text, **more)).json
        choice = answer["choices"][0]
        assert (choice["finish_reason"], choice["message"]["content"] or "") == (finish, content), text
        assert answer["usage"]["completion_tokens"] == tokens
        assert choice["message"].get("reasoning_content") == (tiny.THOUGHT if text == "THINK" else None)
        calls = [call["function"] for call in choice["message"].get("tool_calls", ())]
        expected = [tiny.PARIS] if "tools" in more else []
        assert [(call["name"], json.loads(call["arguments"])) for call in calls] == expected


async def test_a_stream(local: MakeLocal) -> None:
    chunks = (await local().chat("COUNT", stream=True, stream_options={"include_usage": True})).chunks
    assert text_of(chunks) == tiny.COUNT
    assert chunks[-1]["usage"]["completion_tokens"] == 13


async def test_completions_whole_and_streamed(local: MakeLocal) -> None:
    engine = local()
    whole = (await engine.ask("/completions", prompt=SPECIAL)).json
    assert whole["choices"][0]["text"] == tiny.HI
    assert whole["object"] == "text_completion"
    chunks = (await engine.ask("/completions", prompt=SPECIAL, stream=True)).chunks
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == tiny.HI


async def test_embeddings(local: MakeLocal) -> None:
    engine = local(embeddings=True)
    answer = (await engine.ask("/embeddings", input=[SPECIAL, "<|count|>"])).json
    first, second = (item["embedding"] for item in answer["data"])
    assert (len(first), len(second)) == (128, 128)
    assert sum(value * value for value in first) == pytest.approx(1.0)
    assert sum(one * other for one, other in zip(first, second, strict=True)) == pytest.approx(0.0, abs=1e-6)
    packed = (await engine.ask("/embeddings", input=SPECIAL, encoding_format="base64")).json["data"][0]["embedding"]
    import base64

    assert list(struct.unpack("<128f", base64.b64decode(packed))) == pytest.approx(first)
    assert (await engine.chat("hi")).json["choices"][0]["message"]["content"] == tiny.HI


async def test_an_engine_that_does_not_embed_says_so(local: MakeLocal) -> None:
    heard = await local().ask("/embeddings", input="a")
    assert heard.status == 501
    assert "does not support embeddings" in heard.data.decode()


@pytest.mark.parametrize("stream", [False, True])
async def test_cuts_and_trims(local: MakeLocal, stream: bool) -> None:
    engine = local()
    fields = {"cutstrings": ["t[a-z]+ ?"], "trimstrings": ["one"]}
    heard = await engine.chat("COUNT", stream=stream, **{EXTENSIONS: fields})
    text = text_of(heard.chunks) if stream else heard.json["choices"][0]["message"]["content"]
    assert text == "four five six seven eight nine eleven"
    assert engine.events == ["engine.load", "engine.ready"]


async def test_a_pattern_that_is_none_is_refused(local: MakeLocal) -> None:
    engine = local()
    heard = await engine.chat("hi", **{EXTENSIONS: {"cutstrings": ["("]}})
    assert heard.failure is not None
    assert (heard.failure.kind, heard.failure.http_status) == ("invalid_request", 400)
    assert engine.log == []


async def test_fields_that_nobody_carries_out_are_in_the_log(local: MakeLocal) -> None:
    engine = local()
    await engine.chat("hi", **{EXTENSIONS: {"f16": True, "top_k": 5}})
    assert (await engine.said("engine.unused_fields"))["fields"] == ["f16"]


async def test_roles_and_seed_reach_the_model(local: MakeLocal) -> None:
    engine = local()
    plain = (await engine.chat("hi")).json["usage"]["prompt_tokens"]
    fields = {"roles": {"user": "USER"}, "seed": 3, "top_k": 1, "mirostat": 0, "repeat_penalty": 1.0}
    worded = (await engine.chat("hi", **{EXTENSIONS: fields})).json["usage"]["prompt_tokens"]
    # The space that follows is three bytes in this model's vocabulary.
    assert worded == plain + len("USER") + 3


async def test_a_template_of_the_older_manner(local: MakeLocal, tiny_gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.tmpl"
    path.write_text("{{.Input}}<|assistant|>")
    engine = local(Engine(model=str(tiny_gguf), template=str(path), threads=1))
    # The bare tokens of the text, the beginning of the sequence, and the sign that ends the template.
    chat = (await engine.chat("abc")).json
    assert (chat["choices"][0]["message"]["content"], chat["usage"]["prompt_tokens"]) == (tiny.HI, 5)
    plain = (await engine.ask("/completions", prompt="abc")).json
    assert (plain["choices"][0]["text"], plain["usage"]["prompt_tokens"]) == (tiny.HI, 5)


async def test_context_and_parallel_are_what_was_set(local: MakeLocal) -> None:
    engine = local(context_size=256, parallel=2)
    fits, too_long = await asyncio.gather(engine.chat("x" * 200), engine.chat("x" * 300))
    assert fits.json["choices"][0]["message"]["content"] == tiny.HI
    assert too_long.status == 400
    assert json.loads(too_long.data)["error"]["n_ctx"] == 256


async def test_engines_with_the_same_settings_share_a_process(local: MakeLocal, tiny_gguf: Path) -> None:
    one = Engine(model=str(tiny_gguf), threads=1)
    engine = local(one, one, Engine(model=str(tiny_gguf), threads=2))
    for number in range(3):
        assert (await engine.chat("hi", number)).status == 200
    assert engine.events.count("engine.load") == 2


# Life


async def test_preload_starts_it_before_anyone_asks(local: MakeLocal) -> None:
    await local(preload=True).said("engine.ready")


async def test_it_is_unloaded_when_idle_and_comes_back(local: MakeLocal) -> None:
    engine = local(idle=0.05)
    await engine.chat("hi")
    pid = (await engine.said("engine.unload"))["pid"]
    assert (await engine.chat("hi")).json["choices"][0]["message"]["content"] == tiny.HI
    assert not alive(pid)
    assert engine.events[:4] == ["engine.load", "engine.ready", "engine.unload", "engine.load"]


async def test_a_crash_between_requests_is_mended(local: MakeLocal) -> None:
    engine = local()
    await engine.chat("hi")
    os.kill(engine.log[-1]["pid"], signal.SIGABRT)
    crash = await engine.said("engine.crash")
    assert (crash["status"], crash["again_in"]) == (-signal.SIGABRT, 0.5)
    assert (await engine.chat("hi")).json["choices"][0]["message"]["content"] == tiny.HI
    assert engine.events.count("engine.load") == 2


async def test_a_crash_in_a_stream_is_a_failure_at_once(local: MakeLocal) -> None:
    engine = local()
    heard = engine.send("/chat/completions", messages=tiny.user("LOOP"), stream=True)
    await heard.begun()
    assert heard.flight is not None
    os.kill((await engine.said("engine.ready"))["pid"], signal.SIGKILL)
    async with asyncio.timeout(30):
        await heard.over()
    assert heard.failure is not None
    assert heard.failure.kind == "upstream_incomplete"
    assert b"[DONE]" not in heard.data
    await engine.said("engine.crash")


async def test_a_request_that_is_cancelled_stops_the_engine_and_frees_it(local: MakeLocal) -> None:
    engine = local(idle=0.05)
    heard = engine.send("/chat/completions", messages=tiny.user("LOOP"), stream=True)
    await heard.begun()
    assert heard.flight is not None
    heard.flight.cancel()
    await engine.said("engine.unload")
    assert not heard.ended.is_set()


async def test_a_paused_stream_waits_and_goes_on(local: MakeLocal) -> None:
    engine = local()
    heard = engine.send("/chat/completions", messages=tiny.user("COUNT"), stream=True)
    assert heard.flight is not None
    heard.flight.pause()
    await engine.said("engine.ready")
    whole = await engine.chat("hi")
    assert whole.status == 200
    assert heard.data == b""
    heard.flight.resume()
    assert text_of((await heard.over()).chunks) == tiny.COUNT


async def test_who_has_no_patience_is_told_that_it_loads(local: MakeLocal) -> None:
    engine = local(patience=0.0)
    heard = await engine.chat("hi")
    assert heard.failure is not None
    assert (heard.failure.kind, heard.failure.http_status, heard.failure.retry_after) == ("model_loading", 503, 5.0)
    assert heard.failure.message == "the model is being loaded; ask again in 5 s"
    await engine.said("engine.ready")
    assert (await engine.chat("hi")).status == 200


@pytest.fixture
def cut_off(tiny_gguf: Path, tmp_path: Path) -> Path:
    """A model's file whose download broke off; its name has a space."""
    path = tmp_path / "cut off.gguf"
    path.write_bytes(tiny_gguf.read_bytes()[:100000])
    return path


async def test_a_broken_file_is_told_in_its_own_words_and_not_tried_again(local: MakeLocal, cut_off: Path) -> None:
    engine = local(Engine(model=str(cut_off), threads=1))
    for heard in (await engine.chat("hi"), await engine.chat("hi")):
        assert heard.failure is not None
        assert (heard.failure.http_status, heard.failure.detail) == (503, "engine_down")
        assert "data is not within the file bounds" in heard.failure.message
        assert str(cut_off.parent) not in heard.failure.message
    assert engine.events == ["engine.load", "engine.failed"]
    assert engine.log[0]["model"] == str(cut_off)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"lmgg" + b"\0" * 99, "an old GGML file"), (b"GGUF\3\0\0\0junk", "cut off"), (None, "there is no such file")],
)
async def test_a_file_that_is_no_model_is_refused(
    local: MakeLocal, tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "m.gguf"
    if content is not None:
        path.write_bytes(content)
    engine = local(Engine(model=str(path), threads=1))
    heard = await engine.chat("hi")
    assert heard.failure is not None
    assert words in heard.failure.message


async def test_a_template_that_is_missing_is_told(local: MakeLocal, tiny_gguf: Path) -> None:
    heard = await local(Engine(model=str(tiny_gguf), template="/no/such/t.jinja", threads=1)).chat("hi")
    assert heard.failure is not None
    assert "No such file" in heard.failure.message
    assert "/no/such" not in heard.failure.message


async def test_more_memory_than_allowed_is_refused_before_loading(local: MakeLocal) -> None:
    engine = local(memory=50_000_000)
    heard = await engine.chat("hi")
    assert heard.failure is not None
    assert heard.failure.message.endswith("it needs about 69.5 MB of memory, its settings allow 50.0 MB")
    assert engine.events == ["engine.failed"]


async def test_more_memory_than_there_is_is_refused(local: MakeLocal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 60_000_000)
    heard = await local().chat("hi")
    assert heard.failure is not None
    assert heard.failure.message.endswith("it needs about 69.5 MB of memory, 60.0 MB are free")


async def test_the_one_that_was_idle_longest_makes_room(
    local: MakeLocal, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = [Engine(model=str(tiny_gguf), threads=1, batch=size) for size in (64, 128, 256)]
    engine = local(*engines)
    loaded: set[int] = set()

    def available() -> int:
        for line in engine.log:
            (loaded.add if line["event"] == "engine.ready" else loaded.discard)(line.get("pid", 0))
        return 150_000_000 - 70_000_000 * sum(alive(pid) for pid in loaded)

    monkeypatch.setattr(memory, "available", available)
    assert [(await engine.chat("hi", number)).status for number in (1, 0, 2)] == [200, 200, 200]
    unloaded = [line["pid"] for line in engine.log if line["event"] == "engine.unload"]
    assert unloaded == [next(line["pid"] for line in engine.log if line["event"] == "engine.ready")]


async def test_the_missing_extra_is_named_with_the_command(local: MakeLocal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_upstream, "find_spec", lambda name: None)
    heard = await local().chat("hi")
    assert heard.failure is not None
    assert heard.failure.message.endswith("`pip install 'parley[local]'` installs it")


def is_there(folder: str) -> bool:
    return os.path.exists(folder)


def private(folder: str) -> bool:
    """Whether nobody else may look into a folder, which must hold one socket."""
    return stat.S_IMODE(os.stat(folder).st_mode) == 0o700 and os.listdir(folder) == ["0.sock"]


async def test_closing_leaves_no_process_and_no_file(local: MakeLocal, monkeypatch: pytest.MonkeyPatch) -> None:
    folders: list[str] = []

    def make() -> str:
        folders.append(process.folder_for_sockets())
        return folders[-1]

    monkeypatch.setattr(local_upstream, "folder_for_sockets", make)
    engine = local()
    await engine.chat("hi")
    pid = engine.log[-1]["pid"]
    assert alive(pid)
    assert [private(folder) for folder in folders] == [True]
    engine.close()
    assert not alive(pid)
    assert not is_there(folders[0])
    heard = await engine.chat("hi")
    assert heard.failure is not None
    assert heard.failure.kind == "overloaded"


async def test_errors_are_openais(local: MakeLocal) -> None:
    engine = local()
    picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]
    for body, status, code in (
        ({"messages": tiny.user("hi"), "n": 3}, 400, None),
        ({"messages": tiny.user(tiny.OVERFLOW)}, 400, "context_length_exceeded"),
        ({"messages": [{"role": "user", "content": picture}]}, 400, None),
        (
            {"messages": tiny.user(tiny.OVERFLOW), "stream": True, EXTENSIONS: {"cutstrings": ["x"]}},
            400,
            "context_length_exceeded",
        ),
    ):
        heard = await engine.ask("/chat/completions", **body)
        error = json.loads(heard.data)["error"]
        assert (heard.status, error["type"], error["param"]) == (status, "invalid_request_error", None), error
        assert error["code"] == code
        assert error["message"]


@pytest.mark.parametrize(
    ("path", "member", "value"),
    [
        ("/completions", "echo", True),
        ("/completions", "suffix", "x"),
        ("/completions", "best_of", 2),
        ("/embeddings", "dimensions", 4),
        ("/chat/completions", "lora", [{"id": 0, "scale": 9}]),
    ],
)
async def test_what_the_engine_would_pass_over_is_refused(local: MakeLocal, path: str, member: str, value: Any) -> None:
    engine = local(embeddings=True)
    asked = {"prompt": SPECIAL, "input": "x", "messages": tiny.user('"echo" and "suffix"')}
    heard = await engine.ask(path, **asked, **{member: value})
    assert heard.failure is not None
    assert (heard.failure.code.code, heard.failure.param) == ("invalid_request", member)
    assert (await engine.ask(path, **asked, **{member: None})).status == 200
    # Elsewhere the name means nothing.
    assert member == "lora" or (await engine.ask("/chat/completions", **asked, **{member: value})).status == 200


async def test_a_text_too_long_to_embed_is_the_callers_fault(local: MakeLocal) -> None:
    heard = await local(embeddings=True).ask("/embeddings", input=tiny.OVERFLOW)
    error = json.loads(heard.data)["error"]
    assert (heard.status, error["type"], error["code"]) == (400, "invalid_request_error", "context_length_exceeded")
