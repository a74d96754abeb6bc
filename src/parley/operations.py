"""What can be asked of a model: the operations, their paths on OpenAI's surface, and what else can carry them.

Sources: product contract section 2; OpenAI surface contract section 2 (operationIds).
"""

from msgspec import Struct


class Operation(Struct, frozen=True):
    """One operation. ``id`` is its operationId, ``path`` its place below OpenAI's /v1, ``form`` a multipart request.

    ``carriers`` are a provider's operations that can answer it, best first; all but itself need translation.
    ``model`` is asked for where the request names none, "" where it must.
    """

    name: str
    id: str
    path: str
    form: bool = False
    carriers: tuple[str, ...] = ()
    model: str = ""


_PICTURES = "dall-e-2"
OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation("chat", "createChatCompletion", "/chat/completions", carriers=("chat", "responses")),
        Operation("completions", "createCompletion", "/completions", carriers=("completions", "chat")),
        Operation("responses", "createResponse", "/responses", carriers=("responses", "chat")),
        Operation("embeddings", "createEmbedding", "/embeddings", carriers=("embeddings",)),
        Operation(
            "image_generation", "createImage", "/images/generations", carriers=("image_generation",), model=_PICTURES
        ),
        Operation(
            "image_edit", "createImageEdit", "/images/edits", form=True, carriers=("image_edit",), model=_PICTURES
        ),
        Operation(
            "image_variation",
            "createImageVariation",
            "/images/variations",
            form=True,
            carriers=("image_variation",),
            model=_PICTURES,
        ),
        Operation("speech", "createSpeech", "/audio/speech", carriers=("speech",)),
        Operation(
            "transcription", "createTranscription", "/audio/transcriptions", form=True, carriers=("transcription",)
        ),
        Operation("translation", "createTranslation", "/audio/translations", form=True, carriers=("translation",)),
        Operation(
            "moderation", "createModeration", "/moderations", carriers=("moderation",), model="omni-moderation-latest"
        ),
        Operation("rerank", "createRerank", "/rerank", carriers=("rerank",)),
    )
}


def operation_of(name: str) -> str | None:
    """The operation meant by its name or its operationId (any case of the first letter); None where none is."""
    if name in OPERATIONS:
        return name
    lowered = name[:1].lower() + name[1:]
    return next((operation.name for operation in OPERATIONS.values() if operation.id == lowered), None)
