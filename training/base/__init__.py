"""Checkpoints to train on: folders in Hugging Face's form, made from GGUF files where that is what there is."""
