# What the images here start from: a root file system of debootstrap and the machine's certificates.
ARG SUITE
FROM elt-test-docker/rootfs:${SUITE}
COPY --from=certificates . /usr/local/share/ca-certificates/
RUN update-ca-certificates
# uv and newer pips carry certificates of their own and would not look at the machine's.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt
CMD ["bash"]
