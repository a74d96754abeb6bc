"""Callers of OpenAI's API and of Anthropic's before model servers that speak wires of their own."""

import base64
from typing import Any

import pytest
from msgspec import json
from msgspec.structs import replace
from openai.types import CreateEmbeddingResponse, ImagesResponse
from openai.types.chat import ChatCompletion

from gateway.parts import CHAT, EVENTS, JSON, MESSAGES, Ear, Sent, Stage, only, registration
from parley import vendors
from parley.settings import Provider, Quirks, Retries

PNG = b"\x89PNG\r\n\x1a\n rest"
EMBED, IMAGE, RERANK, COMPLETE = b"/v1/embeddings", b"/v1/images/generations", b"/v1/rerank", b"/v1/completions"
PROMPT = "User: hi\nAssistant:"


def provider(kind: str, wire: str, **options: Any) -> Provider:
    """A provider of that row of the vendor table, at an address of its own."""
    vendor = vendors.find(kind)
    assert vendor is not None
    spoken = vendor.wires[wire]
    made = vendors.provider_of(vendor, f"{kind}-{wire}", spoken, endpoints=("http://h.example",), keys=("k-1",))
    return (
        replace(made, transport="native", quirks=Quirks(options=options))
        if options
        else replace(made, transport="native")
    )


class Servers(Stage):
    """Every such server, each asked for its model ``m/1``."""

    def __init__(self, **options: Any) -> None:
        found = [
            provider(kind, wire, **options.get(wire, {}))
            for kind, wire in [
                ("tgi", "native"), ("tei", "native"), ("huggingface", "tasks"), ("kserve", "generate"),
                ("kserve", "infer"), ("kserve", "infer-grpc"), ("kserve", "predict"), ("openvino", "infer"),
            ]
        ]  # fmt: skip
        registrations = [registration(one.name, f"{one.name}/m/1", retries=Retries(1)) for one in found]
        super().__init__(*registrations, providers=tuple(found))

    def asked(self, model: str, path: bytes = CHAT, **members: Any) -> tuple[Sent, Ear]:
        """The call that such a request becomes, and who waits for its answer."""
        if path == MESSAGES:
            members["max_tokens"] = 9
        if path in (CHAT, MESSAGES):
            members["messages"] = [{"role": "user", "content": "hi"}]
        _, ear = self.ask_raw(json.encode({"model": model, **members}), path)
        assert self.sent, ear.text
        return self.sent[-1], ear


def where(sent: Sent) -> tuple[str, bytes]:
    return sent.call.to.origin, sent.call.to.path


@pytest.mark.parametrize(
    ("model", "path", "body", "answer"),
    [
        ("tgi-native", b"/generate", {"inputs": PROMPT}, [{"generated_text": "hello by tgi"}]),
        ("huggingface-tasks", b"/models/m/1", {"inputs": PROMPT}, [{"generated_text": "hello by tasks"}]),
        ("kserve-generate", b"/v2/models/m%2F1/generate", {"text_input": PROMPT}, {"text_output": "hello by generate"}),
        ("kserve-infer", b"/v2/models/m%2F1/infer", {},
         {"outputs": [{"name": "o", "shape": [1, 1], "datatype": "BYTES", "data": [["hello by infer"]]}]}),
        ("openvino-infer", b"/v2/models/m%2F1/infer", {},
         {"outputs": [{"name": "o", "shape": [1], "datatype": "BYTES", "data": ["hello by ovms"]}]}),
        ("kserve-predict", b"/v1/models/m%2F1:predict", {"instances": [PROMPT]}, {"predictions": ["hello by predict"]}),
    ],
)  # fmt: skip
def test_a_chat(model: str, path: bytes, body: dict[str, Any], answer: Any) -> None:
    stage = Servers()
    sent, ear = stage.asked(model)
    assert where(sent) == ("http://h.example", path)
    assert {name: sent.body[name] for name in body} == body
    assert "model" not in sent.body
    assert "stream" not in sent.body
    assert sent.lines[b"authorization"] == b"Bearer k-1"
    assert sent.lines[b"accept"] == b"application/json"
    sent.whole(json.encode(answer))
    found = ChatCompletion.model_validate_json(ear.text)
    assert found.choices[0].message.content is not None
    assert found.choices[0].message.content.startswith("hello by")
    assert (found.choices[0].finish_reason, found.model) == ("stop", "m/1")
    stage.quiet()


def test_a_stream_is_asked_for_at_its_own_path() -> None:
    stage = Servers()
    sent, ear = stage.asked("tgi-native", stream=True)
    assert where(sent)[1] == b"/generate_stream"
    assert sent.lines[b"accept"] == b"text/event-stream"
    sent.begin(headers=EVENTS)
    sent.say(b'data:{"token":{"id":1,"text":"hel","special":false},"generated_text":null,"details":null}\n\n')
    assert b"hel" in ear.text
    sent.say(
        b'data:{"token":{"id":2,"text":"lo","special":false},"generated_text":"hello",'
        b'"details":{"finish_reason":"length","generated_tokens":2,"input_length":4}}\n\n'
    )
    sent.done()
    assert ear.text.endswith(b"data: [DONE]\n\n")
    assert b'"finish_reason":"length"' in ear.text
    record = only(stage)
    assert (record["in_tok"], record["out_tok"], record["usage"]) == (4, 2, "exact")
    stage.quiet()


def test_a_stream_of_the_generate_extension() -> None:
    sent, ear = Servers().asked("kserve-generate", stream=True)
    assert where(sent)[1] == b"/v2/models/m%2F1/generate_stream"
    sent.stream(b'data: {"text_output":"hel","details":null}\n\ndata: {"text_output":"lo"}\n\n')
    assert b'"hel"' in ear.text
    assert ear.text.endswith(b"data: [DONE]\n\n")


def test_a_stream_of_a_server_that_has_none_is_made_of_its_answer() -> None:
    sent, ear = Servers().asked("kserve-infer", stream=True)
    sent.whole(b'{"outputs":[{"name":"o","shape":[1],"datatype":"BYTES","data":["hello"]}]}')
    assert b'"hello"' in ear.text
    assert ear.text.endswith(b"data: [DONE]\n\n")


def test_a_caller_of_another_dialect() -> None:
    sent, ear = Servers().asked("tgi-native", MESSAGES)
    assert sent.body["parameters"]["max_new_tokens"] == 9
    sent.whole(b'{"generated_text":"hello"}')
    assert json.decode(ear.text)["content"] == [{"type": "text", "text": "hello"}]


def test_a_legacy_completion_goes_as_it_is() -> None:
    sent, ear = Servers().asked("tgi-native", COMPLETE, prompt="Once")
    assert sent.body["inputs"] == "Once"
    sent.whole(b'{"generated_text":" upon"}')
    assert json.decode(ear.text)["choices"][0]["text"] == " upon"


def test_the_operators_options_hold_for_request_and_answer() -> None:
    stage = Servers(infer={"input": "in", "output": "out", "template": {"user": "{text}", "reply": ""}})
    sent, ear = stage.asked("kserve-infer")
    assert sent.body["inputs"] == [{"name": "in", "shape": [1], "datatype": "BYTES", "data": ["hi"]}]
    tensors = [{"name": name, "datatype": "BYTES", "data": [name]} for name in ("other", "out")]
    sent.whole(json.encode({"outputs": tensors}))
    assert ChatCompletion.model_validate_json(ear.text).choices[0].message.content == "out"


def test_texts_to_vectors() -> None:
    stage = Servers()
    for model, path in (
        ("tei-native", b"/embed"),
        ("huggingface-tasks", b"/models/m/1/pipeline/feature-extraction"),
    ):
        sent, ear = stage.asked(model, EMBED, input=["a", "b"])
        assert where(sent)[1] == path
        assert sent.body == {"inputs": ["a", "b"]}
        sent.whole(b"[[0.5,1],[2,3]]")
        found = CreateEmbeddingResponse.model_validate_json(ear.text)
        assert [item.embedding for item in found.data] == [[0.5, 1.0], [2.0, 3.0]]
        assert [item.index for item in found.data] == [0, 1]


def test_texts_to_vectors_by_tensors() -> None:
    sent, ear = Servers().asked("openvino-infer", EMBED, input="a")
    assert where(sent)[1] == b"/v2/models/m%2F1/infer"
    sent.whole(b'{"outputs":[{"name":"o","shape":[1,2],"datatype":"FP32","data":[0.5,1]}]}')
    found = CreateEmbeddingResponse.model_validate_json(ear.text)
    assert [item.embedding for item in found.data] == [[0.5, 1.0]]


def test_too_large_a_batch() -> None:
    sent, ear = Servers().asked("tei-native", EMBED, input=["a"])
    sent.whole(b'{"error":"batch size 1000 > 32","error_type":"Validation"}', 413)
    assert ear.status == 413
    assert ear.error["message"] == "batch size 1000 > 32"


def test_documents_are_ranked() -> None:
    sent, ear = Servers().asked("tei-native", RERANK, query="q", documents=["a", "b"])
    assert (where(sent)[1], sent.body) == (b"/rerank", {"query": "q", "texts": ["a", "b"]})
    sent.whole(b'[{"index":1,"score":0.9},{"index":0,"score":0.1}]')
    found = json.decode(ear.text)["results"]
    assert [(item["index"], item["relevance_score"]) for item in found] == [(1, 0.9), (0, 0.1)]


def test_only_as_many_documents_as_were_asked_for() -> None:
    asked = {"query": "q", "documents": ["a", "b", "c"], "top_n": 2, "return_documents": True}
    sent, ear = Servers().asked("tei-native", RERANK, **asked)
    assert sent.body == {"query": "q", "texts": ["a", "b", "c"], "return_text": True}
    sent.whole(b'[{"index":0,"score":0.1,"text":"a"},{"index":2,"score":0.9,"text":"c"},{"index":1,"score":0.5}]')
    found = json.decode(ear.text)["results"]
    assert [(item["index"], item["document"]) for item in found] == [(2, {"text": "c"}), (1, {"text": "b"})]
    assert b"x-parley-dropped" not in ear.lines


@pytest.mark.parametrize("kind", [b"image/png", b"Image/PNG"])
def test_a_picture(kind: bytes) -> None:
    stage = Servers()
    sent, ear = stage.asked("huggingface-tasks", IMAGE, prompt="a cat", size="64x32", response_format="b64_json")
    assert where(sent)[1] == b"/models/m/1"
    assert sent.body == {"inputs": "a cat", "parameters": {"width": 64, "height": 32}}
    assert sent.lines[b"accept"] == b"image/png"
    sent.whole(PNG, headers=[(b"content-type", kind)])
    found = ImagesResponse.model_validate_json(ear.text)
    assert found.data is not None
    assert base64.b64decode(found.data[0].b64_json or "") == PNG
    stage.quiet()


def test_a_worker_of_a_node() -> None:
    worker = provider("superimage", "openai")
    stage = Stage(registration("pictures", f"{worker.name}/m-1", retries=Retries(1)), providers=(worker,))
    extensions = {"step": 4}
    asked = {"model": "pictures", "prompt": "a cat", "size": "64x32", "x-parley-extensions": extensions}
    _, ear = stage.ask_raw(json.encode(asked), IMAGE)
    (sent,) = stage.sent
    assert where(sent)[1] == b"/v1/images/generations"
    size = {"size": "64x32", "width": 64, "height": 32}
    assert sent.body == {"model": "m-1", "prompt": "a cat", "n": 1, **size, "step": 4}
    sent.whole(b'{"code":0,"created":7,"data":[{"b64_json":"AAAA"}]}')
    found = ImagesResponse.model_validate_json(ear.text)
    assert found.data is not None
    assert (found.created, found.data[0].b64_json) == (7, "AAAA")
    _, ear = stage.ask_raw(json.encode(asked), IMAGE)
    stage.sent[-1].whole(b'{"code":1007,"message":"out of memory"}')
    assert (ear.status, ear.error["message"]) == (502, "out of memory")


def test_a_picture_for_a_chat_is_none() -> None:
    sent, ear = Servers().asked("huggingface-tasks")
    sent.whole(PNG, headers=[(b"content-type", b"image/png")])
    assert (ear.status, ear.error["code"]) == (502, "upstream_bad_response")


def test_a_page_for_a_picture_is_none() -> None:
    sent, ear = Servers().asked("huggingface-tasks", IMAGE, prompt="a cat")
    sent.whole(b"<html>", headers=[(b"content-type", b"text/html")])
    assert (ear.status, ear.error["code"]) == (502, "upstream_bad_response")


def test_a_model_that_is_being_loaded() -> None:
    sent, ear = Servers().asked("huggingface-tasks", IMAGE, prompt="a cat")
    sent.whole(b'{"error":"Model m/1 is currently loading","estimated_time":20.2}', 503)
    assert ear.status == 503
    assert ear.lines[b"retry-after"] == b"21"


@pytest.mark.parametrize("name", ["../../admin", "m/../../admin", "m//1", "m/."])
def test_a_name_leads_nowhere_else(name: str) -> None:
    stage = Servers()
    sent, _ = stage.asked(f"huggingface-tasks/{name}")
    path = where(sent)[1]
    assert path.startswith(b"/models/")
    assert path.count(b"/") == 2


def test_extension_fields_find_their_places() -> None:
    extensions = {"negative_prompt": "dogs", "step": 4}
    sent, _ = Servers().asked("huggingface-tasks", IMAGE, prompt="a cat", **{"x-parley-extensions": extensions})
    assert sent.body["parameters"] == {"negative_prompt": "dogs", "num_inference_steps": 4}
    wanted = {"top_k": 5, "seed": 3, "repeat_penalty": 1.1, "typical_p": 0.9, "stopwords": ["x"]}
    sent, _ = Servers().asked("tgi-native", stop=["y"], **{"x-parley-extensions": wanted})
    parameters = sent.body["parameters"]
    assert {"top_k": 5, "seed": 3, "repetition_penalty": 1.1, "typical_p": 0.9}.items() <= parameters.items()
    assert parameters["stop"] == ["y", "x"]


def test_a_failure_of_the_model_may_be_tried_elsewhere() -> None:
    stage = Servers()
    stage = Stage(
        registration("both", "tgi-native/m", "kserve-infer/m", retries=Retries(2)),
        providers=(provider("tgi", "native"), provider("kserve", "infer")),
    )
    _, ear = stage.ask("both")
    stage.sent[0].whole(b'{"error":"Request failed during generation","error_type":"generation"}', 424, JSON)
    stage.clock.advance(2)
    assert len(stage.sent) == 2
    assert "inputs" in stage.sent[1].body
    stage.sent[1].whole(b'{"outputs":[{"name":"o","datatype":"BYTES","data":["hello"]}]}')
    assert ChatCompletion.model_validate_json(ear.text).choices[0].message.content == "hello"
