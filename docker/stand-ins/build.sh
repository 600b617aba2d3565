#!/usr/bin/env bash
# Builds stand-ins for the official images that Dockerfile and docker-compose.yml name, under the same names, from
# Debian's packages and Kafka's jars: for a machine that can reach package mirrors but no image registry. They are for
# trying and testing; where images can be pulled, pull them. Needs root, Docker, debootstrap, and `pipeline fetch`.
#
#   docker/stand-ins/build.sh             # the three of them, then the pipeline's own two
#   docker/stand-ins/build.sh --uninstall # removes all that it has built
set -euo pipefail
cd "$(dirname "$0")/../.."

named() { sed --quiet "s|^.*[= ]\($1:[^ ]\+\)\$|\1|p" "$2" | head -1; }
python_image=$(named python Dockerfile)
kafka_image=$(named apache/kafka docker-compose.yml)
postgres_image=$(named postgres docker-compose.yml)
ours=("$(named fraud-lakehouse/flink docker-compose.yml)" "$(named fraud-lakehouse/python docker-compose.yml)")

if [ "${1:-}" = --uninstall ]; then
    docker image rm --force "$python_image" "$kafka_image" "$postgres_image" "${ours[@]}" \
        stand-in-bookworm stand-in-trixie
    exit
fi

here=docker/stand-ins
certificates=/etc/ssl/certs/ca-certificates.crt
work=$(mktemp --directory)
trap 'rm --recursive --force "$work"' EXIT

# A base image a release. The certificates that this machine trusts come along: mirrors may lie behind a proxy.
for release in bookworm trixie; do
    docker image inspect "stand-in-$release" >/dev/null 2>&1 && continue
    debootstrap --variant=minbase --include=ca-certificates "$release" "$work/$release" >"$work/$release.log" \
        || { tail "$work/$release.log" >&2; exit 1; }
    rm --recursive --force "$work/$release"/var/cache/apt/archives/*.deb
    cp --recursive /usr/local/share/ca-certificates "$work/$release/usr/local/share/"
    chroot "$work/$release" update-ca-certificates
    tar --create --directory "$work/$release" . | docker import --change 'ENV LANG=C.UTF-8' \
        --change "ENV SSL_CERT_FILE=$certificates REQUESTS_CA_BUNDLE=$certificates PIP_CERT=$certificates" \
        - "stand-in-$release"
    rm --recursive --force "${work:?}/$release"
done

# By the host's network: its mirrors may be reachable from there alone.
build() { DOCKER_BUILDKIT=0 docker build --network host --quiet "$@"; }

build --tag "$python_image" --file "$here/python.Dockerfile" "$here"

mkdir --parents "$work/kafka/libs"
uv run python -c 'import operations.jars as j; print(*j.kafka_jars(), sep="\n")' | xargs cp --target-directory "$work/kafka/libs"
cp "$here/log4j2.yaml" "$work/kafka/log4j2.yaml"
cp "$here/log4j2.yaml" "$work/kafka/tools-log4j2.yaml"
cp "$here/kafka-run" "$work/kafka/run"
build --tag "$kafka_image" --file "$here/kafka.Dockerfile" "$work/kafka"

mkdir "$work/postgres"
cp "$here/postgres-entrypoint" "$work/postgres/entrypoint"
build --tag "$postgres_image" --file "$here/postgres.Dockerfile" "$work/postgres"

build --tag "${ours[0]}" --target flink .
build --tag "${ours[1]}" --target python .
