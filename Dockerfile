# syntax=docker/dockerfile:1
# docs/operations/image.md says what is in it, how to run it, and what of it was tried where there is no Docker.
FROM python:3.11-slim-bookworm AS build
COPY --from=ghcr.io/astral-sh/uv:0.13.9 /uv /bin/
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PROJECT_ENVIRONMENT=/opt/venv
WORKDIR /src
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --locked --no-dev --extra mcp --no-install-project
COPY docs/problems.md ./docs/
COPY src ./src
# Tags of git are not in here, so whoever builds a release says which: 1.2.3.
ARG PACKAGE_VERSION=0.1.0.dev0
ENV SETUPTOOLS_SCM_PRETEND_VERSION_FOR_SEGMENT_COPILOT=$PACKAGE_VERSION
RUN uv sync --locked --no-dev --extra mcp --no-editable

FROM python:3.11-slim-bookworm
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="segment-copilot" \
      org.opencontainers.image.description="Describe an audience in words; get a segment that is valid, counted and explained" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Nothing installs anything in there any more: no pip, no package that builds others.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin segment-copilot \
    && python -m pip uninstall --yes --quiet setuptools wheel pip
COPY --from=build /opt/venv /opt/venv
COPY deploy/image/healthy.py /opt/healthy.py
# Both processes answer probes, each on its own setting; in a container of its own either may have port 8000.
ENV PATH=/opt/venv/bin:$PATH HOST=0.0.0.0 PORT=8000 WORKER_PORT=8000 \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["python", "/opt/healthy.py"]
ENTRYPOINT ["segment-copilot"]
CMD ["serve"]
