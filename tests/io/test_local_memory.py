"""What a model's file says of it, how much memory it will take, and how much there is."""

import struct
from pathlib import Path
from typing import Any

import pytest

from parley.io.local import memory
from parley.io.local.gguf import HeaderError, about, context, header
from parley.io.local.process import last_words, without_paths
from parley.settings import Engine

SHAPE: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.block_count": 4,
    "llama.embedding_length": 256,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": [0, 2, 2, 2],
    "llama.context_length": 32768,
    "general.scale": 0.5,
    "general.open": True,
}


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def written(value: Any) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    return struct.pack("<IIQ", 9, 4, len(value)) + b"".join(struct.pack("<I", item) for item in value)


def gguf(path: Path, facts: dict[str, Any], keys: int | None = None, rest: bytes = b"") -> str:
    start = struct.pack("<4sIQQ", b"GGUF", 3, 0, len(facts) if keys is None else keys)
    path.write_bytes(start + b"".join(text(key) + written(value) for key, value in facts.items()) + rest)
    return str(path)


def test_the_head_is_read_up_to_the_vocabulary(tmp_path: Path) -> None:
    path = gguf(tmp_path / "m.gguf", {**SHAPE, "tokenizer.ggml.model": "llama"}, keys=99, rest=b"what no reader knows")
    found = header(path)
    assert found == {**SHAPE, "llama.attention.head_count_kv": 2}
    assert (about(found, "block_count"), about(found, "pooling_type")) == (4, None)


@pytest.mark.parametrize("size", [3, 20, 30, 60])
def test_a_head_that_is_cut_off_is_told(tmp_path: Path, size: int) -> None:
    path = gguf(tmp_path / "m.gguf", SHAPE)
    Path(path).write_bytes(Path(path).read_bytes()[:size])
    with pytest.raises(HeaderError):
        header(path)


def test_sizes_that_no_model_has_are_not_believed(tmp_path: Path) -> None:
    with pytest.raises(HeaderError):
        header(gguf(tmp_path / "m.gguf", {}, keys=1 << 40))
    (tmp_path / "n.gguf").write_bytes(struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, 1 << 40))
    with pytest.raises(HeaderError):
        header(str(tmp_path / "n.gguf"))


@pytest.mark.parametrize(
    ("said", "asked", "tokens"),
    [
        ({}, None, 4096),
        (SHAPE, None, 8192),
        ({**SHAPE, "llama.context_length": 512}, None, 512),
        (SHAPE, 20000, 20000),
    ],
)
def test_context_is_bounded_unless_asked_for(said: dict[str, Any], asked: int | None, tokens: int) -> None:
    assert context(said, asked) == tokens


def test_the_cache_is_counted_for_every_slot(tmp_path: Path) -> None:
    path = gguf(tmp_path / "m.gguf", {**SHAPE, "llama.attention.head_count_kv": 2})
    engine = Engine(model=path, context_size=1000, parallel=3)
    # tokens x layers x heads kept x (key + value width) x bytes
    assert memory.cache(engine, header(path)) == 3000 * 4 * 2 * (32 + 32) * 2
    assert memory.cache(engine, {}) == 0


def test_all_files_of_a_model_are_weighed(tmp_path: Path) -> None:
    parts = [tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    for number, path in enumerate(parts, 1):
        path.write_bytes(b"x" * 1000 * number)
    (tmp_path / "m-00001-of-00003.gguf").write_bytes(b"another")
    (tmp_path / "eyes").write_bytes(b"x" * 50)
    (tmp_path / "lora").write_bytes(b"x" * 7)
    engine = Engine(model=str(parts[0]), mmproj=str(tmp_path / "eyes"), lora=((str(tmp_path / "lora"), 1.0),))
    assert memory.needed(engine) == 3057 + memory.OVERHEAD


def test_what_is_free_is_the_least_of_machine_and_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    2048 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", str(tmp_path / "meminfo"))
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert memory.available() == 2048 * 1024
    for name, content in (("max", "1000000"), ("current", "900000"), ("stat", "anon 5\ninactive_file 300\n")):
        (tmp_path / f"memory.{name}").write_text(content)
    assert memory.available() == 100300
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available() == 2048 * 1024


def test_a_system_that_does_not_say_is_not_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MEMINFO", str(tmp_path / "none"))
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert memory.available() is None


def test_sizes_in_words() -> None:
    assert [memory.words(size) for size in (331936, 4_100_000_000)] == ["0.3 MB", "4.1 GB"]


TOLD = """\
0.00.007.836 E common_fit_params: encountered an error while trying to fit params: failed to load model
0.00.008.021 E llama_model_load: error loading model: tensor 'output.weight' data is not within the file bounds
0.00.008.034 E llama_model_load_from_file_impl: failed to load model
0.00.008.042 E cmn  common_init_: failed to load model '/srv/u/cut.gguf'
0.00.008.309 E srv          init: exiting due to model loading error""".splitlines()


@pytest.mark.parametrize(
    ("lines", "status", "words"),
    [
        (TOLD, 1, "tensor 'output.weight' data is not within the file bounds"),
        (TOLD[2:4], 1, "failed to load model"),
        (["0.1 I srv init: loading model"], 1, "its process ended with status 1"),
        (TOLD, -6, "its process was ended by signal 6"),
        ([], -9, "its process was ended by signal 9, perhaps for want of memory"),
    ],
)
def test_the_last_words_are_the_cause(lines: list[str], status: int, words: str) -> None:
    assert last_words(lines, status) == words


def test_names_of_files_are_left_out() -> None:
    said = "failed to open '/srv/my models/x.gguf' (No such file): a/b, http://h/p"
    assert without_paths(said) == "failed to open (file) (No such file): a/b, http://h/p"
