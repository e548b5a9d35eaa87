"""From tool definitions to a served adapter, measured: `python -m benchmarks.case_study`.

What a model gains by fine-tuning on a tool set it has never seen, and what it forgets, with 0, 25 and 50 % general
chat.
"""
