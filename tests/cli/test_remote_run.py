"""``parley run --url``: what is sent, what is printed, how it ends."""

import json

import pytest

from cli.scripted import answer, delta, stream
from parley.cli.root import outcome

HELLO = stream(delta("Hel"), delta("lo"), delta("", "stop"), "[DONE]")


def test_the_request_that_is_sent(gateway, capsys):
    there = gateway(HELLO)
    assert outcome(["run", "team/fast", "Grüß dich", "--system", "Be brief.", "--url", there.url]) == 0
    assert there.head.startswith("post /v1/chat/completions http/1.1")
    assert "authorization" not in there.head
    assert there.body == {
        "model": "team/fast",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüß dich"}],
        "stream": True,
    }
    assert capsys.readouterr() == ("Hello\n", "")


def test_the_key_of_the_gateway_comes_from_the_environment(gateway, monkeypatch, capsys):
    monkeypatch.setenv("PARLEY_API_KEY", "pk-1")
    there = gateway(HELLO)
    assert outcome(["run", "m", "x", "--url", there.url]) == 0
    assert "authorization: bearer pk-1" in there.head


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_urls_as_people_write_them(gateway, suffix, capsys):
    there = gateway(HELLO)
    assert outcome(["run", "m", "x", "--url", there.url.removeprefix("http://") + suffix]) == 0
    assert there.head.startswith("post /v1/chat/completions ")


def test_a_proxy_is_not_asked_for_this_machine(gateway, monkeypatch, capsys):
    proxy, there = gateway(answer(b"{}")), gateway(HELLO)
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    assert outcome(["run", "m", "x", "--url", there.url]) == 0
    assert proxy.requests == []


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://h:99999", "http://h/?key=1", "http://[::1", ""])
def test_what_is_no_url(url, capsys):
    assert outcome(["run", "m", "x", "--url", url]) == 2
    assert "expected http://HOST:PORT" in capsys.readouterr().err


def test_json_asks_for_the_whole_answer_and_prints_it_as_it_came(gateway, capsys):
    body = b'{"id": "a", "choices": [], "n": 1.50, "odd": null}'
    there = gateway(answer(body))
    assert outcome(["run", "m", "x", "--json", "--url", there.url]) == 0
    assert there.body["stream"] is False
    assert capsys.readouterr().out == body.decode() + "\n"


def test_text_that_ends_its_line_itself_gets_no_second_line_end(gateway, capsys):
    there = gateway(stream(delta("a\n", "stop"), "[DONE]"))
    assert outcome(["run", "m", "x", "--url", there.url]) == 0
    assert capsys.readouterr().out == "a\n"


def test_a_whole_answer_where_a_stream_was_asked_for(gateway, capsys):
    message = {"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}
    there = gateway(answer(json.dumps(message).encode()))
    assert outcome(["run", "m", "x", "--url", there.url]) == 0
    assert capsys.readouterr().out == "whole\n"


def test_what_the_text_does_not_say_is_told_on_stderr(gateway, capsys):
    call = {"tool_calls": [{"index": 0}]}
    events = [delta("", reasoning_content="hmmm"), delta("so", **call), delta("", "length"), "[DONE]"]
    assert outcome(["run", "m", "x", "--url", gateway(stream(*events)).url]) == 0
    out, err = capsys.readouterr()
    assert out == "so\n"
    assert "4 characters of reasoning" in err
    assert "calls tools" in err
    assert "limit of tokens" in err


def test_a_refusal_is_the_answer(gateway, capsys):
    there = gateway(stream({"choices": [{"index": 0, "delta": {"refusal": "No."}, "finish_reason": "stop"}]}, "[DONE]"))
    assert outcome(["run", "m", "x", "--url", there.url]) == 0
    assert capsys.readouterr().out == "No.\n"


@pytest.mark.parametrize(
    ("status", "code", "ends"),
    [
        ("401 Unauthorized", "unauthorized", 4),
        ("403 Forbidden", "forbidden", 4),
        ("502 Bad Gateway", "upstream_auth", 4),
        ("404 Not Found", "model_not_found", 2),
        ("400 Bad Request", "invalid_request", 1),
        ("501 Not Implemented", "not_implemented", 1),
        ("500 Internal Server Error", "internal", 1),
        ("429 Too Many Requests", "budget_exceeded", 1),
        ("429 Too Many Requests", "upstream_rate_limited", 5),
        ("400 Bad Request", "upstream_rejected", 5),
        ("502 Bad Gateway", "upstream_error", 5),
        ("503 Service Unavailable", "no_upstream", 5),
        ("502 Bad Gateway", "upstream_unreachable", 6),
        ("504 Gateway Timeout", "upstream_connect_timeout", 6),
        ("401 Unauthorized", "a_code_of_the_provider", 4),
        ("400 Bad Request", None, 5),
    ],
)
def test_errors_have_their_exit_codes(gateway, capsys, status, code, ends):
    there = gateway(answer(json.dumps({"error": {"message": "what happened", "code": code}}).encode(), status))
    assert outcome(["run", "m", "x", "--url", there.url]) == ends
    out, err = capsys.readouterr()
    assert out == ""
    assert "what happened" in err
    assert status[:3] in err
    assert (code or "") in err


@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b'{"error": "plain words"}', b'["x"]', b""])
def test_an_error_in_no_known_shape_is_still_told(gateway, capsys, body):
    assert outcome(["run", "m", "x", "--url", gateway(answer(body, "502 Bad Gateway")).url]) == 5
    told = capsys.readouterr().err
    assert "502" in told
    assert any(word in told for word in ("bad gateway", "plain words", '["x"]', "no reason given"))


def test_an_error_in_the_middle_of_a_stream(gateway, capsys):
    there = gateway(stream(delta("half"), {"error": {"message": "it broke", "code": "upstream_closed"}}))
    assert outcome(["run", "m", "x", "--url", there.url]) == 5
    out, err = capsys.readouterr()
    assert out == "half\n"
    assert "it broke" in err


@pytest.mark.parametrize(
    "cut",
    [
        (stream(delta("half")),),
        (stream(delta("half"), ended=False),),
        (stream(delta("whole?", "stop")),),
        (stream(delta("half"), delta("", "stop"), "[DONE]")[:-40],),
        (stream(delta("half"), "not json"),),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n", b"20\r\ndata: {"),
        (answer(b'{"choices": []}')[:-3],),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n",),
        (b"",),
    ],
)
def test_an_answer_that_broke_off_never_looks_complete(gateway, capsys, cut):
    assert outcome(["run", "m", "x", "--url", gateway(*cut).url]) == 5
    assert "Error: " in capsys.readouterr().err


def test_a_redirect_is_not_followed_with_the_key(gateway, monkeypatch, capsys):
    monkeypatch.setenv("PARLEY_API_KEY", "pk-1")
    other = gateway(HELLO)
    head = f"HTTP/1.1 307 Temporary Redirect\r\nlocation: {other.url}/v1\r\ncontent-length: 0\r\n\r\n"
    assert outcome(["run", "m", "x", "--url", gateway(head.encode()).url]) == 5
    assert other.requests == []
    assert "307" in capsys.readouterr().err


def test_nobody_listens(gateway, capsys):
    gone = gateway()
    gone.close()
    assert outcome(["run", "m", "x", "--url", gone.url]) == 6
    err = capsys.readouterr().err
    assert "Connection refused" in err
    assert "parley serve" in err


def test_an_answer_cannot_command_a_terminal(gateway, monkeypatch, capsys):
    there = gateway(stream(delta("a\x1b]0;title\x07b\x9b1m\tc é\n", "stop"), "[DONE]"))
    assert outcome(["run", "m", "x", "--url", there.url]) == 0
    assert "\x1b]0;" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert outcome(["run", "m", "x", "--url", there.url]) == 0
    assert capsys.readouterr().out == "a␛]0;title␇b␡1m\tc é\n"
