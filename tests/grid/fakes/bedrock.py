"""Bedrock's Converse: blocks are unions by key, events are binary frames, usage comes after the end."""

import json
import struct
import zlib
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

from grid.parts import Plan, Seen, Turn, dump, need, only

STOP = {"end": "end_turn", "length": "max_tokens", "tool_use": "tool_use"}
MEMBERS = {"messages", "system", "inferenceConfig", "toolConfig", "additionalModelRequestFields", "outputConfig",
           "requestMetadata", "serviceTier", "performanceConfig", "guardrailConfig"}  # fmt: skip
TYPES = {400: "ValidationException", 401: "UnrecognizedClientException", 404: "ResourceNotFoundException",
         429: "ThrottlingException", 500: "InternalServerException", 529: "ServiceUnavailableException"}  # fmt: skip


class Converse:
    """POST /model/{m}/converse and /converse-stream."""

    name = "bedrock"
    title = "Bedrock Converse"
    stream_type = "application/vnd.amazon.eventstream"

    def provider(self, url: str) -> dict[str, Any]:
        """Its entry of the configuration."""
        return {"type": "bedrock", "base_url": url, "api_key": "sk-up"}

    def read(self, path: str, headers: dict[str, str], body: bytes) -> Seen:
        """What is asked. Raises Wrong."""
        _, kind, model, verb = path.split("/")
        need(kind == "model" and verb in ("converse", "converse-stream"), f"path {path}")
        need(headers.get("authorization") == "Bearer sk-up", "no key")
        request = json.loads(body)
        only(request, MEMBERS, "the request")
        config = request.get("inferenceConfig") or {}
        only(config, {"maxTokens", "temperature", "topP", "stopSequences"}, "inferenceConfig")
        seen = Seen(model=unquote(model), stream=verb.endswith("stream"), max_tokens=config.get("maxTokens"))
        seen.system = "".join(block.get("text", "") for block in request.get("system") or ())
        seen.turns = [_turn(message) for message in request["messages"]]
        _alternating(seen.turns)
        for tool in (request.get("toolConfig") or {}).get("tools", ()):
            seen.tools[tool["toolSpec"]["name"]] = tool["toolSpec"]["inputSchema"]["json"]
        need(not seen.calls or seen.tools, "a history with calls needs toolConfig")
        seen.stop = config.get("stopSequences") or []
        seen.thinks = "thinking" in (request.get("additionalModelRequestFields") or {}) or "effort" in (
            request.get("outputConfig") or {}
        )
        seen.schema = _schema(request.get("outputConfig") or {})
        return seen

    def whole(self, plan: Plan, model: str) -> bytes:
        """One answer."""
        blocks: list[dict[str, Any]] = []
        if plan.thinking:
            thought = {"text": plan.thinking, "signature": plan.signature}
            blocks.append({"reasoningContent": {"reasoningText": thought}})
        blocks += [{"text": plan.text}] if plan.text else []
        blocks += [{"toolUse": {"toolUseId": call[0], "name": call[1], "input": json.loads(call[2])}}
                   for call in plan.calls]  # fmt: skip
        output = {"message": {"role": "assistant", "content": blocks}}
        return dump(
            {"output": output, "stopReason": STOP[plan.stop], "usage": _usage(plan), "metrics": {"latencyMs": 3}}
        )

    def pieces(self, plan: Plan, model: str) -> list[bytes]:
        """One answer as a stream."""
        made = [frame("messageStart", {"role": "assistant"})]
        for index, (start, deltas) in enumerate(_blocks(plan)):
            if start is not None:
                made.append(frame("contentBlockStart", {"start": start, "contentBlockIndex": index}))
            made += [frame("contentBlockDelta", {"delta": delta, "contentBlockIndex": index}) for delta in deltas]
            made.append(frame("contentBlockStop", {"contentBlockIndex": index}))
        made.append(frame("messageStop", {"stopReason": STOP[plan.stop]}))
        return [*made, frame("metadata", {"usage": _usage(plan), "metrics": {"latencyMs": 3}})]

    def error(self, status: int) -> bytes:
        """An error's body."""
        return dump({"message": f"bedrock says {status}", "__type": TYPES[status]})


def frame(event: str, payload: dict[str, Any]) -> bytes:
    """One message of the event stream."""
    named = ((":event-type", event), (":content-type", "application/json"), (":message-type", "event"))
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in named
    )
    body = dump(payload)
    prelude = struct.pack(">II", 16 + len(head) + len(body), len(head))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + body
    return whole + struct.pack(">I", zlib.crc32(whole))


def _usage(plan: Plan) -> dict[str, Any]:
    tokens, cached = plan.tokens, plan.tokens.cached
    made = {"inputTokens": tokens.input - (cached or 0), "outputTokens": tokens.output}
    made["totalTokens"] = tokens.input + tokens.output
    return made if cached is None else made | {"cacheReadInputTokens": cached, "cacheWriteInputTokens": 0}


def _blocks(plan: Plan) -> list[tuple[dict[str, Any] | None, list[dict[str, Any]]]]:
    made: list[tuple[dict[str, Any] | None, list[dict[str, Any]]]] = []
    if plan.thinking:
        thoughts = [{"text": plan.thinking[:4]}, {"text": plan.thinking[4:]}, {"signature": plan.signature}]
        made.append((None, [{"reasoningContent": thought} for thought in thoughts]))
    if plan.text:
        made.append((None, [{"text": word} for word in plan.words]))
    for call in plan.calls:
        start = {"toolUse": {"toolUseId": call[0], "name": call[1]}}
        made.append((start, [{"toolUse": {"input": part}} for part in (call[2][:5], call[2][5:])]))
    return made


def _schema(output: dict[str, Any]) -> Any:
    form = output.get("textFormat")
    if form is None:
        return None
    text = json.dumps(form)
    found = form.get("structure", form).get("jsonSchema", {}).get("schema", form)
    need("answer" in text, "no schema in textFormat")
    return json.loads(found) if isinstance(found, str) else found


def _turn(message: dict[str, Any]) -> Turn:
    only(message, {"role", "content"}, "a message")
    need(message["role"] in ("user", "assistant"), f"role {message['role']}")
    need(message["content"], "an empty message")
    turn = Turn(message["role"])
    for block in message["content"]:
        need(len(block) == 1, "a block is a union")
        ((key, value),) = block.items()
        match key:
            case "text":
                need(value, "an empty text block")
                turn.text += value
            case "image":
                turn.images.append((f"image/{value['format']}", value["source"]["bytes"]))
            case "toolUse":
                need(isinstance(value["input"], dict), "input is no object")
                turn.calls.append((value["toolUseId"], value["name"], json.dumps(value["input"])))
            case "toolResult":
                text = "".join(part.get("text") or json.dumps(part.get("json")) for part in value["content"])
                turn.results.append((value["toolUseId"], text))
            case "reasoningContent":
                thought = value["reasoningText"]
                turn.thinking, turn.signature = thought["text"], thought.get("signature", "")
            case _:
                need(False, f"block {key}")
    return turn


def _alternating(turns: list[Turn]) -> None:
    need(turns and turns[0].role == "user", "the first message is not the user's")
    for before, turn in pairwise(turns):
        need(before.role != turn.role, "two turns of one side")
        wanted = [call[0] for call in before.calls]
        need(wanted == [result[0] for result in turn.results], "results do not fit the calls before them")
