# Nothing is compiled, and nothing comes whose hash is not written down.
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY requirements requirements
RUN python -m pip install --no-cache-dir --only-binary=:all: --require-hashes --requirement requirements/build.txt \
 && python -m venv --without-pip /opt/mailcollector \
 && python -m pip --python /opt/mailcollector/bin/python install --no-cache-dir --only-binary=:all: --require-hashes \
    --requirement requirements/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY reconciler reconciler
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /tmp/built . \
 && python -m pip --python /opt/mailcollector/bin/python install --no-cache-dir --no-deps /tmp/built/*.whl \
 && python -m compileall -q /opt/mailcollector/lib

FROM python:3.13-slim-bookworm
# A fixed number, so that the owner of mounted volumes can be set from outside.
RUN groupadd --gid 10001 mailcollector \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/mailcollector --shell /usr/sbin/nologin mailcollector \
 && install -d -o mailcollector -g mailcollector -m 0700 /var/lib/mailcollector \
 && install -d /etc/mailcollector/collectors.d
COPY --from=build /opt/mailcollector /opt/mailcollector
ENV PATH=/opt/mailcollector/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MAILCOLLECTOR_STATE_DIR=/var/lib/mailcollector
USER 10001:10001
WORKDIR /var/lib/mailcollector
# The ledger and, where no Destination is declared, the mail; and the manifests, which may be mounted read-only.
VOLUME ["/var/lib/mailcollector", "/etc/mailcollector/collectors.d"]
STOPSIGNAL SIGTERM
# The daemon's own word on its control loop: a failing mailbox does not make it unhealthy.
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["mailcollector", "health"]
ENTRYPOINT ["mailcollector"]
CMD ["run", "/etc/mailcollector/collectors.d"]
