# The image of mcproxy: Python, what mcproxy needs, and nothing else. docs/containers.md lists what is in it and how to run it.
# Pin the base by its digest: docker build --build-arg BASE=debian@sha256:... ; it is used for building alone.
ARG BASE=docker.io/library/debian:bookworm-slim


FROM ${BASE} AS build

# Nothing of these is kept, and they are the newest: a version named here would be gone after Debian's next update.
# hadolint ignore=DL3008
RUN apt-get update --quiet \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends \
        gcc libc6-dev python3.11-dev python3.11-venv \
    && rm -rf /var/lib/apt/lists/*

# Every file from PyPI has to have a hash that is listed. pure-sasl has no wheel there: it is built by the listed setuptools.
COPY requirements/build.txt /build/requirements/
RUN python3.11 -m venv /build/tools \
    && /build/tools/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps \
        --only-binary :all: --requirement /build/requirements/build.txt
COPY requirements/run.txt /build/requirements/
RUN /build/tools/bin/pip wheel --no-cache-dir --disable-pip-version-check --require-hashes --no-deps \
        --only-binary :all: --no-binary pure-sasl --use-pep517 --no-build-isolation \
        --wheel-dir /build/wheels --requirement /build/requirements/run.txt

COPY pyproject.toml hatch_build.py README.md LICENSE /build/source/
COPY mcproxy /build/source/mcproxy
COPY deploy/completion /build/source/deploy/completion
COPY deploy/man /build/source/deploy/man
RUN MCPROXY_COMPILE=1 /build/tools/bin/pip wheel --no-cache-dir --disable-pip-version-check --no-deps --no-index \
        --no-build-isolation --wheel-dir /build/wheels /build/source

RUN python3.11 -m venv --without-pip /opt/mcproxy \
    && /build/tools/bin/pip --python /opt/mcproxy/bin/python install --disable-pip-version-check --no-cache-dir \
        --no-deps --no-index --no-compile /build/wheels/*.whl \
    && find /opt/mcproxy/bin -type f ! -name mcproxy -delete \
    && rm -r /opt/mcproxy/share


FROM ${BASE} AS root

COPY requirements/debian.txt /build/requirements/
COPY deploy/image/assemble /build/deploy/image/
RUN apt-get update --quiet && /build/deploy/image/assemble /image && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/mcproxy /image/opt/mcproxy
# Nothing can be written at run time, so all of it is compiled to byte code here. Times of the build would make no two
# images alike.
ARG SOURCE_DATE_EPOCH=0
RUN chroot /image /usr/bin/python3.11 -m compileall -q --invalidation-mode unchecked-hash \
        /usr/lib/python3.11 /opt/mcproxy/lib \
    && find /image -newermt "@${SOURCE_DATE_EPOCH}" -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +


FROM scratch

COPY --from=root /image /

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mcproxy" \
    org.opencontainers.image.description="An authenticating TLS/SASL proxy in front of memcached" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"

ENV PATH=/opt/mcproxy/bin:/usr/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUTF8=1

USER 10001:10001
WORKDIR /var/lib/mcproxy
# Clients, as in deploy/compose, and the admin port. Neither is published by this.
EXPOSE 11211 9156
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=15s --retries=3 CMD ["/opt/mcproxy/bin/mcproxy", "health"]
ENTRYPOINT ["/opt/mcproxy/bin/mcproxy"]
CMD ["run"]
