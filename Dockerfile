# syntax=docker/dockerfile:1.7
# One image for the worker and the API; the command decides which. How to pin the base by digest as well:
# docs/operations.md, "Pinning by digest".

ARG PYTHON=3.11.14-slim-bookworm

# --- build: everything that is needed only to install stays behind in this stage --------------------------------
FROM python:${PYTHON} AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /opt/avert
WORKDIR /src

# The dependencies change seldom and the program often: they are a layer of their own. Every file is checked
# against its hash, and nothing is compiled: all of them are wheels for this platform.
COPY requirements-build.lock requirements-run.lock ./
RUN python -m pip install --require-hashes --only-binary :all: -r requirements-build.lock \
    && python -m pip --python /opt/avert/bin/python install --require-hashes --only-binary :all: -r requirements-run.lock

# The program itself comes from the tree. Its dependencies are there, and so is what it is built with: nothing more
# is downloaded.
COPY pyproject.toml README.md ./
COPY streams ./streams
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m pip --python /opt/avert/bin/python install --no-deps /wheels/*.whl \
    && /opt/avert/bin/python -m compileall -q /opt/avert/lib

# --- run ---------------------------------------------------------------------------------------------------------
FROM python:${PYTHON} AS run

# An installer in a running container is a tool for whoever breaks in.
RUN python -m pip uninstall --yes pip setuptools wheel \
    && groupadd --gid 10001 avert \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin avert

COPY --from=build /opt/avert /opt/avert
COPY rules /rules

ENV PATH=/opt/avert/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    AVERT_RULES_DIR=/rules \
    AVERT_LOG_FORMAT=json \
    HEALTH_URL=http://127.0.0.1:8080/readyz

USER 10001:10001
WORKDIR /

# Of the API by default; the worker's service sets HEALTH_URL to its own port.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['HEALTH_URL'], timeout=2)"]

STOPSIGNAL SIGTERM
ENTRYPOINT ["avert"]
CMD ["api"]
