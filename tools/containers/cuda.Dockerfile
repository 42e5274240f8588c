# All of hifa, training on CUDA too (docs/containers.md). torch's wheels bring CUDA: the host needs the driver and the
# NVIDIA container toolkit alone.
#   docker build -f tools/containers/cuda.Dockerfile -t hifa:cuda .
#   docker run --gpus all …
FROM debian:bookworm-20250520-slim AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/hifa
COPY pyproject.toml README.md LICENSE /src/
COPY hifa_cli /src/hifa_cli
RUN /opt/hifa/bin/pip install --no-cache-dir /src

FROM debian:bookworm-20250520-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 hifa \
    && install -d -o hifa -g hifa /data
COPY --from=build /opt/hifa /opt/hifa
ENV PATH=/opt/hifa/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    HIFA_TOKEN=random
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8321
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-I", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8321/health', timeout=4)"]
ENTRYPOINT ["hifa"]
CMD ["serve", "gallery", "--host", "0.0.0.0"]
