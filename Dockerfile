# statewise serve without torch: numpy, the kernels and the web server. docs/serve.md says how it is run.
FROM python:3.12-slim-bookworm AS build
# Which compiler, the distribution says.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ ninja-build \
    && rm -rf /var/lib/apt/lists/*
ARG EXTRA=serve
WORKDIR /source
COPY constraints.txt pyproject.toml CMakeLists.txt README.md CHANGELOG.md LICENSE ./
COPY src src
RUN python -m venv /opt/statewise \
    && /opt/statewise/bin/pip install --no-cache-dir --constraint constraints.txt ".[$EXTRA]"

FROM python:3.12-slim-bookworm
COPY --from=build /opt/statewise /opt/statewise
RUN useradd --system --uid 10001 --home-dir /var/lib/statewise --create-home statewise
ENV PATH=/opt/statewise/bin:$PATH PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
USER 10001:10001
WORKDIR /var/lib/statewise
VOLUME /var/lib/statewise
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health/ready', timeout=4)"]
ENTRYPOINT ["statewise", "serve", "--host", "0.0.0.0", "--port", "8000", "--states", "/var/lib/statewise/states"]
