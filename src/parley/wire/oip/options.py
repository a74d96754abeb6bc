"""What an operator may say of a model behind these wires, below ``options`` of its provider.

``template``    how a conversation becomes one text
``input``       the tensor that takes the text (V1: the member of an instance; none: the instance is the text)
``output``      the tensor that holds the answer (none: the only one that is text); in V1 the member of a prediction
``shape``       of the input: [1] or [1, 1]
``parameters``  settings, by OpenAI's names, that the server takes among the request's parameters beside the usual
``body``        of the generate extension: ``generate``, or ``infer`` for servers that take and answer tensors there
``flat``        parameters stand beside the text, not in an object of their own
``cumulative``  every event of a stream holds all the text so far
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from parley.wire.plain_prompt import Template

Name: TypeAlias = Annotated[str, Meta(min_length=1)]
One: TypeAlias = Annotated[int, Meta(ge=1, le=1)]
Shape: TypeAlias = Annotated[tuple[One, ...], Meta(min_length=1, max_length=4)]
# Plain values only: parameters of the protocol are no lists.
Setting: TypeAlias = Literal[
    "temperature", "top_p", "top_k", "max_tokens", "seed", "presence_penalty", "frequency_penalty", "user"
]


class InferOptions(Struct, frozen=True):
    """Of V2 infer."""

    template: Template = Template()
    input: Name = "text"
    output: Name | None = None
    shape: Shape = (1,)
    parameters: tuple[Setting, ...] = ()


class GenerateOptions(InferOptions, frozen=True):
    """Of the generate extension; tensors only where ``body`` is infer."""

    body: Literal["generate", "infer"] = "generate"
    flat: bool = False
    cumulative: bool = False


class PredictOptions(Struct, frozen=True):
    """Of V1 predict."""

    template: Template = Template()
    input: Name | None = None
    output: Name | None = None
    parameters: tuple[Setting, ...] = ()
