# docker build -t wharf . && docker run -p 5000:5000 -v wharf:/var/lib/wharf wharf

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The directory of the store is made here, where there is a shell: a fresh volume takes its owner from it.
RUN CARGO_PROFILE_RELEASE_STRIP=debuginfo cargo build --release --locked --bin wharf \
 && install -D target/release/wharf /image/usr/local/bin/wharf \
 && install -d /image/var/lib/wharf

# glibc, libgcc and CA roots, and nothing else: no shell, no packages. The user is 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /image/usr/local/bin/wharf /usr/local/bin/wharf
COPY --from=build --chown=65532:65532 /image/var/lib/wharf /var/lib/wharf
ENV WHARF_SERVER__LISTEN=0.0.0.0:5000 WHARF_STORE__PATH=/var/lib/wharf
USER 65532:65532
WORKDIR /var/lib/wharf
VOLUME /var/lib/wharf
EXPOSE 5000
ENTRYPOINT ["/usr/local/bin/wharf"]
CMD ["serve"]
