# The image in which every step and every suite runs. It holds the engine and its locked dependencies, no model, no
# data, no contract: those are mounted.
#
#   docker build -t weighin:local .
#
# Behind a package mirror, its configuration and certificates go in as secrets, and stay out of the image:
#   --secret id=pip_conf,src=/etc/pip.conf --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt
ARG BASE_IMAGE=python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS build
WORKDIR /src
RUN python3 -m venv /opt/weighin
ENV PATH=/opt/weighin/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
COPY requirements.txt .
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/run/secrets/ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    pip install --quiet --no-compile --no-deps --require-hashes -r requirements.txt \
    && pip check
COPY pyproject.toml LICENSE README.md ./
COPY weighin weighin
# Tests of the dependencies and headers are not needed to run; bytecode is compiled once here, since the image is
# read-only where it runs and would be compiled again in every container.
RUN pip install --quiet --no-compile --no-deps --no-build-isolation . \
    && find /opt/weighin -type d \( -name tests -o -name test \) -path '*/site-packages/*' -prune -exec rm -rf {} + \
    && find /opt/weighin -name '*.pyx' -delete \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/weighin

# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
COPY --from=build /opt/weighin /opt/weighin
ENV PATH=/opt/weighin/bin:$PATH \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true GX_ANALYTICS_ENABLED=false \
    MPLCONFIGDIR=/tmp/matplotlib
USER 65532:65532
WORKDIR /repo
CMD ["weighin", "--help"]
