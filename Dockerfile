# Nothing is compiled, and nothing comes whose hash is not written down, but for Debian's signed packages.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS python
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/log/*
# A fixed number, so that the owner of mounted volumes can be set from outside.
RUN groupadd --gid 10001 mailcollector \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/mailcollector --shell /usr/sbin/nologin mailcollector \
 && install -d -o mailcollector -g mailcollector -m 0700 /var/lib/mailcollector \
 && install -d /etc/mailcollector/collectors.d

FROM python AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv
WORKDIR /src
COPY requirements requirements
# Behind a proxy: `docker build --secret id=pip.conf,src=FILE --secret id=ca.crt,src=FILE`, and there cert = /run/secrets/ca.crt.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    python3 -m venv /opt/build \
 && /opt/build/bin/python -m pip install --no-cache-dir --only-binary=:all: --require-hashes --requirement requirements/build.txt \
 && python3 -m venv --without-pip /opt/mailcollector \
 && /opt/build/bin/python -m pip --python /opt/mailcollector/bin/python install --no-cache-dir --no-compile \
    --only-binary=:all: --require-hashes --requirement requirements/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY reconciler reconciler
RUN /opt/build/bin/python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /tmp/built . \
 && /opt/build/bin/python -m pip --python /opt/mailcollector/bin/python install --no-cache-dir --no-compile --no-deps /tmp/built/*.whl \
 && find /opt/mailcollector/lib -type d \( -name tests -o -path '*/sqlalchemy/testing' -o -path '*/alembic/testing' \) -prune -exec rm -rf {} + \
 && python3 -m compileall -q /opt/mailcollector/lib

FROM python
COPY --from=build /opt/mailcollector /opt/mailcollector
# What manifests may name. It stands where those who write them cannot write; mount another one over it.
COPY deploy/policy.yaml /etc/mailcollector/policy.yaml
ENV PATH=/opt/mailcollector/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MAILCOLLECTOR_STATE_DIR=/var/lib/mailcollector \
    MAILCOLLECTOR_POLICY=/etc/mailcollector/policy.yaml
USER 10001:10001
WORKDIR /var/lib/mailcollector
# The ledger and, where no Destination is declared, the mail; and the manifests, which may be mounted read-only.
VOLUME ["/var/lib/mailcollector", "/etc/mailcollector/collectors.d"]
STOPSIGNAL SIGTERM
# The daemon's own word on its control loop: a failing mailbox does not make it unhealthy.
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["mailcollector", "health"]
ENTRYPOINT ["mailcollector"]
CMD ["run", "/etc/mailcollector/collectors.d"]
