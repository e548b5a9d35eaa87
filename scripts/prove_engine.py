"""Proves that this build of llama.cpp decodes here: a prompt of 128 tokens, in a child process.

A build for instructions that the machine announces but doesn't have dies by a signal, which no `try` can catch.
usage: prove_engine.py MODEL.gguf
"""

import signal
import subprocess
import sys

_CHILD = """
import sys
import llama_cpp.llama_cpp as llama

llama.llama_backend_init()
model = llama.llama_model_load_from_file(sys.argv[1].encode(), llama.llama_model_default_params())
assert model, "the model can't be loaded"
params = llama.llama_context_default_params()
params.n_ctx = 512
context = llama.llama_init_from_model(model, params)
tokens = (llama.llama_token * 128)(*range(10, 138))
assert llama.llama_decode(context, llama.llama_batch_get_one(tokens, 128)) == 0, "llama_decode failed"
assert llama.llama_get_logits(context)[0] == llama.llama_get_logits(context)[0], "the logits are NaN"
"""


def main() -> int:
    child = subprocess.run([sys.executable, "-c", _CHILD, sys.argv[1]], capture_output=True, text=True, timeout=300)
    if child.returncode == 0:
        print("llama.cpp decodes 128 tokens: the engine works")
        return 0
    if child.returncode < 0:
        print(f"llama.cpp was killed by {signal.Signals(-child.returncode).name} while decoding 128 tokens")
    else:
        print(f"llama.cpp can't decode: {child.stderr.strip().splitlines()[-1:]}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
