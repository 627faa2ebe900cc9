# Substitute for the public redis:8. As there, the server accepts connections without a password.
FROM elt-test-docker/debian:trixie
RUN apt-get update \
    && apt-get install --yes --no-install-recommends redis-server \
    && rm -rf /var/lib/apt/lists/* \
    && printf '#!/bin/sh\nexec /usr/bin/redis-server "$@" --protected-mode no\n' \
        >/usr/local/bin/redis-server \
    && chmod +x /usr/local/bin/redis-server \
    && install --directory --owner redis --group redis /data
USER redis
WORKDIR /data
VOLUME /data
EXPOSE 6379
CMD ["redis-server"]
