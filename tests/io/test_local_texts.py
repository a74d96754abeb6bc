"""What is done to requests and answers of local models: members, roles, stop words, templates, cuts and trims."""

import json
from typing import Any

import pytest

from parley.failure import Failure, ParleyError
from parley.framing import SseReader
from parley.io.local.answers import Shaped
from parley.io.local.asking import asked
from parley.io.local.prompts import as_chat_template, as_prompt, for_chat, in_go
from parley.ports import Headers
from parley.settings import EXTENSIONS
from parley.shaping import Shaper, Template

JSON = [(b"content-type", b"application/json"), (b"content-length", b"9")]
EVENTS = [(b"content-type", b"text/event-stream")]


def sent(body: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    found = asked(json.dumps(body).encode())
    return json.loads(found.body), found


def test_a_request_without_extensions_is_the_same_bytes() -> None:
    body = b'{"messages": [], "temperature":1.00}'
    assert asked(body).body is body


def test_fields_of_the_engine_become_its_members() -> None:
    fields = {"top_k": 40, "min_p": 0.0, "mirostat": 2, "seed": 7, "ignore_eos": False, "grammar": 'root ::= "a"'}
    body, found = sent({"seed": 1, "temperature": 0.5, EXTENSIONS: {**fields, "typical_p": None}})
    assert body == {"temperature": 0.5, **fields}
    assert found.unused == ()
    assert not found.shaped


def test_other_members_keep_their_spelling() -> None:
    found = asked(b'{"temperature":1.00,"x-parley-extensions":{"top_k":1},"big":12345678901234567890}')
    assert found.body == b'{"temperature":1.00,"big":12345678901234567890,"top_k":1}'


def test_what_nobody_carries_out_is_told() -> None:
    body, found = sent({EXTENSIONS: {"f16": True, "batch": 5, "debug": None}})
    assert (body, found.unused) == ({}, ("batch", "f16"))


@pytest.mark.parametrize(
    ("given", "stop"),
    [({}, ["b", "c"]), ({"stop": None}, ["b", "c"]), ({"stop": "a"}, ["a", "b", "c"]), ({"stop": ["b"]}, ["b", "c"])],
)
def test_stop_words_join_those_of_the_request(given: dict[str, Any], stop: list[str]) -> None:
    body, _ = sent({**given, EXTENSIONS: {"stopwords": ["b", "c"]}})
    assert body == {"stop": stop}


def test_roles_go_before_texts() -> None:
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "hi"}]
    body, _ = sent({"messages": messages, EXTENSIONS: {"roles": {"user": "Human:", "system": None}}})
    assert body["messages"] == [messages[0], {"role": "user", "content": "Human: hi"}]


@pytest.mark.parametrize("fields", [{"cutstrings": "a"}, {"trimstrings": [1]}, {"roles": []}, {"stopwords": {}}])
def test_a_wrong_form_is_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(ParleyError) as raised:
        sent({"messages": [], EXTENSIONS: fields})
    assert raised.value.failure.param == f"{EXTENSIONS}.{next(iter(fields))}"
    assert raised.value.failure.http_status == 400


@pytest.mark.parametrize(
    ("prompt", "rendered"),
    [("a", "<a>"), (["a", "b"], ["<a>", "<b>"]), ([1, 2], [1, 2]), ([[1], "c"], [[1], "<c>"])],
)
def test_prompts_are_rendered_but_not_tokens(prompt: Any, rendered: Any) -> None:
    found = asked(json.dumps({"prompt": prompt, "n": 1}).encode(), lambda text: f"<{text}>")
    assert json.loads(found.body) == {"prompt": rendered, "n": 1}


def test_a_template_in_the_older_manner_is_known_and_becomes_a_chat_template() -> None:
    import jinja2

    text = '### User:\n{{.Input}}\n### "Answer" \\ :\n'
    assert in_go(text)
    assert not in_go("{% for message in messages %}{{ message.content }}{% endfor %}")
    made = as_chat_template(text)
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "hi"}]
    rendered = jinja2.Template(made, keep_trailing_newline=True).render(messages=messages)
    assert rendered == '### User:\nS\nhi\n### "Answer" \\ :\n'
    assert as_prompt(Template(text), "hi") == '### User:\nhi\n### "Answer" \\ :\n'


def test_a_jinja_template_is_left_as_it_is() -> None:
    text = "{% for message in messages %}{{ message.content }}{% endfor %}"
    assert as_chat_template(text) == text
    assert for_chat(text)
    assert not for_chat("Q: {{ prompt }}\nA:")
    assert as_prompt(Template("Q: {{ prompt }}\nA:"), "hi") == "Q: hi\nA:"


def test_a_template_without_a_place_for_the_text_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        as_chat_template("{{if .System}}x{{end}}")


# Answers


class Heard:
    def __init__(self) -> None:
        self.heads: list[tuple[int, Headers]] = []
        self.data = b""
        self.ends: list[Failure | None] = []

    def head(self, status: int, headers: Headers) -> None:
        self.heads.append((status, headers))

    def body(self, data: bytes) -> None:
        assert data
        self.data += data

    def done(self) -> None:
        self.ends.append(None)

    def failed(self, failure: Failure) -> None:
        self.ends.append(failure)


def answered(data: bytes, headers: Headers, cut: tuple[str, ...] = (), step: int = 1 << 20, status: int = 200) -> Heard:
    heard = Heard()
    shaped = Shaped(heard, lambda: Shaper(cut, ("Bot:",)))
    shaped.head(status, headers)
    for start in range(0, len(data), step):
        shaped.body(data[start : start + step])
    shaped.done()
    return heard


def test_a_whole_answer_is_cut_and_trimmed_per_choice() -> None:
    choices = [
        {"index": 0, "message": {"role": "assistant", "content": "Bot: a <x>b "}, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": None, "tool_calls": []}, "finish_reason": "stop"},
        {"index": 0, "text": "Bot:Bot: <y>", "finish_reason": "length"},
    ]
    heard = answered(json.dumps({"id": "i", "choices": choices}).encode(), JSON, ("<.>",), step=7)
    answer = json.loads(heard.data)
    assert [choice.get("text", choice.get("message", {}).get("content")) for choice in answer["choices"]] == [
        "a b",
        None,
        "Bot:",
    ]
    assert heard.heads == [(200, JSON[:1])]
    assert heard.ends == [None]


def test_an_error_passes_as_it_came() -> None:
    heard = answered(b'{"choices":[{"text":"Bot: a"}]}', JSON, status=400)
    assert heard.data == b'{"choices":[{"text":"Bot: a"}]}'


def chunk(index: int, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "i", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def stream(*chunks: Any) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in chunks) + b"data: [DONE]\n\n"


def said(heard: Heard) -> list[Any]:
    frames = SseReader().feed(heard.data)
    assert frames[-1].data == b"[DONE]"
    return [json.loads(frame.data) for frame in frames[:-1]]


PIECES = [
    chunk(0, role="assistant", content=None),
    chunk(0, content="Bo"),
    chunk(0, content="t: one <dr"),
    chunk(1, role="assistant", content="Bot:two"),
    chunk(0, content="op> three"),
    chunk(1, content=" <"),
    chunk(0, content=" "),
    chunk(1, "stop"),
    chunk(0, "length"),
    {"id": "i", "choices": [], "usage": {"completion_tokens": 5}},
]


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_a_stream_is_shaped_per_choice_whatever_the_chunking(step: int) -> None:
    told = said(answered(stream(*PIECES), EVENTS, ("<[a-z]*>",), step))
    texts = {0: "", 1: ""}
    ends = []
    for one in told:
        for choice in one["choices"]:
            assert not ends or choice["index"] not in dict(ends)
            texts[choice["index"]] += choice["delta"].get("content") or ""
            if choice["finish_reason"]:
                ends.append((choice["index"], choice["finish_reason"]))
    assert texts == {0: "one  three", 1: "two <"}
    assert ends == [(1, "stop"), (0, "length")]
    assert told[0] == PIECES[0]
    assert told[-1] == PIECES[-1]


def test_what_was_held_back_comes_before_the_end_and_empty_events_do_not_come() -> None:
    told = said(answered(stream(chunk(0, content="Bot"), chunk(0, "stop")), EVENTS))
    assert told == [chunk(0, content="Bot"), chunk(0, "stop")]


def test_streamed_completions_are_shaped_too() -> None:
    pieces = [
        {"choices": [{"index": 0, "text": text, "finish_reason": end}]} for text, end in (("Bot", None), (": a", ""))
    ]
    pieces[1]["choices"][0]["finish_reason"] = "stop"
    told = said(answered(stream(*pieces), EVENTS))
    assert "".join(one["choices"][0]["text"] for one in told) == "a"
    assert [one["choices"][0]["finish_reason"] for one in told] == [None, "stop"]


def test_events_that_are_no_chunks_pass_and_a_failure_ends_it() -> None:
    heard = Heard()
    shaped = Shaped(heard, Shaper)
    shaped.head(200, EVENTS)
    shaped.body(b'event: error\ndata: {"error":{"message":"m"}}\n\ndata: junk\n\n')
    shaped.failed(Failure("upstream_incomplete", "m"))
    assert heard.data == b'event: error\ndata: {"error":{"message":"m"}}\n\ndata: junk\n\n'
    assert [failure.kind for failure in heard.ends if failure] == ["upstream_incomplete"]
