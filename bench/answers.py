"""Canned streamed answers, one for each wire of a provider: so many words, then the end. Facts: the wires' contracts.

An opening, words and a closing: what a server says before its first word and after its last goes out in one write each.
What differs from event to event at such servers (counts, times, padding, ids of tokens) differs here too.
"""

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORD = "lorem "
SSE, NDJSON, FRAMES = "text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream"
INPUT = 400  # tokens that the prompt is said to have had

# The pieces of one answer: opening (may be empty), one for each word, closing.
Pieces = tuple[bytes, list[bytes], bytes]


@dataclass(frozen=True)
class Answer:
    """One wire of a provider. ``provider`` is its entry of Parley's configuration, all but the base URL;
    ``version`` is what that URL ends in, ``mark`` is in the last event and in no other."""

    wire: str
    provider: dict[str, str]
    version: str
    kind: str
    mark: str
    pieces: Callable[[int], Pieces]


def dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def sse(value: Any, event: str = "") -> bytes:
    return (f"event: {event}\n".encode() if event else b"") + b"data: " + dump(value) + b"\n\n"


def typed(kind: str, **members: Any) -> bytes:
    return sse({"type": kind, **members}, kind)


def _chunk(choices: list[dict[str, Any]], **members: Any) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "model-a"}
    return sse({**head, "choices": choices, **members})


def _delta(delta: dict[str, str], finish: str | None = None) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": delta, "finish_reason": finish}]


def _tokens(words: int) -> dict[str, int]:
    return {"prompt_tokens": INPUT, "completion_tokens": words, "total_tokens": INPUT + words}


def openai_chat(words: int) -> Pieces:
    opening = _chunk(_delta({"role": "assistant", "content": ""}))
    closing = _chunk(_delta({}, "stop")) + _chunk([], usage=_tokens(words)) + b"data: [DONE]\n\n"
    return opening, [_chunk(_delta({"content": WORD}))] * words, closing


def mistral(words: int) -> Pieces:
    opening = _chunk(_delta({"role": "assistant", "content": ""}))
    closing = _chunk(_delta({"content": ""}, "stop"), usage=_tokens(words)) + b"data: [DONE]\n\n"
    return opening, [_chunk(_delta({"content": WORD}))] * words, closing


def _response(status: str, output: list[dict[str, Any]], words: int) -> dict[str, Any]:
    usage = {
        "input_tokens": INPUT,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": words,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": INPUT + words,
    }
    head = {"id": "resp_1", "object": "response", "created_at": 1700000000, "status": status, "model": "model-a"}
    rest = {"error": None, "incomplete_details": None, "instructions": None, "metadata": {}, "tools": []}
    sampling = {"parallel_tool_calls": True, "temperature": 0.7, "top_p": 1.0, "tool_choice": "auto"}
    return {**head, "output": output, **rest, **sampling, "usage": None if status == "in_progress" else usage}


def openai_responses(words: int) -> Pieces:
    text = {"type": "output_text", "text": WORD * words, "annotations": [], "logprobs": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
    place, within = {"output_index": 0}, {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    opening: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response("in_progress", [], words)},
        {"type": "response.in_progress", "response": _response("in_progress", [], words)},
        {"type": "response.output_item.added", **place, "item": {**item, "status": "in_progress", "content": []}},
        {"type": "response.content_part.added", **within, "part": {**text, "text": ""}},
    ]
    closing: list[dict[str, Any]] = [
        {"type": "response.output_text.done", **within, "text": WORD * words, "logprobs": []},
        {"type": "response.content_part.done", **within, "part": text},
        {"type": "response.output_item.done", **place, "item": item},
        {"type": "response.completed", "response": _response("completed", [item], words)},
    ]
    delta = {"type": "response.output_text.delta", **within, "delta": WORD, "logprobs": []}
    every = [
        sse({**event, "sequence_number": number}, event["type"])
        for number, event in enumerate([*opening, *[delta] * words, *closing])
    ]
    return b"".join(every[:4]), every[4:-4], b"".join(every[-4:])


def anthropic(words: int) -> Pieces:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "model-a", "content": []}
    start = {**head, "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": INPUT, "output_tokens": 1}}
    opening = typed("message_start", message=start) + typed("ping")
    opening += typed("content_block_start", index=0, content_block={"type": "text", "text": ""})
    closing = typed("content_block_stop", index=0)
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    closing += typed("message_delta", delta=stop, usage={"output_tokens": words}) + typed("message_stop")
    word = typed("content_block_delta", index=0, delta={"type": "text_delta", "text": WORD})
    return opening, [word] * words, closing


def gemini(words: int) -> Pieces:
    def event(text: str, counts: dict[str, int], **more: str) -> bytes:
        candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **more}
        named = {"modelVersion": "model-a", "responseId": "resp-1"}
        return sse({"candidates": [candidate], "usageMetadata": {"promptTokenCount": INPUT, **counts}, **named})

    def counts(made: int) -> dict[str, int]:
        return {"candidatesTokenCount": made, "totalTokenCount": INPUT + made}

    every = [event(WORD, counts(made)) for made in range(1, words + 1)]
    return b"", every, event("", counts(words), finishReason="STOP")


def ollama(words: int) -> Pieces:
    def line(number: int, text: str, **more: Any) -> bytes:
        message, time = {"role": "assistant", "content": text}, f"2026-01-01T00:00:00.{number:09}Z"
        return dump({"model": "model-a", "created_at": time, "message": message, **more}) + b"\n"

    times = {"total_duration": 5, "load_duration": 1, "prompt_eval_duration": 1, "eval_duration": 3}
    closing = line(words, "", done=True, done_reason="stop", **times, prompt_eval_count=INPUT, eval_count=words)
    return b"", [line(number, WORD, done=False) for number in range(words)], closing


def cohere(words: int) -> Pieces:
    start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    opening = typed("message-start", id="co-1", delta={"message": start})
    opening += typed("content-start", index=0, delta={"message": {"content": {"type": "text", "text": ""}}})
    tokens = {"input_tokens": INPUT, "output_tokens": words}
    end = {"finish_reason": "COMPLETE", "usage": {"billed_units": tokens, "tokens": tokens}}
    closing = typed("content-end", index=0) + typed("message-end", delta=end)
    return opening, [typed("content-delta", index=0, delta={"message": {"content": {"text": WORD}}})] * words, closing


def frame(event: str, payload: dict[str, Any]) -> bytes:
    """One message of an event stream: lengths, checksum, headers, payload, checksum."""
    named = ((":event-type", event), (":content-type", "application/json"), (":message-type", "event"))
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in named
    )
    content = dump(payload)
    prelude = struct.pack(">II", 16 + len(head) + len(content), len(head))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + content
    return whole + struct.pack(">I", zlib.crc32(whole))


def bedrock(words: int) -> Pieces:
    usage = {"inputTokens": INPUT, "outputTokens": words, "totalTokens": INPUT + words}
    closing = frame("contentBlockStop", {"contentBlockIndex": 0}) + frame("messageStop", {"stopReason": "end_turn"})
    closing += frame("metadata", {"usage": usage, "metrics": {"latencyMs": 3}})

    def word(number: int) -> bytes:
        padding = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ"[: 4 + number % 32]
        return frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": WORD}, "p": padding})

    return frame("messageStart", {"role": "assistant"}), [word(number) for number in range(words)], closing


def tgi(words: int) -> Pieces:
    def event(number: int, text: str, *, special: bool = False, **end: Any) -> bytes:
        token = {"id": number, "text": text, "logprob": -0.1, "special": special}
        return b"data:" + dump({"index": number, "token": token, "generated_text": None, "details": None, **end})

    details = {"finish_reason": "eos_token", "generated_tokens": words, "input_length": INPUT, "seed": None}
    last = event(words + 1, "</s>", special=True, generated_text=WORD * words, details=details)
    return b"", [event(number, WORD) + b"\n\n" for number in range(1, words + 1)], last + b"\n\n"


def oip_generate(words: int) -> Pieces:
    def event(number: int, text: str, **end: str) -> bytes:
        details = {"token": {"id": number, "text": text, "logprob": -0.1, "special": False}, **end}
        return sse({"model_name": "model-a", "model_version": None, "text_output": text, "details": details})

    return b"", [event(number, WORD) for number in range(1, words)], event(words, WORD, finish_reason="eos_token")


KEY = {"api_key": "bench"}
ANSWERS = (
    # A compatible server that offers chat alone: the other OpenAI dialects are translated to it.
    Answer("openai_chat", {"type": "hyperbolic", **KEY}, "/v1", SSE, "[DONE]", openai_chat),
    Answer("openai_responses", {"type": "openai", **KEY}, "/v1", SSE, '"response.completed"', openai_responses),
    Answer("anthropic", {"type": "anthropic", **KEY}, "", SSE, '"message_stop"', anthropic),
    Answer("gemini", {"type": "gemini", **KEY}, "", SSE, '"finishReason"', gemini),
    Answer("ollama", {"type": "ollama"}, "", NDJSON, '"done":true', ollama),
    Answer("mistral", {"type": "mistral", **KEY}, "", SSE, "[DONE]", mistral),
    Answer("cohere", {"type": "cohere", **KEY}, "", SSE, '"message-end"', cohere),
    Answer("bedrock", {"type": "bedrock", **KEY}, "", FRAMES, '"latencyMs"', bedrock),
    Answer("tgi", {"type": "tgi", "wire": "native"}, "", SSE, '"eos_token"', tgi),
    Answer("oip_generate", {"type": "kserve", "wire": "generate"}, "", SSE, '"eos_token"', oip_generate),
)


def writes(answer: Answer, words: int) -> list[bytes]:
    """What the upstream writes, HTTP and all: the head goes with the first piece, the end of the body with the last."""
    opening, every, closing = answer.pieces(words)
    pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (opening, *every, closing) if piece]
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {answer.kind}\r\ntransfer-encoding: chunked\r\n\r\n"
    return [head.encode() + pieces[0], *pieces[1:-1], pieces[-1] + b"0\r\n\r\n"]


def name(wire: str, words: int) -> str:
    """The model, and the first step of the path at which the upstream gives this answer."""
    return f"{wire}-{words}"


def save(file: Path, lengths: tuple[int, ...]) -> Path:
    """The file that upstream.c reads: NAME COUNT, then LENGTH and bytes of each write."""
    with file.open("wb") as out:
        for answer in ANSWERS:
            for words in lengths:
                made = writes(answer, words)
                out.write(f"{name(answer.wire, words)} {len(made)}\n".encode())
                out.writelines(b"%d\n%b" % (len(piece), piece) for piece in made)
    return file
