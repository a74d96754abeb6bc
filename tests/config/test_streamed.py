"""Streams and connections: what is made of them, and what is said of each mistake."""

from typing import Any

import pytest

from parley.config import load_text
from parley.streams.address import SCHEMES, kinds
from parley.streams.setup import Stream

ENDS = "streams: [{requests: 'REQUESTS', responses: 'nats://a?jetstream=S'}]"


def problems(requests: str, env: dict[str, str] | None = None, more: str = "") -> list[Any]:
    return list(load_text(more + ENDS.replace("REQUESTS", requests), env or {}).problems)


def test_a_stream_as_it_is_used() -> None:
    loaded = load_text(
        "connections: {main: 'nats://u:p@h'}\nstreams: [{requests: 'nats://q?jetstream=S&connection=main', "
        "responses: 'redis://a', max_handlers: 9, timeout: 90s, identity: metadata.id}]",
        {},
    )
    assert loaded.problems == ()
    assert loaded.warned == ()
    assert loaded.settings.connections == {"main": "nats://u:p@h"}
    assert loaded.settings.streams == (
        Stream(
            name="nats://q", requests="nats://q?jetstream=S&connection=main", responses="redis://a", max_handlers=9,
            timeout=90.0, identity="id",
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("url", "message", "hint"),
    [
        ("natz://q", 'unknown scheme "natz"', "nats"),
        ("q", "expected the URL of a broker", "known: nats://"),
        ("nats://", "names nothing", "nats://SUBJECT"),
        ("nats://q?jetsream=S", 'no option "jetsream"', "jetstream"),
        ("nats://q?durable=d", "durable means nothing without jetstream", "jetstream=STREAM"),
        ("nats://q?jetstream=S&ack_wait=soon", "no duration", "30s"),
        ("nats://q?connection=mian", 'no connection "mian"', "main"),
        ("rabbit://q", "RABBIT_SERVER_URL is not set", "set RABBIT_SERVER_URL"),
        ("kafka://g?topic=t", "KAFKA_BROKERS is not set", "connections:"),
        ("azuresb://t?subscription=s", "SERVICEBUS_CONNECTION_STRING or AZURE_SERVICEBUS_HOSTNAME", "set"),
        ("awssns:///arn:aws:sns:r:1:t", "cannot be read from", "subscribe a queue"),
        ("awssqs://q", "names nothing", "awssqs://sqs.REGION"),
        ("gcppubsub://projects/p/topics/t", "one of its subscriptions", "gcppubsub://projects/PROJECT"),
        ("redis://", "names nothing", "redis://STREAM"),
        ("nats://b c", "is no subject", "no spaces"),
        ("nats://a?jetstream=bad.name", "is no name", "without dots"),
        ("redis://q?connection=main", "no address of Redis: it has nats://", "redis://"),
    ],
)
def test_each_mistake_is_named_with_its_way_out(url: str, message: str, hint: str) -> None:
    (problem,) = problems(url, more="connections: {main: 'nats://h'}\n")
    assert message in problem.message
    assert hint in problem.hint
    assert problem.line == 2


def test_a_group_without_a_topic() -> None:
    (problem,) = problems("kafka://g", {"KAFKA_BROKERS": "h:1"})
    assert "no topic" in problem.message


def test_a_plain_subject_is_told_of_and_served() -> None:
    loaded = load_text(ENDS.replace("REQUESTS", "nats://q"), {})
    assert loaded.problems == ()
    assert loaded.warned[0].message.startswith("a plain subject of NATS delivers at most once")


def test_two_streams_have_two_names() -> None:
    one = "{requests: 'mem://q', responses: 'mem://a'}"
    assert "two streams are named" in load_text(f"streams: [{one}, {one}]", {}).problems[0].message


WHOLE = """
listen: [127.0.0.1:4242]
grpc: 127.0.0.1:50001
store: sqlite:///parley.db
include: []
providers:
  openai:
    type: openai
    api_key: ${OPENAI_API_KEY}
    endpoints: [https://us.api.openai.com/v1, https://eu.api.openai.com/v1]
    balance: round_robin
    timeouts: {connect: 5s, first_byte: 60s, idle: 60s, total: 600s}
    headers: {OpenAI-Organization: org-1}
    max_concurrency: 200
  anthropic: {api_key: k}
models:
  - model: fast
    endpoint: chat
    targets: [openai/gpt-4o-mini, {to: anthropic/claude-haiku-4-5, weight: 2}]
    strategy: fallback
    settings: {}
    defaults: {temperature: 0.2}
    overrides: {max_tokens: 1000}
    retries: {attempts: 3, on: [408, 429, 5xx, connect]}
    unknown_fields: forward
    share: false
auth: {required: false, admin_key: ${PARLEY_ADMIN_KEY:-}}
limits: {body: 10MiB, upload: 512MiB, header: 16KiB, header_time: 10s, body_time: 30s, connections: 2000, streams: 1000}
addresses: {nodes: [127.0.0.0/8], fetch: []}
conversations: {retention: 30d}
cache: {responses: off}
prices: {openai/gpt-4o-mini: {input: 0.15, output: 0.60}}
connections: {main: nats://127.0.0.1:4222}
streams:
  - requests: nats://parley.requests
    responses: nats://parley.responses
    max_handlers: 100
    dead_letter: nats://parley.dead
    retries: {deliveries: 5, backoff: 1s..60s}
node:
  id: node-a
  network: nats://127.0.0.1:4222
"""


def test_a_file_with_everything_in_it() -> None:
    loaded = load_text(WHOLE, {"OPENAI_API_KEY": "k"})
    assert loaded.problems == ()
    (stream,) = loaded.settings.streams
    assert (stream.max_handlers, stream.dead_letter) == (100, "nats://parley.dead")


def stream_with(member: str) -> Stream:
    loaded = load_text(f"streams: [{{requests: 'mem://q', responses: 'mem://a', {member}}}]", {})
    assert loaded.problems == ()
    return loaded.settings.streams[0]


@pytest.mark.parametrize(
    ("member", "deliveries", "redeliveries", "pauses"),
    [
        ("retries: {deliveries: 5, backoff: 1s..60s}", 5, 4, (1.0, 60.0)),
        ("retries: {deliveries: 1}, deliveries: 9", 1, 0, (1.0, 300.0)),
        ("retries: {backoff: 500ms .. 2m}, redeliveries: 2", 5, 2, (0.5, 120.0)),
        ("retries: {backoff: 10m}", 5, 0, (600.0, 600.0)),
        ("retries: {backoff: 5}", 5, 0, (5.0, 300.0)),
    ],
)
def test_what_is_given_back_and_for_how_long(
    member: str, deliveries: int, redeliveries: int, pauses: tuple[float, float]
) -> None:
    stream = stream_with(member)
    assert (stream.deliveries, stream.redeliveries) == (deliveries, redeliveries)
    assert (stream.first_pause, stream.longest_pause) == pauses


def test_another_mistake_makes_none_of_them() -> None:
    stream = "{requests: 'mem://q', responses: 'mem://a', retries: {deliveries: 5, backoff: 1s..60s}}"
    (problem,) = load_text(f"auth: 5\nstreams: [{stream}]\n", {}).problems
    assert problem.line == 1


@pytest.mark.parametrize(
    ("member", "column", "message"),
    [
        ("deliveries: 0", 17, "at least 1"),
        ("backoff: 60s..1s", 14, "shorter than the first"),
        ("backoff: 1s..", 14, "two of them as 1s..60s"),
        ("backoff: soon", 14, "expected a duration"),
        ("delivery: 3", 5, "unknown key"),
    ],
)
def test_retries_that_cannot_be(member: str, column: int, message: str) -> None:
    loaded = load_text(f"streams:\n- requests: mem://q\n  responses: mem://a\n  retries:\n    {member}\n", {})
    (problem,) = loaded.problems
    assert message in problem.message
    assert (problem.line, problem.column) == (5, column)


@pytest.mark.parametrize("key", ["max_handlers: 0", "attempts: 0", "deliveries: 0", "redeliveries: -1", "timeout: x"])
def test_numbers_have_bounds(key: str) -> None:
    assert load_text(f"streams: [{{requests: 'mem://q', responses: 'mem://a', {key}}}]", {}).problems


def test_the_names_of_brokers_are_those_of_the_table() -> None:
    assert tuple(kinds()) == SCHEMES


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://b?maxlen=x", "maxlen: 'x' is no whole number from 1 on"),
        ("redis://b?maxlen=0", "no whole number"),
        ("gcppubsub://p/t?max_send_batch_size=x", "no whole number"),
        ("nats://b.*", "nothing can be sent to"),
        ("mem://q", "every message would be a new request"),
    ],
)
@pytest.mark.parametrize("role", ["responses", "dead_letter"])
def test_where_answers_go(url: str, message: str, role: str) -> None:
    ends = {"requests": "mem://q", "responses": "mem://a"} | {role: url}
    text = ", ".join(f"{name}: '{end}'" for name, end in ends.items())
    (problem,) = load_text(f"streams: [{{{text}}}]", {}).problems
    assert message in problem.message


@pytest.mark.parametrize(
    ("url", "env", "message"),
    [
        ("rabbit://q?prefetch_count=0", {"RABBIT_SERVER_URL": "amqp://h"}, "no whole number"),
        ("rabbit://q", {"RABBIT_SERVER_URL": "http://u:geheim@h"}, "no address of RabbitMQ: it has http://"),
        ("kafka://g?topic=t&offset=middle", {"KAFKA_BROKERS": "h:1"}, "there is no 'middle'"),
    ],
)
def test_what_the_environment_and_options_say(url: str, env: dict[str, str], message: str) -> None:
    (problem,) = problems(url, env)
    assert message in problem.message
    assert "geheim" not in problem.message + problem.hint


def test_an_answer_that_would_be_a_request() -> None:
    kafka = "streams: [{requests: 'kafka://g?topic=t', responses: 'kafka://t'}]"
    assert "new request" in load_text(kafka, {"KAFKA_BROKERS": "h:1"}).problems[0].message
    rabbit = "streams: [{requests: 'rabbit://q', responses: 'rabbit://?routing_key=q'}]"
    assert "new request" in load_text(rabbit, {"RABBIT_SERVER_URL": "amqp://h"}).problems[0].message


@pytest.mark.parametrize("key", ["order: body.x", "identity: foo.bar", "identity: metadata."])
def test_members_are_of_the_metadata(key: str) -> None:
    (problem,) = load_text(f"streams: [{{requests: 'mem://q', responses: 'mem://a', {key}}}]", {}).problems
    assert "metadata member" in problem.message
