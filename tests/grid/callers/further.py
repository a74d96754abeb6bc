"""Further clients of OpenAI's surface: mistralai, huggingface_hub and langchain-openai."""

from typing import Any

import httpx
import openai
from huggingface_hub import InferenceClient, close_session, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, TextGenerationError
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from mistralai.client import Mistral as Client
from mistralai.client.errors import MistralError

from grid.callers import noted
from grid.callers.openai import FORM, STOPS, messages, question, tools
from grid.parts import Got, Tokens, Wish

NO_THINKING = "this client has no place for what a provider thought"


def tokens_of(usage: Any) -> Tokens | None:
    """Usage without its details, which these clients do not all know."""
    return Tokens(usage.prompt_tokens, usage.completion_tokens) if usage else None


class _Chat:
    """What these have in common."""

    def __init__(self) -> None:
        self.dropped: list[str] = []

    def close(self) -> None:
        """Nothing to close."""


class Mistral(_Chat):
    """mistralai."""

    name = "mistralai"
    title = "mistralai client"
    lacks = dict.fromkeys(("thinking", "signed-thinking"), NO_THINKING)
    faults: tuple[type[Exception], ...] = (MistralError,)

    def __init__(self, url: str) -> None:
        super().__init__()
        self.http = httpx.Client(event_hooks=noted(self), timeout=30)
        self.client = Client(api_key="sk-caller", server_url=url, client=self.http)

    def wanted(self, wish: Wish) -> dict[str, Any]:
        """The call's arguments."""
        made: dict[str, Any] = {"model": wish.model, "messages": messages(wish)}
        if wish.tools:
            made["tools"] = tools(wish)
        if wish.schema:
            made["response_format"] = {
                "type": "json_schema",
                "json_schema": {**FORM, "schema_definition": FORM["schema"]},
            }
            del made["response_format"]["json_schema"]["schema"]
        if wish.stop:
            made["stop"] = [wish.stop]
        return made

    def ask(self, wish: Wish) -> Got:
        """One whole answer."""
        answer: Any = self.client.chat.complete(**self.wanted(wish))
        (choice,) = answer.choices
        calls = [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()]
        counted = tokens_of(answer.usage)
        said = choice.message.model_dump(exclude_none=True, exclude={"prefix"})
        return Got(choice.message.content or "", "", calls, STOPS[choice.finish_reason], counted, said=said)

    def stream(self, wish: Wish) -> Got:
        """One answer in pieces."""
        got, calls = Got(), {}
        with self.client.chat.stream(**self.wanted(wish)) as events:
            for event in events:
                if event.data.usage and event.data.usage.prompt_tokens:
                    got.tokens = Tokens(event.data.usage.prompt_tokens, event.data.usage.completion_tokens or 0)
                for choice in event.data.choices:
                    got.text += choice.delta.content or ""  # type: ignore[operator]
                    got.pieces += bool(choice.delta.content)
                    got.stop = STOPS[str(choice.finish_reason)] if choice.finish_reason else got.stop
                    for part in choice.delta.tool_calls or ():
                        before = calls.get(part.index, ("", "", ""))
                        first = part.id if part.id != "null" and not before[0] else ""
                        function = part.function
                        calls[part.index] = (before[0] + (first or ""), before[1] + (function.name or ""),
                                             before[2] + str(function.arguments or ""))  # fmt: skip
        assert got.stop, "the stream ended without saying why"
        got.calls = list(calls.values())
        return got

    def status(self, error: Any) -> int:
        """The HTTP status of a failure."""
        return int(error.status_code)

    def close(self) -> None:
        """Close its connections."""
        self.http.close()


class Hub(_Chat):
    """huggingface_hub."""

    name = "hub"
    title = "huggingface_hub client"
    lacks = {
        **dict.fromkeys(("thinking", "signed-thinking"), NO_THINKING),
        "structured-output": "this client writes a schema in a form that OpenAI's surface does not have",
    }
    faults: tuple[type[Exception], ...] = (HfHubHTTPError, TextGenerationError, httpx.HTTPStatusError)

    def __init__(self, url: str) -> None:
        super().__init__()
        set_client_factory(lambda: httpx.Client(event_hooks=noted(self), timeout=30))
        self.url = url

    def _client(self) -> Any:
        """One for each call: only its end closes what it opened, and an answer left open is closed by whoever comes."""
        return InferenceClient(base_url=self.url, api_key="sk-caller", timeout=30)

    def wanted(self, wish: Wish) -> dict[str, Any]:
        """The call's arguments."""
        made: dict[str, Any] = {"model": wish.model, "messages": messages(wish)}
        if wish.tools:
            made["tools"] = tools(wish)
        if wish.schema:
            made["response_format"] = {"type": "json_schema", "json_schema": FORM}
        if wish.stop:
            made["stop"] = [wish.stop]
        return made

    def ask(self, wish: Wish) -> Got:
        """One whole answer."""
        with self._client() as client:
            answer = client.chat_completion(**self.wanted(wish))
        (choice,) = answer.choices
        calls = [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()]
        counted = tokens_of(answer.usage)
        said = {"role": "assistant", "content": choice.message.content}
        if calls:
            said["tool_calls"] = [{"id": call[0], "type": "function",
                                   "function": {"name": call[1], "arguments": call[2]}} for call in calls]  # fmt: skip
        return Got(choice.message.content or "", "", calls, STOPS[choice.finish_reason], counted, said=said)

    def stream(self, wish: Wish) -> Got:
        """One answer in pieces."""
        got, calls = Got(), {}
        options: Any = {"include_usage": True}
        with self._client() as client:
            chunks = list(client.chat_completion(**self.wanted(wish), stream=True, stream_options=options))
        for chunk in chunks:
            got.tokens = tokens_of(chunk.usage) or got.tokens
            for choice in chunk.choices:
                got.text += choice.delta.content or ""
                got.pieces += bool(choice.delta.content)
                got.stop = STOPS[choice.finish_reason] if choice.finish_reason else got.stop
                for part in choice.delta.tool_calls or ():
                    before = calls.get(part.index, ("", "", ""))
                    calls[part.index] = (before[0] + (part.id or ""), before[1] + (part.function.name or ""),
                                         before[2] + (part.function.arguments or ""))  # fmt: skip
        assert got.stop, "the stream ended without saying why"
        got.calls = list(calls.values())
        return got

    def status(self, error: Any) -> int:
        """The HTTP status of a failure."""
        return int(error.response.status_code)

    def close(self) -> None:
        """Close its connections."""

        close_session()


class LangChain(_Chat):
    """langchain-openai."""

    name = "langchain"
    title = "langchain-openai client"
    lacks = dict.fromkeys(("thinking", "signed-thinking"), NO_THINKING)
    faults: tuple[type[Exception], ...] = (openai.APIError,)

    def __init__(self, url: str) -> None:
        super().__init__()
        self.http: Any = openai.DefaultHttpxClient(verify=False, event_hooks=noted(self))
        self.url = url

    def bound(self, wish: Wish) -> Any:
        """The model with the call's arguments."""
        made: Any = ChatOpenAI(
            model=wish.model,
            base_url=f"{self.url}/v1",
            api_key="sk-caller",  # type: ignore[arg-type]
            max_retries=0,
            http_client=self.http,
            stream_usage=True,
            stop_sequences=[wish.stop] if wish.stop else None,
        )
        if wish.tools:
            made = made.bind_tools(tools(wish))
        if wish.schema:
            made = made.bind(response_format={"type": "json_schema", "json_schema": FORM})
        return made

    def turns(self, wish: Wish) -> list[Any]:
        """The conversation."""
        made: list[Any] = [SystemMessage(wish.system)] if wish.system else []
        made.append(HumanMessage(question(wish)))
        if wish.before:
            made.append(wish.before.said)
            made += [ToolMessage(text, tool_call_id=call[0])
                     for call, text in zip(wish.before.calls, wish.results, strict=True)]  # fmt: skip
        return made

    def ask(self, wish: Wish) -> Got:
        """One whole answer."""
        return self._got(self.bound(wish).invoke(self.turns(wish)))

    def stream(self, wish: Wish) -> Got:
        """One answer in pieces, put together by the client itself."""
        whole, pieces = None, 0
        for chunk in self.bound(wish).stream(self.turns(wish)):
            whole = chunk if whole is None else whole + chunk
            pieces += bool(chunk.content)
        got = self._got(whole)
        got.pieces = pieces
        return got

    def _got(self, answer: Any) -> Got:
        import json

        calls = [(call["id"], call["name"], json.dumps(call["args"])) for call in answer.tool_calls]
        usage = answer.usage_metadata
        counted = Tokens(usage["input_tokens"], usage["output_tokens"]) if usage else None
        said = AIMessage(answer.content, tool_calls=answer.tool_calls)
        stop = STOPS[answer.response_metadata["finish_reason"]]
        return Got(answer.content, "", calls, stop, counted, said=said)

    def status(self, error: Any) -> int:
        """The HTTP status of a failure."""
        return int(error.status_code)

    def close(self) -> None:
        """Close its connections."""
        self.http.close()
