# docker build -t trammel . && docker run -p 127.0.0.1:8000:8000 trammel
FROM python:3.11-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends build-essential cmake git && rm -rf /var/lib/apt/lists/*
# One image for many processors: AVX2 at most, and nothing of the build machine's own.
ARG CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON"
WORKDIR /app
RUN python -m venv /venv
COPY constraints.txt .
RUN CMAKE_ARGS="$CMAKE_ARGS" /venv/bin/pip install --no-cache-dir "$(grep '^llama-cpp-python' constraints.txt)"
COPY pyproject.toml README.md LICENSE ./
COPY server server
COPY grammars grammars
COPY training training
COPY evals evals
RUN /venv/bin/pip install --no-cache-dir --constraint constraints.txt .

FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home trammel
COPY --from=build /venv /venv
COPY models /models
ENV PATH=/venv/bin:$PATH TRAMMEL_HOST=0.0.0.0 TRAMMEL_MODEL=/models/trammel-tiny.gguf
USER trammel
WORKDIR /home/trammel
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"
CMD ["trammel", "serve"]
