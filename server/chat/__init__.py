"""Messages and tools to prompt and grammar, and generated text back to messages."""
