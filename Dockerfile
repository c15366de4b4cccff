# Two images: `broker` is the broker and the command, `samples` adds the sample plugins.
#
#   docker build --target broker --tag plexica-bus .
#   docker build --target samples --tag plexica-bus-samples .

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# --- A virtual environment with the locked dependencies and the project's own wheel ---
FROM ${PYTHON_IMAGE} AS build

# UV_SYSTEM_CERTS: trust whom the image trusts; behind a company's proxy that is more than uv's own list.
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/plexica \
    UV_PYTHON_DOWNLOADS=never \
    UV_SYSTEM_CERTS=1

RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check 'uv>=0.5'

WORKDIR /src
# Dependencies first: they change less often than the code, and this layer is kept as long as the lock is the same.
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv sync --quiet --frozen --no-dev --extra cli --no-install-project

COPY LICENSE README.md ./
COPY contracts contracts
COPY plugin_runtime plugin_runtime
COPY broker broker
RUN /opt/uv/bin/uv build --quiet --wheel --out-dir /dist \
    && /opt/uv/bin/uv pip install --quiet --python /opt/plexica --no-deps /dist/*.whl

# --- What runs: no compiler, no pip of ours, no source tree, no root ---
FROM ${PYTHON_IMAGE} AS broker

# The user owns the folder of the store and nothing else.
RUN groupadd --gid 10001 plexica \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home \
        --home-dir /var/lib/plexica --shell /usr/sbin/nologin plexica \
    && install --directory --owner plexica --group plexica --mode 0750 /var/lib/plexica
COPY --from=build /opt/plexica /opt/plexica

ENV PATH=/opt/plexica/bin:$PATH \
    PLEXICA_STORE=/var/lib/plexica/broker.db \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER plexica
WORKDIR /var/lib/plexica
CMD ["plexica", "broker"]

# --- The same, with plugins to look at ---
FROM broker AS samples

COPY examples /opt/samples/examples
WORKDIR /opt/samples
CMD ["python", "-m", "examples.crm"]
