"""The message of KubeAI's proposal, put into each broker with the broker's own program, is answered on the response
topic. NATS' program is not among Debian's packages: its protocol is spoken as it stands in its documentation."""

import asyncio
import json
import subprocess
from typing import Any

import pytest

from fixtures.brokers import REGION
from fixtures.parley import Start
from fixtures.rigs import Rig, rig_for
from real.test_messaging import Answers, config, queue_made

# From the discussion in which this format was agreed on.
MESSAGE = {
    "path": "/v1/completions",
    "metadata": {"key": "val"},
    "body": {"model": "my-model", "prompt": "whats your favorite color?"},
}
TEXT = json.dumps(MESSAGE)
MODELS = {"models": [{"model": "my-model", "targets": ["echo/echo"]}]}


def name_of(url: str) -> str:
    """What a URL names."""
    return url.partition("://")[2].partition("?")[0]


def run(*command: str, given: str = "", env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, input=given.encode(), capture_output=True, timeout=120, check=False, env=env)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def nats(rig: Rig) -> None:
    host, _, port = rig.server.url.rpartition("//")[2].partition(":")
    subject = name_of(rig.ask)
    lines = f'CONNECT {{"verbose":false}}\r\nPUB {subject} {len(TEXT)}\r\n{TEXT}\r\nPING\r\n'
    # It stays connected until it is told that the other side has gone, or its time is over.
    done = subprocess.run(
        ["curl", "--silent", "--no-buffer", "--max-time", "3", "--upload-file", "-", f"telnet://{host}:{port}"],
        input=lines.encode(), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert b"PONG" in done.stdout, done


def redis(rig: Rig) -> None:
    port = rig.server.url.rpartition(":")[2]
    assert "-" in run("redis-cli", "-p", port, "XADD", name_of(rig.requests), "*", "data", TEXT)


def rabbit(rig: Rig) -> None:
    queue = name_of(rig.requests)
    run(
        "amqp-publish",
        f"--url={rig.server.url.rstrip(chr(47))}",
        f"--routing-key={queue}",
        "--persistent",
        f"--body={TEXT}",
    )


def kafka(rig: Rig) -> None:
    run("kcat", "-P", "-b", rig.env["KAFKA_BROKERS"], "-t", name_of(rig.ask), given=TEXT)


def aws(rig: Rig, *words: str) -> dict[str, Any]:
    own = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "PATH": "/usr/bin:/bin"}
    told = run(
        "/usr/bin/aws", "--endpoint-url", rig.server.url, "--region", REGION, "--output", "json", *words, env=own
    )
    found: dict[str, Any] = json.loads(told)
    return found


def sqs(rig: Rig) -> None:
    url = f"{rig.server.url}/123456789012/{name_of(rig.ask).rpartition('/')[2]}"
    assert aws(rig, "sqs", "send-message", "--queue-url", url, "--message-body", TEXT)["MessageId"]


PUT = {"nats": nats, "redis": redis, "rabbit": rabbit, "kafka": kafka, "sqs": sqs}


@pytest.mark.parametrize("broker", sorted(PUT))
async def test_what_its_own_program_sends_is_answered(
    broker: str, request: pytest.FixtureRequest, parley_server: Start
) -> None:
    rig = rig_for(broker, request)
    await queue_made(rig)
    parley_server(config(rig) | MODELS, env=dict(rig.env))
    await asyncio.to_thread(PUT[broker], rig)
    answers = Answers(rig)
    await answers.read(1, 90)
    ((answer,),) = answers.without.values()
    assert (answer["status_code"], answer["metadata"]) == (200, {"key": "val"})
    assert answer["body"]["choices"][0]["text"]
    assert all(answers.ids)


async def test_what_goes_through_topics_of_sns_is_answered(
    request: pytest.FixtureRequest, parley_server: Start
) -> None:
    """From a topic to the queue that is read, and from there to a topic: with what topics write around messages."""
    rig = rig_for("sqs", request)
    service = rig.server.client("sns")
    arns = {}
    for name, url in (("asked", rig.requests), ("told", rig.answers)):
        queue = name_of(url).rpartition("/")[2]
        arns[name] = service.create_topic(Name=f"{queue}-{name}")["TopicArn"]
        service.subscribe(TopicArn=arns[name], Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:123456789012:{queue}")
    told = f"awssns:///{arns['told']}?region={REGION}"
    given = config(rig, responses=told) | MODELS
    parley_server(given, env=dict(rig.env))
    sent = aws(rig, "sns", "publish", "--topic-arn", arns["asked"], "--message", TEXT)
    assert sent["MessageId"]
    answers = Answers(rig)
    await answers.read(1, 90)
    ((answer,),) = answers.without.values()
    assert (answer["status_code"], answer["metadata"]) == (200, {"key": "val"})
    assert all(answers.ids)
