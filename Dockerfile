# Build:  docker build -t silo .
# Try:    docker run --rm -p 9000:9000 silo
# Keep:   docker run -d --name silo -p 9000:9000 -v silo:/usr/silo silo
#
# It starts without a named volume and without a variable; catalogue, accounts and keys then last as long as the
# container. A host folder mounted on /usr/silo must belong to uid 10001.

# The slim image brings what the C parts (SQLite, ring) want: gcc and the C headers.
FROM rust:1.95-slim-bookworm AS builder
WORKDIR /build

# Dependencies first, around an empty program: this layer lasts until Cargo.lock changes.
COPY Cargo.toml Cargo.lock ./
COPY seed/Cargo.toml seed/
# Cargo reads it, and builds it for tests only.
COPY testkit/Cargo.toml testkit/
RUN mkdir -p src seed/src testkit/src \
 && echo 'fn main() {}' > src/main.rs \
 && touch src/lib.rs seed/src/lib.rs testkit/src/lib.rs \
 && cargo build --release --locked --bin silo

# What .dockerignore lets through. Cargo goes by file times, and the empty program is newer than a checkout may be.
COPY . .
RUN touch src/main.rs src/lib.rs seed/src/lib.rs \
 && cargo build --release --locked --bin silo

FROM debian:bookworm-slim
# Registries are asked over TLS, and trust comes from the system's store.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 silo \
 && useradd --uid 10001 --gid silo --home-dir /usr/silo --no-create-home --shell /usr/sbin/nologin silo \
 && install -d -o silo -g silo -m 0750 /usr/silo
COPY --from=builder /build/target/release/silo /usr/local/bin/silo

# The C library gives each thread memory of its own and keeps it; two such places are enough, and save a third of it.
ENV SILO_DATA=/usr/silo \
    SILO_LISTEN=0.0.0.0:9000 \
    MALLOC_ARENA_MAX=2
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /usr/silo
VOLUME /usr/silo
EXPOSE 9000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["silo", "health"]
ENTRYPOINT ["silo"]
CMD ["serve"]
