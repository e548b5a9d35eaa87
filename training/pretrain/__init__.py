"""Training a small model from nothing: tokenizer, data, model, the loop."""
