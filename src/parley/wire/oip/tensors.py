"""Tensors of text, as JSON: written, and read whatever their shape.

Data is flat or nested; of a server's answer absent members may be null, and the shape [n] or [n, 1].
"""

from collections.abc import Iterator
from typing import Any, Final

from parley.ir import ChatRequest
from parley.wire.flat_error import bad_shape
from parley.wire.oip.options import InferOptions

_TEXT: Final = "BYTES"


def infer_body(options: InferOptions, texts: list[str], parameters: dict[str, Any]) -> dict[str, Any]:
    """The body of an infer request that holds these texts."""
    shape = [len(texts), *options.shape[1:]]
    tensor = {"name": options.input, "shape": shape, "datatype": _TEXT, "data": texts}
    body: dict[str, Any] = {"inputs": [tensor]}
    if parameters:
        body["parameters"] = parameters
    if options.output is not None:
        body["outputs"] = [{"name": options.output}]
    return body


def settings_of(request: ChatRequest, names: tuple[str, ...]) -> dict[str, Any]:
    """Those settings of the request that it has, by OpenAI's names."""
    return {name: value for name in names if (value := getattr(request, name)) is not None}


def texts_of(answer: Any, output: str | None) -> tuple[str, ...]:
    """The texts of an infer answer: of the tensor named ``output``, else of the one that is text. Raises
    ``upstream_bad_response`` (bad_shape)."""
    texts = tuple(flat(tensor_of(answer, output, (_TEXT,)).get("data")))
    if not texts or not all(isinstance(text, str) for text in texts):
        raise bad_shape("text: a tensor holds no strings")
    return texts


def tensor_of(answer: Any, output: str | None, kinds: tuple[str, ...]) -> dict[str, Any]:
    """The tensor of that name, which must be of one of these datatypes; without a name the only one that is."""
    outputs = answer.get("outputs") if isinstance(answer, dict) else None
    if not isinstance(outputs, list) or not all(isinstance(tensor, dict) for tensor in outputs):
        raise bad_shape("a list of tensors")
    if output is not None:
        found = [tensor for tensor in outputs if tensor.get("name") == output]
        what = f"one with a tensor {output!r}"
    else:
        found = [tensor for tensor in outputs if tensor.get("datatype") in kinds]
        what = f"one with a single tensor of {kinds[0]} (its name can be set by the provider's option output)"
    if len(found) != 1:
        raise bad_shape(what)
    tensor: dict[str, Any] = found[0]
    if tensor.get("datatype") not in kinds:
        raise bad_shape(f"{kinds[0]}: the tensor {str(tensor.get('name'))!r} holds {str(tensor.get('datatype'))[:20]}")
    return tensor


def flat(data: Any) -> Iterator[Any]:
    """The elements of a tensor's data, row by row."""
    pending = [data]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending += reversed(item)
        else:
            yield item


def name_of(answer: Any) -> str:
    """The model that says it answered, "" where none does."""
    name = answer.get("model_name") if isinstance(answer, dict) else None
    return name if isinstance(name, str) else ""
