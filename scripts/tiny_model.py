"""Writes a tiny chat model whose every answer is known: a real file for real servers, made by hand.

The weights are constructed, not trained. One transformer block over one-hot features: the output matrix says "after
piece t comes piece n(t)", so each answer is a chain, and one attention head looks back for a mode token that the chat
template puts at the start of the prompt and so chooses the chain. Standard library only; two runs give the same bytes.

Usage: python scripts/tiny_model.py OUT.gguf
"""

import hashlib
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

D = 128  # embedding length; 58 features and 6 mode dimensions fit
CONTEXT = 4096
FEED_FORWARD = 32
HEADS = 2
SLOW = 62  # coordinate of head 0 in the slowest rotary pair (interleaved pairing): position hardly turns it
ALIGN = 32

CONTROL = ("<|system|>", "<|user|>", "<|tool|>", "<|end|>", "<|assistant|>")
MODES = ("count", "loop", "call", "json", "think", "two")
CHAINS = {
    "hi": ("Hello", " from", " the", " tiny", " test", " model", "."),
    "count": (
        " one",
        " two",
        " three",
        " four",
        " five",
        " six",
        " seven",
        " eight",
        " nine",
        " ten",
        " eleven",
        " twelve",
    ),
    "loop": (" again", " and"),
    "call": (
        "<tool_call>\n",
        '{"name": "',
        "get_weather",
        '", "arguments": {"',
        "city",
        '": "',
        "Paris",
        '"}',
        "}\n",
        "</tool_call>",
    ),
    "json": ('{"answer"', ": ", "42", "} "),
    "think": ("<think>\n", "I", " should", " greet", ".\n", "</think>", "\n\n", "Greetings", "!"),
    "two": (
        "<tool_call>\n{",
        '"name": "get_weather",',
        ' "arguments":',
        ' {"city": "Oslo"}}',
        '\n</tool_call>\n<tool_call>\n{"name": "get_time"',
        ', "arguments": {"zone": "UTC"}}\n',
        "</tool_call>\n",
    ),
}

TEMPLATE = "".join(
    (
        "{%- set ns = namespace(last='', text='') -%}",
        "{%- for m in messages -%}{%- set ns.last = m['role'] -%}",
        "{%- if m['role'] == 'user' and m['content'] is string -%}{%- set ns.text = m['content'] -%}{%- endif -%}",
        "{%- endfor -%}",
        "{%- if ns.last == 'user' -%}",
        "{%- if tools and 'TWO' in ns.text -%}{{- '<|two|>' -}}",
        "{%- elif tools -%}{{- '<|call|>' -}}",
        "{%- elif 'COUNT' in ns.text -%}{{- '<|count|>' -}}",
        "{%- elif 'LOOP' in ns.text -%}{{- '<|loop|>' -}}",
        "{%- elif 'JSON' in ns.text -%}{{- '<|json|>' -}}",
        "{%- elif 'THINK' in ns.text -%}{{- '<|think|>' -}}",
        "{%- endif -%}{%- endif -%}",
        "{%- if tools -%}{{- '<|system|>' + (tools | tojson) + '<|end|>' -}}{%- endif -%}",
        "{%- for m in messages -%}",
        "{%- if m['role'] == 'assistant' -%}",
        "{{- '<|assistant|>' -}}",
        "{%- if m['reasoning_content'] -%}",
        "{{- '<think>\\n' + m['reasoning_content'] + '\\n</think>\\n\\n' -}}{%- endif -%}",
        "{%- if m['content'] -%}{{- m['content'] -}}{%- endif -%}",
        "{%- if m['tool_calls'] -%}{%- for c in m['tool_calls'] -%}",
        "{{- '<tool_call>\\n{\"name\": \"' + c['function']['name'] + '\", \"arguments\": ' -}}",
        "{%- if c['function']['arguments'] is string -%}{{- c['function']['arguments'] -}}",
        "{%- else -%}{{- c['function']['arguments'] | tojson -}}{%- endif -%}",
        "{{- '}\\n</tool_call>' -}}",
        "{%- endfor -%}{%- endif -%}",
        "{{- '<|end|>' -}}",
        "{%- else -%}",
        "{{- '<|' + m['role'] + '|>' + (m['content'] or '') + '<|end|>' -}}",
        "{%- endif -%}{%- endfor -%}",
        "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}",
    )
)


def vocabulary() -> list[tuple[str, int]]:
    """Pieces with their GGUF token types (1 normal, 2 unknown, 3 control, 6 byte); the index is the token id."""
    tokens = [("<unk>", 2), ("<s>", 3), ("</s>", 3)]
    tokens += [(f"<0x{byte:02X}>", 6) for byte in range(256)]
    tokens += [(word, 3) for word in CONTROL]
    tokens += [(f"<|{mode}|>", 3) for mode in MODES]
    tokens += [(piece, 1) for chain in CHAINS.values() for piece in chain]
    return tokens


class Matrix:
    """A mostly empty matrix: ``rows`` outputs by ``columns`` inputs."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.cells: dict[tuple[int, int], float] = {}

    def data(self) -> bytes:
        """Its cells as half floats, row after row."""
        out = bytearray(2 * self.rows * self.columns)
        for (row, column), value in self.cells.items():
            struct.pack_into("<e", out, 2 * (row * self.columns + column), value)
        return bytes(out)


def tensors(tokens: list[tuple[str, int]]) -> dict[str, Matrix | int]:
    """Every tensor by name; a vector of ones is given by its length."""
    ids = {piece: index for index, (piece, _) in enumerate(tokens)}
    featured = ["<|assistant|>", *(f"<|{mode}|>" for mode in MODES), *(p for chain in CHAINS.values() for p in chain)]
    dim = {piece: index for index, piece in enumerate(featured)}
    mode_dim = {mode: len(featured) + index for index, mode in enumerate(MODES)}
    embed, output = Matrix(len(tokens), D), Matrix(len(tokens), D)
    for piece, index in dim.items():
        embed.cells[ids[piece], index] = 1.0
    for name, chain in CHAINS.items():
        after = chain[0] if name == "loop" else "<|end|>"
        for piece, follower in zip(chain, (*chain[1:], after), strict=True):
            output.cells[ids[follower], dim[piece]] = 4.0
        output.cells[ids[chain[0]], dim["<|assistant|>"]] = 4.0 if name == "hi" else 3.0
        if name != "hi":
            output.cells[ids[chain[0]], mode_dim[name]] = 4.0
    query, key, value, mixed = (Matrix(D, D) for _ in range(4))
    query.cells[SLOW, dim["<|assistant|>"]] = 2.2
    for index, mode in enumerate(MODES):
        key.cells[SLOW, dim[f"<|{mode}|>"]] = 2.2
        value.cells[index, dim[f"<|{mode}|>"]] = 1.0
        mixed.cells[mode_dim[mode], index] = D**-0.5
    block = {
        "attn_norm": D,
        "ffn_norm": D,
        "attn_q": query,
        "attn_k": key,
        "attn_v": value,
        "attn_output": mixed,
        "ffn_gate": Matrix(FEED_FORWARD, D),
        "ffn_up": Matrix(FEED_FORWARD, D),
        "ffn_down": Matrix(D, FEED_FORWARD),
    }
    named: dict[str, Matrix | int] = {"token_embd.weight": embed, "output.weight": output, "output_norm.weight": D}
    return named | {f"blk.0.{name}.weight": tensor for name, tensor in block.items()}


def text(value: str) -> bytes:
    """A GGUF string: length, then bytes."""
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
SCALARS = {U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}


def scalar(kind: int, value: float | str) -> bytes:
    """One metadata value without its type."""
    return text(str(value)) if kind == STRING else struct.pack(SCALARS[kind], value)


def entry(key: str, kind: int, value: float | str) -> bytes:
    """One metadata entry."""
    return text(key) + struct.pack("<I", kind) + scalar(kind, value)


def array(key: str, kind: int, values: Iterable[float | str]) -> bytes:
    """One metadata entry that holds a list."""
    items = [scalar(kind, value) for value in values]
    return text(key) + struct.pack("<IIQ", ARRAY, kind, len(items)) + b"".join(items)


def metadata(tokens: list[tuple[str, int]]) -> list[bytes]:
    """What the file says of the model, its tokens and its template."""
    words = [piece.replace(" ", "\u2581") if kind == 1 else piece for piece, kind in tokens]
    scores = [-1000.0 - index if kind == 1 else 0.0 for index, (_, kind) in enumerate(tokens)]
    end = next(index for index, (piece, _) in enumerate(tokens) if piece == "<|end|>")
    return [
        entry("general.architecture", STRING, "llama"),
        entry("general.name", STRING, "tiny"),
        entry("general.file_type", U32, 1),
        entry("llama.context_length", U32, CONTEXT),
        entry("llama.embedding_length", U32, D),
        entry("llama.block_count", U32, 1),
        entry("llama.feed_forward_length", U32, FEED_FORWARD),
        entry("llama.attention.head_count", U32, HEADS),
        entry("llama.attention.head_count_kv", U32, HEADS),
        entry("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
        entry("llama.rope.dimension_count", U32, D // HEADS),
        entry("llama.rope.freq_base", F32, 1e9),
        entry("llama.vocab_size", U32, len(tokens)),
        entry("tokenizer.ggml.model", STRING, "llama"),
        entry("tokenizer.ggml.pre", STRING, "default"),
        array("tokenizer.ggml.tokens", STRING, words),
        array("tokenizer.ggml.scores", F32, scores),
        array("tokenizer.ggml.token_type", I32, [kind for _, kind in tokens]),
        entry("tokenizer.ggml.bos_token_id", U32, 1),
        entry("tokenizer.ggml.eos_token_id", U32, end),
        entry("tokenizer.ggml.unknown_token_id", U32, 0),
        entry("tokenizer.ggml.add_bos_token", BOOL, True),
        entry("tokenizer.ggml.add_space_prefix", BOOL, False),
        entry("tokenizer.chat_template", STRING, TEMPLATE),
    ]


def padded(data: bytes) -> bytes:
    """``data`` up to the next multiple of the alignment."""
    return data + bytes(-len(data) % ALIGN)


def gguf() -> bytes:
    """The whole file."""
    tokens = vocabulary()
    facts = metadata(tokens)
    index, data = [], b""
    for name, tensor in (named := tensors(tokens)).items():
        vector = isinstance(tensor, int)
        dims = (tensor,) if vector else (tensor.columns, tensor.rows)
        shape = struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
        index.append(text(name) + shape + struct.pack("<IQ", 0 if vector else 1, len(data)))
        data += padded(struct.pack("<f", 1.0) * tensor if vector else tensor.data())
    head = b"GGUF" + struct.pack("<IQQ", 3, len(named), len(facts))
    return padded(head + b"".join(facts) + b"".join(index)) + data


def main(arguments: list[str]) -> int:
    """Write the file named on the command line and say its digest."""
    if len(arguments) != 1:
        print("usage: python scripts/tiny_model.py OUT.gguf", file=sys.stderr)
        return 2
    content = gguf()
    Path(arguments[0]).write_bytes(content)
    print(f"{arguments[0]}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
