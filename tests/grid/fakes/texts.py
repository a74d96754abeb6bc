"""Wires that continue one text: TGI's own, the generate extension, infer and predict of the inference protocols."""

import json
from typing import Any

from grid.parts import Plan, Seen, Turn, dump, need, only, sse

FINISH = {"end": "eos_token", "length": "length"}
PARAMETERS = {
    "max_new_tokens", "temperature", "top_p", "top_k", "typical_p", "do_sample", "seed", "stop", "repetition_penalty",
    "frequency_penalty", "best_of", "return_full_text", "details", "decoder_input_details", "top_n_tokens", "truncate",
    "watermark", "grammar",
}  # fmt: skip


def asked(text: str, stream: bool = False, model: str = "") -> Seen:
    """A request that is no more than a text."""
    need(isinstance(text, str) and text, "no text")
    return Seen(model=model, stream=stream, turns=[Turn("user", text)])


class Generate:
    """TGI: POST /generate and /generate_stream."""

    name = "tgi"
    title = "TGI (native)"
    stream_type = "text/event-stream"

    def provider(self, url: str) -> dict[str, Any]:
        """Its entry of the configuration."""
        return {"type": "tgi", "wire": "native", "base_url": url}

    def read(self, path: str, headers: dict[str, str], body: bytes) -> Seen:
        """What is asked. Raises Wrong."""
        need(path in ("/generate", "/generate_stream"), f"path {path}")
        request = json.loads(body)
        only(request, {"inputs", "parameters"}, "the request")
        parameters = request.get("parameters") or {}
        only(parameters, PARAMETERS, "parameters")
        need(parameters.get("temperature") != 0, "temperature 0 is not valid")
        seen = asked(request["inputs"], path.endswith("stream"))
        seen.stop, seen.max_tokens = parameters.get("stop") or [], parameters.get("max_new_tokens")
        grammar = parameters.get("grammar")
        if grammar:
            need(grammar["type"] in ("json", "json_schema", "regex"), f"grammar {grammar['type']}")
            value = grammar["value"]
            seen.schema = value.get("schema", value) if isinstance(value, dict) else value
        return seen

    def whole(self, plan: Plan, model: str) -> bytes:
        """One answer."""
        details = {"finish_reason": FINISH[plan.stop], "generated_tokens": plan.tokens.output, "seed": None,
                   "prefill": [{"id": 1, "text": "x", "logprob": None}] * plan.tokens.input, "tokens": []}  # fmt: skip
        return dump({"generated_text": plan.text, "details": details})

    def pieces(self, plan: Plan, model: str) -> list[bytes]:
        """One answer as a stream; no space after ``data:``, the whole text again at the end."""
        made = [_token(number, word, False) for number, word in enumerate(plan.words, 1)]
        details = {"finish_reason": FINISH[plan.stop], "generated_tokens": plan.tokens.output,
                   "input_length": plan.tokens.input, "seed": None}  # fmt: skip
        last = {**_token(len(made) + 1, "</s>", True), "generated_text": plan.text, "details": details}
        return [b"data:" + dump(event) + b"\n\n" for event in (*made, last)]

    def error(self, status: int) -> bytes:
        """An error's body."""
        return dump({"error": f"tgi says {status}", "error_type": "validation"})


def _token(number: int, text: str, special: bool) -> dict[str, Any]:
    token = {"id": number, "text": text, "logprob": -0.1, "special": special}
    return {"index": number, "token": token, "generated_text": None, "details": None}


class Extension:
    """The generate extension: POST /v2/models/{m}/generate and /generate_stream."""

    name = "generate"
    title = "KServe generate"
    stream_type = "text/event-stream"

    def provider(self, url: str) -> dict[str, Any]:
        """Its entry of the configuration."""
        return {"type": "kserve", "wire": "generate", "base_url": url}

    def read(self, path: str, headers: dict[str, str], body: bytes) -> Seen:
        """What is asked. Raises Wrong."""
        _, version, models, model, verb = path.split("/")
        need((version, models) == ("v2", "models") and verb in ("generate", "generate_stream"), f"path {path}")
        request = json.loads(body)
        only(request, {"text_input", "parameters"}, "the request")
        parameters = request.get("parameters") or {}
        seen = asked(request["text_input"], verb.endswith("stream"), model)
        seen.stop, seen.max_tokens = parameters.get("stop") or [], parameters.get("max_tokens")
        return seen

    def whole(self, plan: Plan, model: str) -> bytes:
        """One answer."""
        return dump({**_named(model), "text_output": plan.text, "details": {"finish_reason": FINISH[plan.stop]}})

    def pieces(self, plan: Plan, model: str) -> list[bytes]:
        """One answer as a stream of increments."""
        details = [{"token": _token(number, word, False)["token"]} for number, word in enumerate(plan.words, 1)]
        details[-1]["finish_reason"] = FINISH[plan.stop]
        return [
            sse({**_named(model), "text_output": word, "details": told})
            for word, told in zip(plan.words, details, strict=True)
        ]

    def error(self, status: int) -> bytes:
        """An error's body."""
        return dump({"error": f"generate says {status}"})


def _named(model: str) -> dict[str, Any]:
    return {"model_name": model, "model_version": None}


class Infer:
    """The Open Inference Protocol: POST /v2/models/{m}/infer. It has no streams."""

    name = "infer"
    title = "KServe infer"
    stream_type = ""

    def provider(self, url: str) -> dict[str, Any]:
        """Its entry of the configuration."""
        return {"type": "kserve", "wire": "infer", "base_url": url}

    def read(self, path: str, headers: dict[str, str], body: bytes) -> Seen:
        """What is asked. Raises Wrong."""
        _, version, models, model, verb = path.split("/")
        need((version, models, verb) == ("v2", "models", "infer"), f"path {path}")
        request = json.loads(body)
        only(request, {"id", "inputs", "outputs", "parameters"}, "the request")
        (given,) = request["inputs"]
        need(given["datatype"] == "BYTES" and given["shape"] in ([1], [1, 1]), f"input of {given['datatype']}")
        (text,) = given["data"]
        return asked(text, model=model)

    def whole(self, plan: Plan, model: str) -> bytes:
        """One answer, with nulls for what there is not."""
        output = {"name": "out", "shape": [1, 1], "datatype": "BYTES", "data": [plan.text], "parameters": None}
        return dump({**_named(model), "id": "i-1", "parameters": None, "outputs": [output]})

    def pieces(self, plan: Plan, model: str) -> list[bytes]:
        """Never asked for."""
        return []

    def error(self, status: int) -> bytes:
        """An error's body."""
        return dump({"error": f"infer says {status}"})


class InferCalls(Infer):
    """The same by gRPC, at a port of its own."""

    name = "infer_grpc"
    title = "KServe infer (gRPC)"
    port = 9

    def provider(self, url: str) -> dict[str, Any]:
        """Its entry of the configuration; a header tells the scenario."""
        scenario = url.rpartition("/")[2].partition("~")[0]
        address = f"http://127.0.0.1:{self.port}"
        return {"type": "kserve", "wire": "infer-grpc", "base_url": address, "headers": {"x-scenario": scenario}}


class Predict:
    """KServe V1: POST /v1/models/{m}:predict. It has no streams."""

    name = "predict"
    title = "KServe predict"
    stream_type = ""

    def provider(self, url: str) -> dict[str, Any]:
        """Its entry of the configuration."""
        return {"type": "kserve", "wire": "predict", "base_url": url}

    def read(self, path: str, headers: dict[str, str], body: bytes) -> Seen:
        """What is asked. Raises Wrong."""
        model, _, verb = path.removeprefix("/v1/models/").partition(":")
        need(path.startswith("/v1/models/") and verb == "predict", f"path {path}")
        request = json.loads(body)
        only(request, {"instances"}, "the request")
        (text,) = request["instances"]
        return asked(text, model=model)

    def whole(self, plan: Plan, model: str) -> bytes:
        """One answer."""
        return dump({"predictions": [plan.text]})

    def pieces(self, plan: Plan, model: str) -> list[bytes]:
        """Never asked for."""
        return []

    def error(self, status: int) -> bytes:
        """An error's body."""
        return dump({"error": f"predict says {status}"})
