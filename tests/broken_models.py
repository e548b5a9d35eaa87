"""Model files with faults inside, made from the model that ships with the `gguf` package."""

from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter

_NAN = np.frombuffer(np.float16(np.nan).tobytes(), dtype=np.uint8)


def write_with_nan_token(source: Path, target: Path, token: int) -> Path:
    """The same model, but reading one token makes numbers of its KV and logits that are none.

    The embedding of that token gets NaN as the scale of its first Q8_0 block; the output matrix, which the model shares
    with its embeddings, is written out on its own, so that prompts without the token compute what they always did.
    """
    reader = GGUFReader(source)
    writer = GGUFWriter(target, "llama")
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            kind, *inner = field.types
            writer.add_key_value(field.name, field.contents(), kind, inner[-1] if kind == GGUFValueType.ARRAY else None)
    for tensor in reader.tensors:
        data = np.array(tensor.data)
        if tensor.name == "token_embd.weight":
            writer.add_tensor("output.weight", data.copy(), raw_dtype=tensor.tensor_type)
            data[token, :2] = _NAN
        writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
