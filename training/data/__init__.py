"""Data to fine-tune on: read, judged, made up, converted, mixed. The format is OpenAI's fine-tuning JSONL."""
