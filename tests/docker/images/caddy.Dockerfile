# Substitute for the public caddy:2. As there, Caddy runs as root, and its program has the capability to
# bind ports below 1024.
FROM elt-test-docker/debian:trixie
RUN apt-get update \
    && apt-get install --yes --no-install-recommends caddy libcap2-bin wget \
    && rm -rf /var/lib/apt/lists/* \
    && setcap cap_net_bind_service=+ep /usr/bin/caddy
ENV XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data
WORKDIR /srv
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
