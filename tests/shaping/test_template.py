"""Prompts by templates: both dialects, their bounds, and what is said where they are wrong."""

import sys
from typing import Any

import pytest

from parley.failure import ParleyError
from parley.shaping import Template, template_problem

CHAT = """{%- for message in messages %}
<|{{ message.role }}|>{{ message['content'] | trim }}<|end|>
{% endfor %}
{%- if tools is defined and tools %}{{ tools | tojson }}{% endif %}
{%- if add_generation_prompt %}<|assistant|>{% endif %}"""
MESSAGES = [{"role": "system", "content": " S "}, {"role": "user", "content": "hé <b>"}]


def fault(source: str, **values: Any) -> tuple[str, str]:
    template = Template(source)
    with pytest.raises(ParleyError) as caught:
        template.render(**values)
    return caught.value.failure.kind, caught.value.failure.message


def test_a_chat_template() -> None:
    out = Template(CHAT).render(messages=MESSAGES, tools=[{"name": "é"}], add_generation_prompt=True)
    assert out == '<|system|>S<|end|>\n<|user|>hé <b><|end|>\n[{"name": "é"}]<|assistant|>'


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("{{ 'a' ~ 1 ~ none }}", "a1None"),
        ("{{ ['a', 2] | join('-') }}{{ [1, 'x'] }}{{ {'k': (1, 2)} }}", "a-2[1, 'x']{'k': (1, 2)}"),
        ("{{ messages[1:] | map(attribute='role') | list }}", "['user']"),
        (
            "{% for m in messages %}{{ loop.index }}{{ loop.last }}{% if m.x %}{% break %}{% endif %}{% endfor %}",
            "1False2True",
        ),
        (
            "{% set ns = namespace(n=0) %}{% for i in range(5) %}{% set ns.n = ns.n + i * 2 %}{% endfor %}{{ ns.n }}",
            "20",
        ),
        ("{% macro f(x) %}[{{ x }}]{% endmacro %}{{ f('a') }}{{ f(x='b') }}", "[a][b]"),
        ("{{ 'a,b'.split(',')[-1] }}{{ 'xay'.replace('a', '--') }}{{ ' p '.strip() }}{{ 'abc'[::-1] }}", "bx--ypcba"),
        ("{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% endfor %}{% set a, b = 1, 2 %}{{ a + b }}", "a=13"),
        ("{{ missing }}|{{ missing is defined }}|{{ 7 // 2 }}{{ 7 % 2 }}{{ 3 - 5 }}", "|False|31-2"),
        ("{{ {'a': [1]} | tojson(indent=1) }}", '{\n "a": [\n  1\n ]\n}'),
        ("plain { text }", "plain { text }"),
        ("", ""),
    ],
)
def test_jinja(text: str, out: str) -> None:
    assert Template(text).render(messages=MESSAGES) == out
    assert template_problem(text) is None


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", "steps"),
        ("{% for a in range(2000) %}{% for b in text %}{% endfor %}{% endfor %}", "steps"),
        ("{{ range(100001) }}", "range()"),
        ("{{ 'a' * 1000000000 }}", "characters"),
        ("{{ [1] * 1000000000 }}", "characters"),
        (
            "{% set n = namespace(x='aa') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
            "characters",
        ),
        (
            "{% set n = namespace(x='aa') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
            "characters",
        ),
        ("{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}", "parts"),
        ("{% set n = namespace(x=1) %}{% for i in range(99) %}{% set n.x = dict(a=n.x, b=n.x) %}{% endfor %}", "parts"),
        ("{% set n = namespace(x=9) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}", "digits"),
        ("{{ text.replace('a', text).replace('a', text) }}", "characters"),
        ("{{ text | replace('a', text) | replace('a', text) }}", "characters"),
        ("{{ text[:1500].join([text] * 9000) }}", "characters"),
        ("{{ [text, text] | join(text * 1800) }}", "characters"),
        ("{% for i in range(9999) %}{{ 'a' * 10000 }}{% endfor %}", "characters"),
        ("{% for i in range(99999) %}{% set x = text[1:] %}{% endfor %}", "characters"),
        ("{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}", "nested too deeply"),
        ("{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}", "steps"),
        ("{{ 2 ** 9 }}", "powers"),
        ("{{ '%999999999d' % 1 }}", "formatting"),
        ("{{ '{:999999999}'.format(1) }}", "unsafe"),
        ("{{ 'x'.ljust(999999999) }}", "unsafe"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{{ messages[0].update(a=1) }}", "unsafe"),
        ("{{ [1] | tojson(indent=999999999) }}", "indent"),
        ("{{ lipsum(9) }}", "undefined"),
    ],
)
def test_a_template_can_neither_hang_nor_fill_the_memory(source: str, said: str) -> None:
    kind, message = fault(source, messages=MESSAGES, text="a" * 9000)
    assert kind == "internal"
    assert said in message
    assert MESSAGES[0] == {"role": "system", "content": " S "}


def test_a_fault_names_its_line() -> None:
    assert fault("a\nb\n{{ foo.bar.baz }}") == ("internal", "the model's template failed: line 3: 'foo' is undefined")
    assert fault("{% for i in [1] %}\n\n{{ i + 'x' }}\n{% endfor %}")[1].startswith(
        "the model's template failed: line 3: TypeError"
    )


def test_what_a_template_refuses_is_the_callers_fault() -> None:
    template = Template("{{ raise_exception('Roles must alternate') }}")
    with pytest.raises(ParleyError) as caught:
        template.render()
    assert caught.value.failure.kind == "invalid_request"
    assert caught.value.failure.param == "messages"
    assert "Roles must alternate" in caught.value.failure.message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("one\n{% if %}", "line 2: Expected an expression, got 'end of statement block'"),
        ("{{ x | center(9) }}", "line 1: No filter named 'center'."),
        ("\n{% include 'x' %}", "line 2: other files are not offered"),
        ("{% for a in b recursive %}{% endfor %}", "line 1: recursive loops are not offered"),
        ("{% for a in b %}", "line 1: Unexpected end of template"),
        ("a\n{{if .X}}b", "line 2: {{if}} without {{end}}"),
        ("{{.X}}\n\n{{end}}", "line 3: {{end}} without {{if}}"),
        ("{{if .X}}{{else}}{{else}}{{end}}", "line 1: {{if}} without {{end}}"),
        ("{{.X}}\n{{range .Y}}{{end}}", "line 2: {{range .Y}} is not known; known are .Name, if, else and end"),
        ("{{.X}} {{ .Y", "line 1: {{ without }}"),
        ("{{if gt .X 3}}{{end}}{{.X}}", "line 1: 'gt .X 3' is no condition that is known"),
        ("{{if eq .X}}{{end}}", "line 1: 'eq .X' is no condition that is known"),
    ],
)
def test_a_template_that_is_wrong(text: str, problem: str) -> None:
    found = template_problem(text)
    assert found is not None
    assert found.startswith(problem)
    with pytest.raises(ParleyError) as caught:
        Template(text)
    assert problem in caught.value.failure.message


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("{{.Input}}\n### Response:", "hey\n### Response:"),
        ("{{ .Input }}{{.Nothing}}.", "hey."),
        ("{{.RoleName}}: {{.Content}}", "user: c"),
        ("{{if .System}}S{{.System}}{{else}}none{{end}}", "none"),
        ("{{if .Input}}a{{if .System}}b{{end}}c{{end}}", "ac"),
        ('{{if not .System}}x{{end}}{{if ne .Input "hey"}}y{{end}}', "x"),
        ('{{if eq .RoleName "system"}}S{{else if eq .RoleName "user"}}U{{else}}?{{end}}!', "U!"),
        ('{{if eq .RoleName "a"}}S{{else if eq .RoleName "b"}}U{{else}}?{{end}}!', "?!"),
        ("a \n {{- .Input -}} \n b{{/* note */}}", "aheyb"),
        ("{{.Count}}{{if .Zero}}z{{end}}", "3"),
    ],
)
def test_the_older_dialect(text: str, out: str) -> None:
    values = {"Input": "hey", "role_name": "user", "Content": "c", "Count": 3, "Zero": 0}
    assert Template(text).render(**values) == out
    assert template_problem(text) is None


def test_the_older_dialect_is_bounded_too() -> None:
    assert "characters" in fault("{{.A}}" * 20, A="x" * 1_000_000)[1]


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "parley.shaping.sandbox", None)
    assert template_problem("{{ x }}") == "templates need the extra local: pip install 'parley[local]'"
    assert template_problem("{{.X}}") is None
