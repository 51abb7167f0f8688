# The operator's image: a wheel in a slim Python, as an ordinary user, nothing writable needed but /tmp.
ARG BASE=python:3.13-slim
FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY requirements/run.lock requirements/run.lock
COPY operator operator
RUN python -m venv /opt/penstock \
    && /opt/penstock/bin/python -m pip install --no-cache-dir --require-hashes -r requirements/run.lock \
    && /opt/penstock/bin/python -m pip install --no-cache-dir --no-deps .

FROM ${BASE}
COPY --from=build /opt/penstock /opt/penstock
ENV PATH=/opt/penstock/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["penstock"]
CMD ["run"]
