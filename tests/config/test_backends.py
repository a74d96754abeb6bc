"""Names of backends and kinds of weights: what runs, what is refused, and with which reason."""

from pathlib import Path

import pytest

from parley.config.backends import ENGINE_FIELDS, SHAPING_FIELDS, backend_problem, weights_problem
from parley.extensions import FIELDS

RUNS = ["llama", "llama.cpp", "llama-cpp", "ggml", "gpt4all-j", "gptj", "gpt4all-llama", "gpt4all-mpt", "stablelm"]
RUNS += ["dolly", "redpajama", "falcon", "starcoder", "replit", "mpt", "bloomz", "gptneox", "LLAMA", "llama_cpp"]


@pytest.mark.parametrize("name", RUNS)
def test_names_of_the_llama_family_run(name: str) -> None:
    assert backend_problem(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("whisper", "transcribes speech"),
        ("stablediffusion", "makes images"),
        ("piper", "makes speech"),
        ("bert-embeddings", "`embeddings: true`"),
        ("rwkv", "RWKV models that were converted to GGUF run"),
        ("vllm", "name it as a provider"),
        ("Silero_VAD", "finds speech"),
    ],
)
def test_others_are_refused_by_name_with_the_reason(name: str, reason: str) -> None:
    problem = backend_problem(name)
    assert problem is not None
    assert problem.startswith(f"the backend {name!r} is not available: ")
    assert reason in problem


def test_an_unknown_name_is_told_what_runs() -> None:
    assert backend_problem("lama") == "there is no backend 'lama'; GGUF models run with `backend: llama`"


FILES = [
    (b"GGUF\x03\0\0\0", None),
    (b"GGUF\x02\0\0\0", None),
    (b"GGUF\x01\0\0\0", "GGUF version 1"),
    (b"GGUF\0\0\0\x03", "big-endian"),
    (b"GGUF", "the download broke off"),
    (b"", "the file is empty"),
    (b"lmgg\0\0\0\0", "an old GGML file (ggml, before GGUF)"),
    (b"fmgg\x01\0\0\0", "an old GGML file (ggmf"),
    (b"tjgg\x03\0\0\0", "an old GGML file (ggjt"),
    (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    (b"PK\x03\x04rest", "PyTorch checkpoint"),
    (b"<!DOCTYPE html>", "web page"),
    (b"\x10\0\0\0\0\0\0\0" + b'{"__metadata__"', "safetensors"),
    (b"plain text", "it is not a GGUF file"),
]


@pytest.mark.parametrize(("start", "words"), FILES)
def test_the_first_bytes_tell_what_a_file_is(tmp_path: Path, start: bytes, words: str | None) -> None:
    path = tmp_path / "m"
    path.write_bytes(start + (b"\0" * 64 if len(start) > 4 else b""))
    problem = weights_problem(path)
    assert problem is None if words is None else words in str(problem)


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    assert weights_problem(tmp_path / "none") == "there is no such file"
    assert weights_problem(tmp_path) == "it is a folder; name the GGUF file in it"


def test_the_fields_that_are_carried_out_are_fields_of_the_extension_object() -> None:
    assert FIELDS.keys() >= ENGINE_FIELDS | SHAPING_FIELDS
    assert ENGINE_FIELDS.isdisjoint(SHAPING_FIELDS)
