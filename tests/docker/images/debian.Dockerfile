# Base of the other images here: a root file system by debootstrap, the machine's certificates.
ARG SUITE
FROM elt-test-docker/rootfs:${SUITE}
COPY --from=certificates . /usr/local/share/ca-certificates/
RUN update-ca-certificates
# uv and recent versions of pip bundle certificates and ignore those of the machine by default.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt
CMD ["bash"]
