# Base of the images here: a root file system of debootstrap plus the machine's certificates.
ARG SUITE
FROM elt-test-docker/rootfs:${SUITE}
COPY --from=certificates . /usr/local/share/ca-certificates/
RUN update-ca-certificates
# uv and newer versions of pip bundle certificates and would ignore the machine's.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt
CMD ["bash"]
