"""The configurations that the tests start from."""

from typing import Any

from parley.config import Loaded, Problem, load_text
from parley.config.build import scalar
from parley.config.document import Document

# Every key that is available, with values that are not the defaults.
FULL = """\
listen: [127.0.0.1:4242, "[::1]:4243"]
hosts: [llm.example.org]
store: sqlite:///parley.db
strict: true
log: {requests: false}

providers:
  openai:
    type: openai
    api_key: ${OPENAI_API_KEY}
    endpoints: [https://us.api.openai.com/v1, https://eu.api.openai.com/v1/]
    balance: least_busy
    timeouts: {connect: 2s, first_byte: 500ms, idle: 1m, total: 10}
    headers: {OpenAI-Organization: org-1}
    max_concurrency: 200
  claude:
    type: anthropic
    api_keys: [one, env.SECOND]
  here:
    type: llama.cpp
    base_url: http://127.0.0.1:9999
    transport: aiohttp
    wire: anthropic
    paths: {models: /list}
  ollama:

models:
  - model: fast
    endpoint: createChatCompletion
    targets: [openai/gpt-4o-mini, {to: claude/claude-haiku-4-5, weight: 2}]
    strategy: weighted
    settings: {}
    defaults: {temperature: 0.2, stop: [], seed: null}
    overrides: {max_tokens: 1000}
    retries: {attempts: 5, on: [408, 5xx]}
    unknown_fields: strict
    share: false
    cache: {responses: off}
  - model: org/with/slashes
    targets: [here/org/model]

auth: {required: false, admin_key: ${PARLEY_ADMIN_KEY:-}}
limits: {body: 1MB, upload: 1GiB, header: 32KiB, header_time: 5s, body_time: 1m, connections: 10, streams: 5}
addresses: {nodes: [127.0.0.0/8], fetch: []}
quotas:
  all: {requests: {minute: 600, hour: 9000, day: 50000}, tokens: 100000, parallel: 50, budget: 100, budget_period: 30d}
  keys: {requests: 60}
  tags: {team=blue: {budget: 20.5}, "org=*": {tokens: {day: 1000000}}}
  models: {"gpt-*": {parallel: 5}}
  counters: store
  budget_unknown_price: refuse
  when_store_is_away: closed
admission: {parallel: 100, queue: 50, wait: 5s}
cache: {responses: off}
"""
ENV = {"OPENAI_API_KEY": "sk-openai", "SECOND": "two"}


def problems(text: str, **env: str) -> tuple[Problem, ...]:
    """The mistakes of a text."""
    return load_text(text, env).problems


def only(text: str, **env: str) -> Problem:
    """The one mistake of a text."""
    [problem] = problems(text, **env)
    return problem


def good(text: str, **env: str) -> Loaded:
    """A text without mistakes, loaded."""
    loaded = load_text(text, env)
    assert loaded.problems == ()
    return loaded


def written(text: str) -> Any:
    """The values of a text as an editor sees them: YAML 1.2, references left as they are."""
    return _plain(Document(text, "c").root)


def _plain(node: Any) -> Any:
    if node is None:
        return None
    if node.id == "mapping":
        return {key.value: _plain(value) for key, value in node.value}
    if node.id == "sequence":
        return [_plain(item) for item in node.value]
    return scalar(node.value) if node.tag == "plain" else node.value
