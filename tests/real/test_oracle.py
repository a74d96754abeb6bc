"""The double-proxy oracle: asked through Parley, the server must seem to have been asked directly.

What may differ is what differs between two direct answers: ids, times, and the server's own timings.
"""

import re
from typing import Any

import anthropic
import openai
import pytest

from fixtures.llama import Llama
from fixtures.parley import Gateway, Start
from real import tiny
from real.askers import AnthropicAsker, OpenAIAsker, Wish, anthropic_client, openai_client

VOLATILE = {"id", "created", "timings", "_request_id"}
WISHES = {
    "plain": Wish(),
    "system": Wish(system="S"),
    "turns": Wish("COUNT", turns=(("user", "hi"), ("assistant", "yes"))),
    "length": Wish("COUNT", max_tokens=3),
    "stop": Wish("COUNT", stop=" four"),
    "thinking": Wish("THINK"),
    "tool": Wish(tools=1),
    "required": Wish(tools=1, choice="required"),
    "named": Wish(tools=1, choice="named"),
    "none": Wish(tools=1, choice="none"),
    "two tools": Wish("TWO", tools=2),
    "schema": Wish("JSON", form="schema"),
}


@pytest.fixture(scope="module")
def gateway(parley_for_module: Start, llama: Llama) -> Gateway:
    providers = {
        "oa": {"type": "openai", "base_url": f"{llama.url}/v1", "api_key": "sk-upstream"},
        "an": {"type": "anthropic", "base_url": llama.url, "api_key": "sk-upstream"},
    }
    models = [{"model": "named", "targets": ["oa/tiny"]}]
    return parley_for_module({"providers": providers, "models": models})


def lasting(value: Any) -> Any:
    """``value`` without what no two answers share."""
    if isinstance(value, dict):
        return {key: lasting(inner) for key, inner in value.items() if key not in VOLATILE}
    return [lasting(inner) for inner in value] if isinstance(value, list) else value


def parsed(value: Any) -> Any:
    """What the SDK made of an answer, in the order and with the absences it found."""
    return lasting(value.model_dump(mode="json", exclude_unset=True))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", WISHES)
def test_openai(gateway: Gateway, llama: Llama, name: str, streamed: bool) -> None:
    seen = []
    for url, model in ((llama.url, "tiny"), (gateway.url, "oa/tiny"), (gateway.url, "named")):
        with openai_client(url) as client:
            wanted = OpenAIAsker(client, model).wanted(WISHES[name])
            if streamed:
                chunks = list(client.chat.completions.create(**wanted, stream=True))
                assert len({chunk.id for chunk in chunks}) == 1
                seen.append([parsed(chunk) for chunk in chunks])
            else:
                seen.append(parsed(client.chat.completions.create(**wanted)))
    assert seen[1] == seen[0]
    assert seen[2] == seen[0]


@pytest.mark.parametrize("name", ["plain", "two tools", "thinking"])
def test_openai_with_usage(gateway: Gateway, llama: Llama, name: str) -> None:
    seen = []
    for url, model in ((llama.url, "tiny"), (gateway.url, "oa/tiny")):
        with openai_client(url) as client:
            wanted = OpenAIAsker(client, model).wanted(WISHES[name])
            options = {"include_usage": True}
            chunks = client.chat.completions.create(**wanted, stream=True, stream_options=options)
            seen.append([parsed(chunk) for chunk in chunks])
    assert seen[1] == seen[0]
    assert seen[0][-1]["usage"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", WISHES)
def test_anthropic(gateway: Gateway, llama: Llama, name: str, streamed: bool) -> None:
    seen = []
    for url, model in ((llama.url, "tiny"), (gateway.url, "an/tiny")):
        with anthropic_client(url) as client:
            wanted = AnthropicAsker(client, model).wanted(WISHES[name])
            if streamed:
                seen.append([parsed(event) for event in client.messages.create(**wanted, stream=True)])
            else:
                seen.append(parsed(client.messages.create(**wanted)))
    assert seen[1] == seen[0]


def test_counted_tokens(gateway: Gateway, llama: Llama) -> None:
    seen = []
    for url, model in ((llama.url, "tiny"), (gateway.url, "an/tiny")):
        with anthropic_client(url) as client:
            wanted: Any = {"messages": tiny.user("hi"), "system": "S"}
            seen.append(parsed(client.messages.count_tokens(model=model, **wanted)))
    assert seen[1] == seen[0]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_errors(gateway: Gateway, llama: Llama, streamed: bool) -> None:
    seen: list[list[Any]] = [[], []]
    for place, url in enumerate((llama.url, gateway.url)):
        with openai_client(url) as client:
            wanted = OpenAIAsker(client, "oa/tiny" if place else "tiny").wanted(Wish(tiny.OVERFLOW))
            with pytest.raises(openai.BadRequestError) as refused:
                client.chat.completions.create(**wanted, stream=streamed)
            seen[place].append(refused.value.body)
        with anthropic_client(url) as other:
            wanted = AnthropicAsker(other, "an/tiny" if place else "tiny").wanted(Wish(tiny.OVERFLOW))
            with pytest.raises(anthropic.BadRequestError) as rejected:
                other.messages.create(**wanted, stream=streamed)
            seen[place].append(rejected.value.body)
    assert seen[1][0] == seen[0][0]
    # This server words errors of its Messages wire in OpenAI's shape; ours is Anthropic's, with the same message.
    body = seen[1][1]
    assert body["error"]["message"] == seen[0][1]["error"]["message"]
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")


def test_bytes(gateway: Gateway, llama: Llama) -> None:
    """The undecoded body, with only what is volatile taken out."""
    seen = []
    for url, model in ((llama.url, "tiny"), (gateway.url, "oa/tiny")):
        with openai_client(url) as client:
            wanted = OpenAIAsker(client, model).wanted(Wish())
            text = client.chat.completions.with_raw_response.create(**wanted).text
            body = text() if callable(text) else text
            stable = re.sub(r'"timings":\{[^}]*\}', "", re.sub(r'"(id|created)":("[^"]*"|\d+)', r'"\1":', body))
            seen.append(stable)
    assert seen[1] == seen[0]
