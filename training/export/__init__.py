"""From a Hugging Face checkpoint to a GGUF file that is proven to compute the same."""
