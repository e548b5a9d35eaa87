# make serve: install what is missing and serve the default model. make test: everything CI checks.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: serve test lint types floors tests clients fuzz explore format bench bench-retrieval bench-grammars eval eval-promise case-study dialects clean

serve: $(VENV)/.serve
	$(BIN)/trammel serve $(ARGS)

test: lint types floors tests

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

floors: $(VENV)/.dev
	$(BIN)/lint-imports --no-cache

tests: $(VENV)/.dev
	$(BIN)/pytest --numprocesses auto $(ARGS)

# Real clients against a real server: Agents SDK, pydantic-ai, instructor, LiteLLM, LangChain; where there is npm,
# openai-node and Vercel's AI SDK. They leave sockets open.
clients: $(VENV)/.dev
	$(BIN)/pip install --quiet --constraint constraints.txt --constraint tests/clients/constraints.txt --editable '.[clients]'
	if command -v npm >/dev/null; then scripts/node_clients.sh; fi
	$(BIN)/pytest tests/clients $(ARGS)

# Random requests made from our own OpenAPI document, to a server of their own: no 5xx, no hang, nothing undescribed.
CASES ?= 5000
fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.contract.fuzz --cases $(CASES) $(ARGS)

# The laws on thousands of new random cases, where `make tests` always takes the same few hundred.
explore: $(VENV)/.dev
	$(BIN)/pytest tests/grammars --hypothesis-profile explore --timeout 0 $(ARGS)

# Needs the data sets (TRAMMEL_DATA); SAMPLE=1 takes all schemas, and the better part of an hour.
SAMPLE ?= 12
bench-grammars: $(VENV)/.dev
	$(BIN)/python -m benchmarks.grammars --sample $(SAMPLE) --failures 20 $(ARGS) \
		--vocabulary "$$(scripts/llama_sources.sh $(VENV))/models/ggml-vocab-qwen2.gguf"

# Builds the peers on first use (a quarter of an hour), then takes about ten minutes. ARGS="--only free-1 --rounds 5".
bench: $(VENV)/.dev
	$(BIN)/pip install --quiet 'matplotlib>=3.9,<4'
	$(BIN)/python -m benchmarks.serving $(ARGS)

# How many of the right tools are found among 500 and 4,076, and how fast among 50,000. Needs the data sets (TRAMMEL_DATA).
bench-retrieval: $(VENV)/.dev
	$(BIN)/python -m benchmarks.retrieval --embeddings "$$(scripts/embedding_model.sh $(VENV))" $(ARGS)

# Our model with and without its grammar, an adapter of it (ADAPTER=file.gguf), and llama-server where its binary is found,
# over our own scenarios and whatever public data there are (TRAMMEL_DATA): one table, and runs/eval/report.html.
SUITES ?= scenarios tasks sgd bfcl seal-tools schema chat
LIMIT ?= 150
eval: $(VENV)/.dev
	scripts/eval.sh $(BIN) "$(SUITES)" $(LIMIT) $(ARGS)

# The promise, counted: more than 2,000 calls that are required, at temperature 1.
eval-promise: SUITES = scenarios
eval-promise: $(VENV)/.dev
	LLAMA_SERVER= OUTPUT=runs/eval-promise scripts/eval.sh $(BIN) "$(SUITES)" $(LIMIT) \
		--choice required --temperature 1 --seeds 16 --grammar on --max-tokens 256 $(ARGS)

# A tool set that no model has seen: what fine-tuning gains on it and what it forgets. Needs the chat data (TRAMMEL_DATA).
case-study: $(VENV)/.dev
	$(BIN)/python -m benchmarks.case_study $(ARGS)

# What each chat template in llama.cpp's sources gets: derived, named or generic.
dialects: $(VENV)/.dev
	$(BIN)/trammel dialect "$$(scripts/llama_sources.sh $(VENV))/models/templates" $(ARGS)

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.engine: constraints.txt scripts/install_engine.sh | $(BIN)/python
	scripts/install_engine.sh $(VENV)
	touch $@

$(VENV)/.serve: pyproject.toml constraints.txt $(VENV)/.engine
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.engine
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,eval,train]'
	touch $@
