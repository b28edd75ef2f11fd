# A server of tasks as a user without rights: models and tasks are mounted.
#
#     docker build -t metaloop .
#     docker run --rm -p 127.0.0.1:8000:8000 -e METALOOP_TOKEN=... \
#         -v "$PWD/runs/mine/model.metaloop:/models/mine.metaloop:ro" -v metaloop-tasks:/tasks metaloop
#
# In a container the server has to listen to all addresses, so it asks for a token.
FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY src ./src
# An index that has torch without the libraries of GPUs makes the image gigabytes smaller:
# docker build --build-arg TORCH_INDEX=URL .
ARG TORCH_INDEX=
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir -c constraints.txt \
        ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} '.[serve,speech,tables,summaries]'

FROM python:3.11-slim
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 metaloop \
    && install -d -o metaloop -g metaloop /tasks /models
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 OMP_NUM_THREADS=2
USER 10001:10001
VOLUME ["/tasks"]
EXPOSE 8000
HEALTHCHECK --start-period=30s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=3)"]
ENTRYPOINT ["metaloop", "serve", "--host", "0.0.0.0", "--tasks", "/tasks"]
CMD ["/models/mine.metaloop"]
