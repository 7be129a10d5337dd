# The operator, and the simulated ESA beside it. Nothing here depends on the architecture.
#
#   docker build --build-arg BASE=docker.io/library/debian:13-slim@sha256:… --build-arg VERSION=… --build-arg REVISION=… .
#
# A release names the base by its digest. The tag is the default only because a digest in this file would keep a build from
# the base's security updates until somebody edits it.
# A base that has Python 3.13 (with venv) and certificates already is taken as it is.
# Without a package registry: put the wheels into the folder `wheels` and add
#   --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=/source/wheels
ARG BASE=docker.io/library/debian:13-slim

# --- what both stages stand on: the same interpreter, at the same path -----------------------------------------------
FROM ${BASE} AS python
# The base says which versions there are, and a release pins the base.
# hadolint ignore=DL3008
RUN { python3 -c 'import ssl, sys; sys.exit(sys.version_info[:2] != (3, 13))' && [ -s /etc/ssl/certs/ca-certificates.crt ]; } 2>/dev/null \
 || { apt-get update && apt-get install --yes --no-install-recommends python3 ca-certificates && rm -rf /var/lib/apt/lists/*; }
# Who asks for the name of the user that runs the process must find one.
RUN getent passwd 65532 >/dev/null \
 || { echo 'esa:x:65532:' >> /etc/group && echo 'esa:x:65532:65532::/nonexistent:/usr/sbin/nologin' >> /etc/passwd; }

# --- the virtualenv, with neither pip nor sources in it -------------------------------------------------------------------
FROM python AS build
# hadolint ignore=DL3008
RUN python3 -c 'import ensurepip' 2>/dev/null \
 || { apt-get update && apt-get install --yes --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*; }
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ONLY_BINARY=:all: PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY . .
RUN python3 -m venv /build && /build/bin/pip install --require-hashes --requirement requirements-build.txt \
 && python3 -m venv --without-pip /opt/venv \
 && /build/bin/pip --python /opt/venv/bin/python install --require-hashes --requirement requirements.txt \
 && /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /build/bin/pip --python /opt/venv/bin/python install --no-deps /wheel/*.whl \
 && /build/bin/pip --python /opt/venv/bin/python check
# A read-only root can keep no bytecode. Without times of files in it, it is the same in each build.
RUN /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib

# --- the image ------------------------------------------------------------------------------------------------------
FROM python
COPY --from=build /opt/venv /opt/venv
# USER and HOME are for an arbitrary UID, which has no entry in /etc/passwd.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    USER=esa \
    HOME=/
USER 65532:65532
ENTRYPOINT ["esa-preload-operator"]
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="esa-preload-operator" \
      org.opencontainers.image.description="Resets Alibaba Cloud ESA's scheduled preload jobs: one request, one reset" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
