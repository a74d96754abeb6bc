"""Gemini's generateContent: roles user and model, signatures where they belong, events without a terminator."""

import json
from typing import Any

from grid.parts import Call, Plan, Seen, Turn, dump, need, only, sse

FINISH = {"end": "STOP", "length": "MAX_TOKENS", "tool_use": "STOP"}
MEMBERS = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "labels"}
CONFIG = {
    "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "responseMimeType",
    "responseSchema", "responseJsonSchema", "thinkingConfig", "seed", "presencePenalty", "frequencyPenalty",
}  # fmt: skip
PART = {"text", "inlineData", "fileData", "functionCall", "functionResponse", "thought", "thoughtSignature"}
STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED",
          500: "INTERNAL", 529: "UNAVAILABLE"}  # fmt: skip
OPAQUE = {"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema"}
# What the API accepts in place of a signature for histories made elsewhere.
FILLER = "skip_thought_signature_validator"


class Content:
    """POST /v1beta/models/{m}:generateContent and :streamGenerateContent?alt=sse."""

    name = "gemini"
    title = "Gemini"
    stream_type = "text/event-stream"

    def provider(self, url: str) -> dict[str, Any]:
        """Its entry of the configuration."""
        return {"type": "gemini", "wire": "gemini", "base_url": url, "api_key": "sk-up"}

    def read(self, path: str, headers: dict[str, str], body: bytes) -> Seen:
        """What is asked. Raises Wrong."""
        place, _, verb = path.rpartition(":")
        need(place.startswith(("/v1beta/models/", "/v1/models/")), f"path {path}")
        need(verb in ("generateContent", "streamGenerateContent?alt=sse"), f"verb {verb}")
        need(headers.get("x-goog-api-key") == "sk-up", "no key")
        request = _camel(json.loads(body))
        only(request, MEMBERS, "the request")
        seen = Seen(model=place.rpartition("/")[2], stream=verb.startswith("stream"))
        seen.system = "".join(part["text"] for part in (request.get("systemInstruction") or {}).get("parts", ()))
        seen.turns = _turns(request["contents"])
        for tool in request.get("tools") or ():
            for function in tool["functionDeclarations"]:
                schema = function.get("parametersJsonSchema") or function.get("parameters")
                seen.tools[function["name"]] = schema
        config = request.get("generationConfig") or {}
        only(config, CONFIG, "generationConfig")
        seen.stop, seen.max_tokens = config.get("stopSequences") or [], config.get("maxOutputTokens")
        thinking = config.get("thinkingConfig") or {}
        seen.thinks = bool(thinking.get("includeThoughts"))
        seen.schema = config.get("responseJsonSchema") or config.get("responseSchema")
        need(seen.schema is None or config["responseMimeType"] == "application/json", "a schema without its type")
        return seen

    def whole(self, plan: Plan, model: str) -> bytes:
        """One answer."""
        parts = [part for part in ({"text": plan.thinking, "thought": True}, {"text": plan.text}) if part["text"]]
        return dump(_answer([*parts, *_calls(plan)], plan, FINISH[plan.stop]))

    def pieces(self, plan: Plan, model: str) -> list[bytes]:
        """One answer as a stream."""
        parts: list[dict[str, Any]] = [{"text": word} for word in plan.words]
        if plan.thinking:
            parts = [{"text": plan.thinking[:4], "thought": True}, {"text": plan.thinking[4:], "thought": True}, *parts]
        parts += _calls(plan)
        return [*(sse(_answer([part], plan)) for part in parts), sse(_answer([{"text": ""}], plan, FINISH[plan.stop]))]

    def error(self, status: int) -> bytes:
        """An error's body."""
        return dump({"error": {"code": status, "message": f"gemini says {status}", "status": STATUS[status]}})


def _camel(value: Any) -> Any:
    """Members in one of the two spellings that the API takes; what a tool says stays as it is."""
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for name, item in value.items():
        head, *rest = name.split("_")
        spelt = head + "".join(word.capitalize() for word in rest)
        made[spelt] = item if spelt in OPAQUE else _camel(item)
    return made


def _answer(parts: list[dict[str, Any]], plan: Plan, finish: str = "") -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    tokens, thought = plan.tokens, plan.tokens.reasoning
    counts = {"promptTokenCount": tokens.input, "totalTokenCount": tokens.input}
    if finish:
        counts |= {"candidatesTokenCount": tokens.output - (thought or 0)}
        counts |= {"totalTokenCount": tokens.input + tokens.output}
        counts |= {} if thought is None else {"thoughtsTokenCount": thought}
        counts |= {} if tokens.cached is None else {"cachedContentTokenCount": tokens.cached}
    return {"candidates": [candidate], "usageMetadata": counts, "modelVersion": "gemini-real", "responseId": "resp-1"}


def _calls(plan: Plan) -> list[dict[str, Any]]:
    """Calls without ids, as this API may give them; the first one signed."""
    made: list[dict[str, Any]] = [
        {"functionCall": {"name": name, "args": json.loads(arguments)}} for _, name, arguments in plan.calls
    ]
    if made and plan.signature:
        made[0]["thoughtSignature"] = plan.signature
    return made


def _turns(contents: list[dict[str, Any]]) -> list[Turn]:
    need(contents, "no contents")
    need(contents[0]["role"] == "user", "the first content is not the user's")
    made: list[Turn] = []
    for content in contents:
        only(content, {"role", "parts"}, "a content")
        need(content["role"] in ("user", "model"), f"role {content['role']}")
        need(content["parts"], "a content without parts")
        turn = Turn("assistant" if content["role"] == "model" else "user")
        for part in content["parts"]:
            only(part, PART, "a part")
            _take(turn, part)
        if made and (wanted := [call[1] for call in made[-1].calls]):
            need(wanted == [result[0] for result in turn.results], "responses do not fit the calls before them")
        made.append(turn)
    return made


def _take(turn: Turn, part: dict[str, Any]) -> None:
    signature = part.get("thoughtSignature") or ""
    if signature and signature != FILLER:
        turn.signature = signature
    if "functionCall" in part:
        call = part["functionCall"]
        need(isinstance(call.get("args", {}), dict), "args is no object")
        made: Call = (call.get("id") or f"#{len(turn.calls)}", call["name"], json.dumps(call.get("args", {})))
        turn.calls.append(made)
    elif "functionResponse" in part:
        response = part["functionResponse"]
        need(isinstance(response["response"], dict), "response is no object")
        found = response["response"]
        turn.results.append((response["name"], str(found.get("output", found.get("result", found)))))
    elif "inlineData" in part:
        turn.images.append((part["inlineData"]["mimeType"], part["inlineData"]["data"]))
    elif part.get("thought"):
        turn.thinking += part["text"]
    else:
        turn.text += part["text"]
