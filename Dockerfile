# The operator's image: a wheel in a slim Python, as an ordinary user, nothing writable needed but /tmp.
ARG BASE=python:3.13-slim
FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY requirements/run.lock requirements/build.lock requirements/
COPY operator operator
RUN python -m venv /opt/penstock \
    && /opt/penstock/bin/python -m pip install --no-cache-dir --require-hashes -r requirements/run.lock \
    && python -m venv /opt/build \
    && /opt/build/bin/python -m pip install --no-cache-dir --require-hashes -r requirements/build.lock \
    && /opt/build/bin/python -m hatchling build --target wheel -d dist \
    && /opt/penstock/bin/python -m pip install --no-cache-dir --no-deps dist/*.whl

FROM ${BASE}
COPY --from=build /opt/penstock /opt/penstock
ENV PATH=/opt/penstock/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["penstock"]
CMD ["run"]
