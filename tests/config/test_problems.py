"""Every mistake: where it is, what is said, and what is never said."""

import pytest

from config.sample import ENV, FULL, only, problems
from parley.config import load_text, render

OPENAI = "providers: {openai: {api_key: k}}\n"
MODEL = OPENAI + "models:\n  - model: m\n    targets: [openai/x]\n"


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "hint"),
    [
        # shape
        ("listn: [a:1]", 1, 1, 'unknown key "listn"', 'did you mean "listen"?'),
        ("zzz: 1", 1, 1, 'unknown key "zzz"', "known here: addresses, admission, auth,"),
        ("- a", 1, 1, "expected a mapping, got a list", ""),
        ("hello", 1, 1, "expected a mapping, got text", ""),
        ("models: {a: 1}", 1, 9, "expected a list, got a mapping", ""),
        ("models:", 1, 1, "expected a list, got nothing", "give it a value or remove the key"),
        ("models: [{targets: [echo/echo]}]", 1, 10, '"model" is missing', "add model: ..."),
        ("models: [{model: 4, targets: [echo/echo]}]", 1, 18, "expected text, got a whole number", "put it in quotes"),
        (MODEL + "    strategy: falback", 5, 15, '"falback" is not one of fallback', 'did you mean "fallback"?'),
        (MODEL + "    share: yes", 5, 12, "expected true or false, got text", "write true or false"),
        (MODEL + "    choices: many", 5, 14, '"many" is not one of fan_out or refuse', ""),
        (MODEL + "    unknown_fields: keep", 5, 21, '"keep" is not one of drop, forward or strict', ""),
        (MODEL + "    retries: {on: 429}", 5, 19, "expected a list, got a whole number", ""),
        (OPENAI + "models: [{model: m, targets: [{too: openai/x}]}]", 2, 32, 'unknown key "too"', 'did you mean "to"?'),
        (OPENAI + "models: [{model: m, targets: [[a]]}]", 2, 31, "expected text or a mapping, got a list", ""),
        ("limits: {body: lots}", 1, 16, "expected a size such as 16KiB", ""),
        ("limits: {body: 0}", 1, 16, "must be above 0", ""),
        ("limits: {header_time: 5 parsecs}", 1, 23, 'expected a duration such as', ""),
        ("quotas: {all: {requests: 0}}", 1, 26, "must be at least 1", ""),
        ("quotas: {all: {requests: {minute: 0}}}", 1, 35, "must be at least 1", ""),
        ("quotas: {all: {requests: {second: 1}}}", 1, 27, 'unknown key "second"', "known here: day, hour, minute"),
        ("quotas: {all: {tokens: many}}", 1, 24, "expected a whole number", ""),
        ("quotas: {all: {budget: 0}}", 1, 24, "a budget is above 0", ""),
        ("quotas: {all: {budget: 1e9}}", 1, 24, "at most 1000000 US dollars", ""),
        ("quotas: {all: {budget_period: 1d}}", 1, 16, "there is no budget for it", "add budget"),
        ("quotas: {all: {budget: 1, budget_period: soon}}", 1, 42, "expected a duration", ""),
        ("quotas: {tags: {blue: {parallel: 1}}}", 1, 17, '"blue" is not a tag', "write K=V"),
        ("quotas: {counters: disk}", 1, 20, "expected memory, store or redis", "remove it"),
        ("quotas: {when_store_is_away: shut}", 1, 30, '"shut" is not one of closed or open', ""),
        ("admission: {parallel: 0}", 1, 23, "must be at least 1", ""),
        ("admission: {queue: -1}", 1, 20, "must not be below 0", ""),
        ("admission: {wait: 0}", 1, 19, "must be above 0", ""),
        ("limits: {streams: 0}", 1, 19, "must be at least 1", ""),
        ("limits: {streams: true}", 1, 19, "expected a whole number, got true or false", ""),
        ("request_defaults: {top_p: 1}", 1, 1, "belongs to a document with registration:", "under models:"),
        ("models: []\n---\nlisten: [a:1]\n", 2, 1, "a second document begins here", "include:"),
        ("store: postgresql://u:geheim@h", 1, 8, "or postgresql://", "data directory"),
        ("store: mysql://h", 1, 8, "expected sqlite:///FILE", "data directory"),
        ("store: 'sqlite:///'", 1, 8, "expected sqlite:///FILE", "data directory"),
        ("conversations: {retention: soon}", 1, 28, "expected a duration", ""),
        ("conversations: {retension: 1d}", 1, 17, 'unknown key "retension"', 'did you mean "retention"?'),
        # listeners and names
        ("listen: localhost", 1, 9, "expected HOST:PORT", ""),
        ("listen: [a:1, '0.0.0.0:99999']", 1, 15, "a port is at most 65535", ""),
        ("listen: ['999.1.1.1:80']", 1, 10, "not a valid host name or address", ""),
        ("listen: [a:1, a:1]", 1, 15, "a:1 is given twice", "keep one of them"),
        ("listen: []", 1, 1, "no address to listen on", ""),
        ("hosts: ['https://a.example']", 1, 9, "is not a host name", "without scheme"),
        # providers
        ("providers: {opnai: {}}", 1, 13, '"opnai" is not a known vendor', 'did you mean "openai"?'),
        ("providers: {mine: {base_url: 'http://h'}}", 1, 13, '"mine" is not a known vendor', "type: openai"),
        ("providers: {a: {type: mistrall}}", 1, 23, 'unknown provider type "mistrall"', 'did you mean "mistral"?'),
        ("providers: {a/b: {type: openai}}", 1, 13, "has no slash", ""),
        ("providers: {openai: }", 1, 13, "no key for OpenAI", "set OPENAI_API_KEY"),
        ("providers: {openai: {api_key: ''}}", 1, 31, "the key is empty", ""),
        ("providers: {openai: {api_keys: []}}", 1, 22, "no key is given", ""),
        ("providers: {openai: {api_key: a, api_keys: [b]}}", 1, 22, "give api_key or api_keys, not both", ""),
        ('providers: {openai: {api_key: "a\\nb"}}', 1, 31, "cannot be sent in a header", ""),
        ("providers: {vllm: {base_url: 'ftp://h'}}", 1, 30, "begins with http:// or https://", ""),
        ("providers: {vllm: {base_url: 'http://'}}", 1, 30, "begins with http:// or https://", ""),
        ("providers: {vllm: {base_url: 'http://h:99999'}}", 1, 30, "not a valid URL", ""),
        ("providers: {vllm: {base_url: 'http://h/v1?a=b'}}", 1, 30, "no query", ""),
        ("providers: {vllm: {base_url: 'http://a b/v1'}}", 1, 30, "no spaces", ""),
        ("providers: {vllm: {endpoints: []}}", 1, 20, "no endpoint is given", ""),
        ("providers: {vllm: {endpoints: ['http://a', 'http://a']}}", 1, 44, "given twice", ""),
        ("providers: {vllm: {base_url: 'http://a', endpoints: ['http://b']}}", 1, 20, "not both", ""),
        ("providers: {vllm: {wire: grpc}}", 1, 26, 'vLLM has no wire "grpc": choose openai or anthropic', ""),
        ("providers: {vllm: {balance: best}}", 1, 29, '"best" is not one of', ""),
        ("providers: {vllm: {max_concurrency: 0}}", 1, 37, "at least 1", ""),
        ("providers: {vllm: {transport: echo}}", 1, 31, 'unknown transport "echo"', "native or aiohttp"),
        ("providers: {vllm: {timeouts: {idle: 0s}}}", 1, 37, "must be above 0", ""),
        ("providers: {vllm: {timeouts: {ilde: 1s}}}", 1, 31, 'unknown key "ilde"', 'did you mean "idle"?'),
        ("providers: {vllm: {headers: {'a b': c}}}", 1, 30, "not a valid header name", ""),
        ("providers: {vllm: {headers: {Host: c}}}", 1, 30, "set by the gateway itself", ""),
        ('providers: {vllm: {headers: {a: "b\\r\\nc: d"}}}', 1, 33, "cannot be sent in a header", ""),
        ("providers: {vllm: {paths: {chatt: /x}}}", 1, 28, 'unknown operation "chatt"', 'did you mean "chat"?'),
        ("providers: {vllm: {paths: {chat: x}}}", 1, 34, "begins with a slash", ""),
        ("providers: {echo: {type: openai}}", 1, 26, "is the built-in provider", ""),
        ("providers: {echo: {base_url: 'http://h'}}", 1, 13, "nothing to set", ""),
        # models
        (MODEL + "    settings: {threads: 4}", 5, 16, "threads is for weights on this machine", "remove it"),
        (MODEL + "    settings: {model: a.gguf}", 5, 16, "weights and targets are both given", "keep one"),
        (MODEL + "    settings: {thread: 4}", 5, 16, 'unknown key "thread"', 'did you mean "threads"?'),
        (MODEL + "    local_settings: {}\n    settings: {mmap: maybe}", 6, 22, "expected true or false", ""),
        (
            "providers: {anthropic: {api_key: k}}\nmodels: [{model: m, endpoint: rerank, targets: [anthropic/x]}]",
            2, 49, 'provider "anthropic" does not offer rerank', "it offers chat; where it does offer rerank",
        ),
        (MODEL + "    alias: echo", 4, 5, "an alias has no targets of its own", "where the model itself"),
        ("models: [{model: m, alias: m}]", 1, 28, "an alias of itself", ""),
        ("models: [{model: m, alias: ecco}]", 1, 28, '"ecco" is not registered', 'did you mean "echo"?'),
        (
            "models: [{model: a, alias: echo}, {model: b, alias: a}]", 1, 53, '"a" is itself an alias', "stands for",
        ),
        ("providers: {local: }", 1, 13, "models of this machine need no provider", "settings: {model: PATH}"),
        ("models: [{model: m, targets: [local/m]}]", 1, 31, 'provider "local" is not', "settings: {model: PATH}"),
        (MODEL + "    defaults: {temperature: hot}", 5, 29, "temperature: expected a number", ""),
        (MODEL + "    defaults: {max_tokens: true}", 5, 28, "max_tokens: expected a whole number", ""),
        (MODEL + "    overrides: {input: x}", 5, 17, "overrides must not set input", ""),
        (MODEL + "    defaults: {x-parley-extensions: [1]}", 5, 37, "x-parley-extensions: expected a mapping", ""),
        (
            MODEL + "    defaults: {x-parley-extensions: {topk: 1}}", 5, 38, 'unknown extension field "topk"',
            'did you mean "top_k"?',
        ),
        (MODEL + "    overrides: {x-localai-extensions: {top_k: a}}", 5, 47, "'top_k' must be an integer", ""),
        (
            MODEL + "    endpoint: chat\n    defaults: {x-parley-extensions: {step: 5}}", 6, 44,
            "'step' does not belong to chat", "",
        ),
        (
            MODEL + "    defaults: {x-parley-extensions: {top_k: 1}, x-localai-extensions: {top_k: 2}}", 5, 49,
            "have different values", "keep x-parley-extensions",
        ),
        (
            MODEL + "    defaults: {x-parley-extensions: {top_k: 1}, top_k: 2}", 5, 49, "are both given", "keep",
        ),
        (MODEL + "    defaults: {min_p: 7}", 5, 23, "'min_p' must be", ""),
        ("models: [{model: m}]", 1, 10, "no target is given", "targets: [provider/model]"),
        ("models: [{model: m, targets: []}]", 1, 21, "no target is given", ""),
        ("models: [{model: '', targets: [echo/echo]}]", 1, 18, "name is not empty", ""),
        ("models: [{model: m, targets: [gpt-4o]}]", 1, 31, '"gpt-4o" is not a target', ""),
        ("models: [{model: m, targets: [/x]}]", 1, 31, '"/x" is not a target', ""),
        ("models: [{model: m, targets: [ecko/x]}]", 1, 31, 'unknown provider "ecko"', 'did you mean "echo"?'),
        ("models: [{model: m, targets: [groq/x]}]", 1, 31, 'provider "groq" is not configured', "set GROQ_API_KEY"),
        ("models: [{model: m, targets: [bedrock/x]}]", 1, 31, '"bedrock" is not configured', "set BEDROCK_BASE_URL"),
        ("models: [{model: m, targets: [{to: nope/x}]}]", 1, 36, 'unknown provider "nope"', "under providers:"),
        ("models: [{model: m, targets: [{to: echo/x, weight: 0}]}]", 1, 52, "a weight is above 0", ""),
        (MODEL + "    endpoint: chatt", 5, 15, 'unknown endpoint "chatt"', 'did you mean "chat"?'),
        (MODEL + "    defaults: {model: x}", 5, 16, "defaults must not set model", "targets"),
        (MODEL + "    overrides: {stream: true}", 5, 17, "overrides must not set stream", ""),
        (MODEL + "    defaults: {messages: []}", 5, 16, "defaults must not set messages", ""),
        (MODEL + "    retries: {attempts: 0}", 5, 25, "attempts is at least 1", ""),
        (MODEL + "    retries: {on: [408, 399]}", 5, 25, 'cannot retry on "399"', "5xx or connect"),
        (MODEL + "    retries: {on: [4xx]}", 5, 20, 'cannot retry on "4xx"', ""),
        (MODEL + "  - {model: m, targets: [openai/y]}", 5, 13, "registered twice, on lines 3 and 5", ""),
    ],
)  # fmt: skip
def test_one_mistake(text: str, line: int, column: int, message: str, hint: str) -> None:
    problem = only(text)
    assert message in problem.message
    assert hint in problem.hint
    assert (problem.line, problem.column) == (line, column)
    assert problem.source == text.splitlines()[line - 1] or "*" in problem.source


@pytest.mark.parametrize(
    "text",
    [
        "grpc:", "include: []", "streams: []", "prices: {}", "node: ~", "store: sqlite:///x.db",
        "cache: {responses: off}", "addresses: {nodes: [], fetch: []}", "strict: true", "auth: {admin_key: k}",
    ],
)  # fmt: skip
def test_empty_wishes_are_none(text: str) -> None:
    assert problems(text) == ()


def test_every_mistake_is_found_at_once() -> None:
    text = """\
listn: [a:1]
providers:
  openai: {api_key: "", wire: foo, timeouts: {conect: 5s, idle: forever}}
  nope: {typ: openai}
  groq: [1]
models:
  - {model: a, targets: [groq/x, nope/x, openai/x, who/x], strategy: best, retries: {attempts: 0}}
  - {targets: [openai/x]}
  - {model: a, targets: [openai/y], endpoint: embedings}
  - {model: b, targets: [openai/${MISSING}, {to: openai/x, weight: none}]}
  - {model: a, targets: [echo/y], shared: true}
limits: {body: 5 apples}
"""
    places = {(problem.line, problem.column): problem.message for problem in problems(text)}
    assert {place: message[:24] for place, message in places.items()} == {
        (1, 1): 'unknown key "listn"',
        (3, 21): "the key is empty",
        (3, 31): 'OpenAI has no wire "foo"',
        (3, 47): 'unknown key "conect"',
        (3, 65): "expected a duration such",
        (4, 3): '"nope" is not a known ve',
        (4, 10): 'unknown key "typ"',
        (5, 9): "expected a mapping or no",
        (7, 52): 'unknown provider "who"',
        (7, 70): '"best" is not one of fal',
        (7, 96): "attempts is at least 1 (",
        (8, 5): '"model" is missing',
        (9, 47): 'unknown endpoint "embedi',
        (10, 33): "environment variable MIS",
        (10, 68): "expected a whole number,",
        (11, 13): '"a" for every endpoint i',
        (11, 35): 'unknown key "shared"',
        (12, 16): 'unknown unit "APPLES": e',
    }


def test_amounts_are_told_as_well_beside_other_mistakes() -> None:
    loaded = load_text("auth: 5\nconversations: {retention: 30 days}\nlimits: {body: 5 XB}\n", {})
    assert [problem.line for problem in loaded.problems] == [1, 2, 3]
    assert 'unknown unit "days": expected a duration' in loaded.problems[1].message
    assert 'unknown unit "XB": expected a size' in loaded.problems[2].message


def test_a_wrong_provider_is_not_held_against_its_targets() -> None:
    assert only("providers: [a]\nmodels: [{model: m, targets: [a/x]}]").line == 1
    assert only("providers: {a: 5}\nmodels: [{model: m, targets: [a/x]}]").line == 1
    assert only("providers: {a: {type: ${NONE}}}\nmodels: [{model: m, targets: [a/x]}]").line == 1


SECRETS = [
    "api_key: hunter2secret", "api_keyy: hunter2secret", "apikey: 'hunter2secret'", "api_keys: [hunter2secret, 5]",
    "api_key: 5hunter2secret\n    api_key: x", "headers: {Authorization: hunter2secret, 'b b': c}",
    "headers:\n      X-Thing: hunter2secret\n      X Y: hunter2secret", "base_url: 'http://me:hunter2secret@h/v1'",
    "base_url: 'http://hunter2secret@h/v1'", "api_key: [hunter2secret]",
    "api_keys:\n    - hunter2secret\n    - {a: hunter2secret}",
    'api_key: "hunter2secret\\n2"', "api_key: ${X:-hunter2secret}\n    api_key: y", "api_keys: {a: hunter2secret}",
    "password: hunter2secret", "wire: sk-hunter2secret", "api_key: |\n      hunter2secret\n      hunter2secret",
    "api_key: hunter2secret: x", "api_key: [hunter2secret", "api_key: 'hunter2secret",
]  # fmt: skip


@pytest.mark.parametrize("line", SECRETS)
def test_secrets_never_show(line: str) -> None:
    loaded = load_text(f"providers:\n  openai:\n    {line}\n    nonsense: {{}}\n", {})
    assert loaded.problems
    for problem in loaded.problems:
        assert "hunter2secret" not in render(problem, color=True)
        assert "hunter2secret" not in repr(problem)


def test_secrets_of_the_environment_never_show() -> None:
    text = "providers: {openai: {api_key: '${K}', base_url: '${U}', wire: '${W}', timeouts: {idle: '${T}'}}}"
    env = {"K": "se\ncretkey1", "U": "http://u:secretkey1@h", "W": "sk-secretkey1", "T": "sk-secretkey1"}
    found = problems(text, **env)
    assert len(found) == 4
    assert all("secretkey1" not in repr(problem) and "cretkey1" not in repr(problem) for problem in found)


def test_max_tokens_is_no_secret() -> None:
    assert (
        only(MODEL + "    overrides: {max_tokens: 1000, stream: true}").source
        == "    overrides: {max_tokens: 1000, stream: true}"
    )


def test_rendered_for_people() -> None:
    problem = load_text("listen: [127.0.0.1:1]\nlimts: {}\n", {}, name="conf/parley.yaml").problems[0]
    assert problem.where == "conf/parley.yaml:2:1"
    assert render(problem) == (
        'conf/parley.yaml:2:1: unknown key "limts"\n'
        "  2 | limts: {}\n"
        "    | ^\n"
        '  fix: did you mean "limits"?'
    )  # fmt: skip
    colored = render(problem, color=True)
    assert "\x1b[1;31m^\x1b[0m" in colored
    assert "\x1b" not in render(problem)


def test_rendered_without_a_line() -> None:
    [problem] = load_text("", {"OPENAI_BASE_URL": "x"}).problems
    assert render(problem).startswith("environment: environment variable OPENAI_BASE_URL: ")


def test_the_full_sample_breaks_in_one_place_at_a_time() -> None:
    assert problems(FULL, **ENV) == ()
    for line in FULL.splitlines():
        if line.strip() and not line.startswith((" ", "-")):
            key = line.partition(":")[0]
            found = problems(f"\n{FULL}".replace(f"\n{key}:", f"\n{key}x:", 1), **ENV)
            assert f'unknown key "{key}x"' in {problem.message for problem in found}


def test_long_lines_are_not_shown() -> None:
    problem = only("models: [" + " " * 500 + "{model: m}]")
    assert problem.column == 510
    assert problem.source == ""
    assert "^" not in render(problem)


@pytest.mark.parametrize(
    ("endpoint", "meant"),
    [("CreateChat", "createChatCompletion"), ("createEmbeding", "createEmbedding"), ("chatt", "chat")],
)
def test_an_unknown_endpoint_is_told_what_may_be_meant(endpoint: str, meant: str) -> None:
    problem = only(f"models: [{{model: m, endpoint: {endpoint}, targets: [echo/echo]}}]")
    assert problem.hint == f'did you mean "{meant}"?'
