"""Other people's forms of tool-use data, to and from OpenAI's fine-tuning lines."""
