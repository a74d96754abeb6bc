"""The published JSON Schema and the reference page: both know every key."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from config.sample import FULL, written
from parley import vendors
from parley.config import load_text, operation_of, schema
from parley.config.edge import PENDING
from parley.operations import OPERATIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text("utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = [
    text
    for page in PAGES
    for text in re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
]


RULES = Draft202012Validator(schema())

# Every scalar that is not plain text, from a variable or a file.
REFERRED = """\
listen: "${LISTEN:-127.0.0.1:4242}"
hosts: ["${HOST:-llm.example.org}"]
store: env.STORE
strict: "${STRICT:-false}"
log: {requests: os.environ/LOGGED}
providers:
  openai:
    type: "${TYPE:-openai}"
    wire: "${WIRE:-openai}"
    api_keys: ["${KEY:-k}", "file:key.txt"]
    endpoints: ["${BASE:-https://a.example/v1}", "https://${HOST:-b.example}/v1"]
    balance: "${BALANCE:-fastest}"
    timeouts: {connect: "${TIME:-5s}", first_byte: "${N:-5}s", idle: env.TIME_OUT, total: "file:time.txt"}
    headers: {X-Team: "${TEAM:-a}"}
    max_concurrency: "${N:-5}"
    transport: "${TRANSPORT:-aiohttp}"
    paths: {chat: "${PREFIX:-/v2}/chat"}
models:
  - model: "${MODEL:-fast}"
    endpoint: "${ENDPOINT:-chat}"
    targets: ["${TARGET:-openai/a}", {to: "openai/${NAME:-b}", weight: "${N:-5}"}]
    strategy: env.STRATEGY
    defaults: {temperature: ${T:-1}}
    retries: {attempts: "file:count.txt", on: ["${STATUS:-429}", os.environ/CONNECT]}
    unknown_fields: "${UNKNOWN:-drop}"
    share: "${SHARE:-false}"
    cache: {responses: "${CACHE:-off}"}
  - model: here
    settings:
      model: "${WEIGHTS:-w.gguf}"
      threads: "${N:-5}"
      gpu_layers: "${LAYERS:-all}"
      mmap: "${MMAP:-false}"
      idle: "${TIME:-5s}"
      memory: "${SIZE:-1MB}"
      lora: {path: "${ADAPTER:-a}", scale: "${SCALE:-0.5}"}
  - {model: other, alias: "${ALIAS:-here}"}
conversations: {retention: "${KEPT:-2d}"}
auth: {required: "${REQUIRED:-false}", admin_key: "${ADMIN:-}"}
limits:
  body: "${SIZE:-1MB}"
  upload: "${N:-5}MiB"
  header: os.environ/HEADER
  header_time: "${TIME:-5s}"
  body_time: "file:time.txt"
  connections: "${N:-5}"
  streams: os.environ/COUNT
addresses: {nodes: ["${NODES:-127.0.0.0/8}"]}
cache: {responses: env.CACHE}
"""
REFERRED_ENV = {
    "STORE": "sqlite:///a", "LOGGED": "True", "TIME_OUT": "9s", "STRATEGY": "weighted", "CONNECT": "connect",
    "HEADER": "8KiB", "COUNT": "7", "CACHE": "off",
}  # fmt: skip


def refused(text: str) -> list[str]:
    """What the schema says against a text."""
    return [error.message for error in RULES.iter_errors(written(text))]


def test_the_schema_is_one_and_takes_the_full_sample() -> None:
    Draft202012Validator.check_schema(schema())
    json.dumps(schema())
    assert refused(FULL) == []


def test_every_scalar_may_come_from_a_variable_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("two\n")
    (tmp_path / "time.txt").write_text("4m\n")
    (tmp_path / "count.txt").write_text("2\n")
    loaded = load_text(REFERRED, REFERRED_ENV, folder=tmp_path)
    assert loaded.problems == ()
    assert refused(REFERRED) == []
    provider, registration = loaded.settings.providers["openai"], loaded.settings.registrations["chat", "fast"]
    assert (provider.max_concurrency, provider.timeouts.first_byte, provider.timeouts.total) == (5, 5.0, 240.0)
    assert (registration.retries.attempts, registration.targets[1].weight) == (2, 5)
    engine = loaded.settings.providers["local#*/here"].engine
    assert engine is not None
    assert (engine.threads, engine.gpu_layers, engine.mmap, engine.idle) == (5, 999, False, 5.0)
    assert (engine.memory, engine.lora[0][1]) == (10**6, 0.5)
    assert (loaded.settings.retention, loaded.settings.store) == (2 * 86400.0, "sqlite:///a")
    assert (loaded.settings.limits.upload, loaded.settings.log_requests) == (5 * 2**20, True)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_schema_takes_every_example_of_the_documentation(example: str) -> None:
    assert refused(example) == []
    yaml.compose(example, yaml.BaseLoader)


def model(rest: str) -> str:
    """A file with one entry below models, ``rest`` being more of its members."""
    return f"models: [{{model: a, {rest}}}]"


def provider(rest: str) -> str:
    """A file with one provider of our own."""
    return f"providers: {{openai: {{api_key: k, {rest}}}}}"


@pytest.mark.parametrize(
    "text",
    [
        "", "models: []", "providers: {openai: {api_key: k}, groq: {type: groq, api_key: k}, ollama: }",
        "strict: 'true'", "log: {requests: 'TRUE'}", "log: {requests: 0}", "auth: {required: 'false'}",
        "listen: '[::1]:4242'", "listen: [localhost:1, 0.0.0.0:1]",
        "node: {}", "grpc:", "grpc: '[::1]:50001'", "streams: []", "addresses: {nodes: []}", "hosts: []",
        "quotas: {all: {requests: 5, tokens: {minute: 1, day: '2'}, parallel: ~, budget: 0.5, budget_period: 30d}}",
        "quotas: {keys: {requests: '60'}, tags: {team=blue: {budget: 1}, 'team=*': {}}}",
        "quotas: {models: {'gpt-*': {parallel: 3}}}",
        "quotas: {counters: 'redis://h:1', budget_unknown_price: refuse, when_store_is_away: closed}",
        "admission: {parallel: 5, queue: 0, wait: 1s}",
        "streams: [{requests: 'mem://q', responses: 'mem://a', retries: {deliveries: 5, backoff: 1s..60s}}]",
        "streams: [{requests: 'mem://q', responses: 'mem://a', retries: {backoff: 500ms}}]",
        "limits: {body: '5 kb', streams: '7', connections: 7.0, header_time: 0.5, body_time: '5'}",
        model("targets: [echo/a/b, {to: echo/c, weight: '2'}]"),
        model("targets: [echo/a], endpoint: CreateChatCompletion"), model("targets: [echo/a], endpoint: '*'"),
        model("targets: [echo/a], endpoint: null, settings: {}, share: false"),
        model("targets: [echo/a], share: true"),
        "addresses: {nodes: [10.0.0.0/8, '::1'], fetch: ['*.example.org', 10.1.2.3]}",
        "node: {id: a, project: b, probe: 5s, pictures: [out], projects: {mine: [key-1], 'x-*': key-2}, allow: {a: b}}",
        model("targets: [echo/a], retries: {attempts: '1', on: [400, '599', 5xx, connect]}"),
        model("settings: {model: w, threads: '4', gpu_layers: all, idle: 5m, mmap: 'true', memory: 1GB}"),
        model("settings: {model: w, threads: ~, mmlock: ~, lora: [a, {path: b, scale: 0.5}], gpu_layers: 0}"),
        model("alias: echo"), "conversations: {retention: 1d}", "conversations: {}", "store: sqlite:////a/b.db",
        "store: postgresql://u:p@h/d",
        model("targets: [echo/a], defaults: {x-localai-extensions: {top_k: 1}}, overrides: {x-parley-extensions: ~}"),
        "registration: {model: m, endpoint: CreateCompletion}\nlocal_paths: {model: w}\nrequest_defaults: {n: 1}",
        "registration: {model: m}\nlocal_settings: {model: w}\nlocal_paths: {}",
        provider("max_concurrency: null"), provider("max_concurrency: '3'"), provider("base_url: null, endpoints: ['HTTP://h/a@b']"),
    ],
)  # fmt: skip
def test_schema_and_check_accept(text: str) -> None:
    assert load_text(text, {}).problems == ()
    assert refused(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "[]", "listn: x", "listen: []", "hosts: ['a b']", "store: 'postgresql://h'", "store: ''", "log: null",
        "log: {requests: 'yes'}", "log: {requests: 1.5}", "strict: 2", "auth: {required: 2}",
        "node: {a: 1}", "grpc: ''", "grpc: 50001", "grpc: ['h:1']", "addresses: {nodes: [here]}",
        "addresses: {fetch: ['a b']}",
        "node: {id: ''}", "node: {bucket: 'a b'}", "node: {replicas: 0}", "node: {encrypt: maybe}", "node: {probe: 0s}",
        "quotas: {all: {requests: 0}}", "quotas: {all: {requests: {second: 1}}}", "quotas: {tags: {blue: {}}}",
        "quotas: {all: {budget: 0}}", "quotas: {counters: disk}", "quotas: {when_store_is_away: shut}",
        "admission: {queue: -1}", "admission: {parallel: 0}",
        "streams: [{requests: 'mem://q', responses: 'mem://a', retries: {backoff: 1s..}}]",
        "cache: {responses: on}", "limits: {body: 5k}",
        "limits: {body: many}", "limits: {body: 1.5}", "limits: {body: 0}", "limits: {body: 0.0MB}",
        "limits: {body: true}", "limits: {streams: 0}", "limits: {streams: '0'}", "limits: {connections: '0x5'}",
        "limits: {header_time: 0s}", "limits: {header_time: 5 S}", "limits: {header_time: '$${A}'}",
        "models: [{}]", "models: [{targets: [echo/a]}]",
        "models: [{model: '', targets: [echo/a]}]",
        model("targets: []"), model("targets: [nope]"), model("targets: [echo/]"), model("targets: ['echo/a b']"),
        model("targets: [{to: echo/a, weight: 0}]"), model("targets: [{to: echo/a, weight: '05'}]"),
        model("targets: [{to: echo/a, weight: 1.5}]"), model("targets: [{weight: 1}]"),
        model("settings: {a: 1}"),
        model("settings: {model: w, threads: 0}"),
        model("settings: {model: w, gpu_layers: few}"), model("settings: {model: w, idle: 0s}"),
        model("settings: {model: w, mmap: 'yes'}"), model("settings: {model: w, memory: big}"),
        model("settings: {model: w, lora: {scale: 1}}"), model("settings: {model: ' '}"),
        model("targets: [echo/a], defaults: {x-parley-extensions: {topk: 1}}"),
        model("targets: [echo/a], overrides: {x-localai-extensions: []}"),
        "include: {a: b}", "include: ['']", "store: 'sqlite:a'", "conversations: {retention: 0}",
        "conversations: {a: 1}",
        "registration: {}", "registration: {model: ''}", "registration: {model: m}\nlocal_settings: {modle: a}",
        "registration: {model: m}\nlocal_settings: {model: w}\nlisten: a:1", "registration: {endpoint: x, model: m}",
        "registration: {model: m}\nlocal_settings: {model: w}\nrequest_defaults: {stream: true}",
        model("targets: [echo/a], strategy: falback"),
        model("targets: [echo/a], endpoint: embedding"), model("targets: [echo/a], defaults: {model: b}"),
        model("targets: [echo/a], retries: {on: [399]}"), model("targets: [echo/a], retries: {on: 5xx}"),
        model("targets: [echo/a], retries: {on: ['600']}"), model("targets: [echo/a], retries: {attempts: 0}"),
        provider("balance: x"), provider("endpoints: []"), provider("endpoints: [ftp://h]"), provider("transport: tcp"),
        provider("base_url: 'https://u:p@h/v1'"), provider("base_url: 'https://h/v1?a=b'"), provider("api_keys: [l]"),
        provider("base_url: 'https://h/v1', endpoints: ['https://h/v1']"), provider("max_concurrency: 0"),
        provider("max_concurrency: many"), provider("paths: {chat: chat}"), provider("paths: {sing: /sing}"),
        provider("headers: {a b: c}"), provider("endpoints: ['https://h/v1', 'https://h/v1']"),
        "providers: {openai: {api_keys: []}}", "listen: 4242", "listen: localhost", "listen: ['[::1]:1', '[::1]:1']",
    ],
)  # fmt: skip
def test_schema_and_check_refuse(text: str) -> None:
    assert load_text(text, {}).problems
    assert refused(text)


def entries() -> list[tuple[str, str, Any]]:
    return [
        (name, key, rules) for name, shape in schema()["$defs"].items() for key, rules in shape["properties"].items()
    ]


def test_every_key_of_the_file_is_described() -> None:
    structs = schema()["$defs"]
    assert all(shape.get("description") for shape in structs.values())
    unsaid = [
        (name, key) for name, key, rules in entries()
        if "description" not in rules and "$ref" not in rules and name not in ("LimitsEntry", "AddressesEntry")
    ]  # fmt: skip
    assert unsaid == []


def test_every_key_is_on_the_reference_page() -> None:
    assert [(name, key) for name, key, _ in entries() if f"`{key}`" not in PAGE] == []


def test_what_is_not_available_is_on_the_reference_page() -> None:
    _, _, pending = PAGE.partition("## Not available yet")
    assert [name for name in PENDING if f"`{name}`" not in pending] == []
    for row in vendors.vendors().values():
        for wire in row.pending:
            assert f"`{wire}`" in pending, (row.name, wire)


def test_every_vendor_is_on_the_reference_page() -> None:
    for row in vendors.vendors().values():
        assert f"`{row.name}`" in PAGE
        for variable in row.keys if row.wires and not row.open else ():
            assert f"`{variable}`" in PAGE, row.name


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("chat", "chat"), ("createChatCompletion", "chat"), ("CreateChatCompletion", "chat"), ("*", "*"),
        ("CreateImageEdit", "image_edit"), ("createchatcompletion", None), ("Chat", None), ("", None), ("models", None),
    ],
)  # fmt: skip
def test_names_of_operations(name: str, operation: str | None) -> None:
    assert operation_of(name) == operation


def test_every_operation_has_an_id() -> None:
    assert len({operation.id for operation in OPERATIONS.values()}) == len(OPERATIONS) == 12
    for name, operation in OPERATIONS.items():
        assert operation_of(operation.id) == operation_of(operation.id[0].upper() + operation.id[1:]) == name
