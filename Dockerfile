# The image in which every step and every suite runs. It holds the engine and its locked dependencies, no model, no
# data, no contract: those are mounted.
#
#   docker build -t weighin:local .
#
# Behind a package mirror, its configuration and certificates go in as secrets, and stay out of the image:
#   --secret id=pip_conf,src=/etc/pip.conf --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt
ARG BASE_IMAGE=python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS dependencies
WORKDIR /src
RUN python3 -m venv /opt/weighin
ENV PATH=/opt/weighin/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
COPY requirements.txt .
# Tests of the dependencies are not needed to run, nor Arrow's headers and its client for Flight, what plotly brings for
# notebooks, and how other languages than English are hyphenated. Bytecode
# is compiled once here: where the image runs it is read-only, and every container would compile everything again.
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/run/secrets/ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    pip install --quiet --no-compile --no-deps --require-hashes -r requirements.txt \
    && pip check \
    && find /opt/weighin -type d \( -name tests -o -name test \) -path '*/site-packages/*' -not -path '*/evidently/*' -prune -exec rm -rf {} + \
    && find /opt/weighin -path '*/site-packages/pyarrow/*' \( -path '*/pyarrow/include/*' -o -name '*flight*' \) -delete \
    && rm -rf /opt/weighin/share/jupyter /opt/weighin/lib/python3*/site-packages/jupyterlab_plotly \
    && find /opt/weighin -path '*/pyphen/dictionaries/hyph_*.dic' -not -name 'hyph_en*' -delete \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/weighin

# The engine is a layer of its own, a few megabytes: whoever has the dependencies already pulls nothing else.
FROM dependencies AS build
COPY pyproject.toml LICENSE README.md ./
COPY weighin weighin
# /opt/weighin/host is the runner for the machine that starts the containers: this version, standard library only.
RUN pip install --quiet --no-compile --no-deps --no-build-isolation . \
    && mkdir -p /opt/weighin/host/weighin/untrusted \
    && cp weighin/__init__.py /opt/weighin/host/weighin/ && cp -r weighin/runner weighin/github /opt/weighin/host/weighin/ \
    && cp weighin/untrusted/__init__.py weighin/untrusted/redact.py /opt/weighin/host/weighin/untrusted/ \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/weighin/lib/python3*/site-packages/weighin
WORKDIR /opt/weighin
RUN mkdir /engine \
    && cp -a --parents bin/weighin host lib/python3*/site-packages/weighin lib/python3*/site-packages/weighin-*.dist-info /engine

# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
# libatomic: the engine of policies needs it; libgomp: LightGBM does, in an environment of its own. A slim base lacks both.
# hadolint ignore=DL3008
RUN apt-get update -qq \
    && apt-get install --yes --no-install-recommends libatomic1 libgomp1 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY --from=dependencies /opt/weighin /opt/weighin
COPY --from=build /engine /opt/weighin
# No interpreter in here looks into the current folder, which is somebody's repository, or takes modules of a user.
ENV PATH=/opt/weighin/bin:$PATH \
    PYTHONSAFEPATH=1 PYTHONNOUSERSITE=1 \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true GX_ANALYTICS_ENABLED=false \
    MPLCONFIGDIR=/tmp/matplotlib LOGNAME=weighin GIT_PYTHON_REFRESH=quiet
USER 65532:65532
WORKDIR /repo
CMD ["weighin", "--help"]
