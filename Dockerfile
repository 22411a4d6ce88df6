# The image: a distroless base with glibc and libstdc++, a locale, ONNX Runtime, the binary, and
# the models, each in a layer of its own and in the order in which they change, so that a model
# swap pulls the last layer alone. scripts/build-image builds it.
#
# The bases are arguments, so that the image can be built where only others are at hand. Renovate
# (.github/renovate.json5) keeps the digests fresh; by hand, for example:
#   skopeo inspect --raw docker://gcr.io/distroless/cc-debian13:nonroot | sha256sum
# All three are of one Debian release: the locale is compiled for the glibc that reads it.
ARG RUST_BASE=docker.io/library/rust:1.95-slim-trixie@sha256:28846ec5a6bcfcddb93f403ba7071bd579787852b2f2ac3839965620e8bd9456
ARG PYTHON_BASE=docker.io/library/python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285
ARG RUNTIME_BASE=gcr.io/distroless/cc-debian13:nonroot@sha256:54df941ed0d06a1bd95ef5e0ce391fd8d9f94b64782dc9a60062727849ee3f97

# --- the dependencies, from the lock file alone: built anew only when it changes
FROM ${RUST_BASE} AS dependencies
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src/transport/grpc/build.rs src/transport/grpc/inference.proto src/transport/grpc/
RUN mkdir -p tests/it \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs tests/it/main.rs README.md \
    && cargo build --release --locked --bin modelship

# --- the binary
FROM dependencies AS compiled
# Not the models: a swap of one must not compile anything.
COPY src src
# The stubs above are newer than the sources that replace them, so cargo has to be told.
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked --bin modelship

# A stage of its own, so that a binary that is built already can take its place
# (--build-context binary=FOLDER).
FROM scratch AS binary
COPY --from=compiled /src/target/release/modelship /modelship

# --- ONNX Runtime: Microsoft's own build out of the wheel, version and sha256 pinned
FROM ${PYTHON_BASE} AS onnxruntime
WORKDIR /src
COPY scripts/setup scripts/setup
COPY scripts/requirements/onnxruntime.txt scripts/requirements/onnxruntime.txt
RUN python3 scripts/setup --runtime && rm .tools/onnxruntime/installed

# --- the locale that ONNX Runtime's StringNormalizer wants
FROM ${PYTHON_BASE} AS locale
# No version: it has to be that of the base's own glibc.
# hadolint ignore=DL3008
RUN apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends locales \
    && rm -rf /var/lib/apt/lists/* \
    && mkdir -p /locale \
    && localedef --no-archive --inputfile=en_US --charmap=UTF-8 /locale/en_US.utf8

# --- everything but the models
FROM ${RUNTIME_BASE} AS runtime
COPY --from=locale /locale/en_US.utf8 /usr/lib/locale/en_US.utf8
COPY --from=onnxruntime /src/.tools/onnxruntime /opt/onnxruntime
COPY --from=binary /modelship /usr/local/bin/modelship
# The official build phones home; only this, set before the library is loaded, stops it whole.
ENV ORT_DISABLE_TELEMETRY=1 \
    ORT_DYLIB_PATH=/opt/onnxruntime/lib/libonnxruntime.so \
    MODELSHIP_LISTEN=0.0.0.0:8080 \
    MODELSHIP_MODELS=/models \
    MODELSHIP_DEFAULT_MODEL=linear \
    MODELSHIP_WATCH=off
USER 65532:65532

# --- the proof: in the final root filesystem every model is hashed, loaded, and made to predict
# its golden cases. An image that can't predict is never made.
FROM runtime AS proved
COPY models /models
RUN ["/usr/local/bin/modelship", "check"]

FROM runtime
ARG REVISION=unknown
ARG SOURCE=unknown
ARG CREATED=unknown
# Name, version and sha256 of each model, in one line.
ARG MODELS=unknown
ENV MODELSHIP_COMMIT=${REVISION}
LABEL org.opencontainers.image.title="modelship" \
      org.opencontainers.image.description="An ONNX inference service with its models baked in" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      modelship.models="${MODELS}"
EXPOSE 8080
# For engines that look at it; Kubernetes asks by its own probes. No shell: there is none.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["/usr/local/bin/modelship", "probe", "http://127.0.0.1:8080"]
ENTRYPOINT ["/usr/local/bin/modelship"]
CMD ["serve"]
COPY --from=proved /models /models
