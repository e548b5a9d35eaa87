"""OpenAPI documents as tools: read within bounds, dereferenced, and each operation made one flat schema for the model.

`read_document` → `read_operations` → `Operation`, which the gateway can write as a request. Nothing here sends.
"""
