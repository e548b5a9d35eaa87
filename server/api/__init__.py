"""HTTP: OpenAI's wire format in and out."""
