# In place of the official Kafka image: the same release from its jars, configured by the same variables through the
# same program of Kafka's, as the same unprivileged user.
FROM stand-in-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 appuser \
    && mkdir --parents /etc/kafka/docker /mnt/shared/config /opt/kafka/libs /opt/kafka/config /var/lib/kafka/data \
    && touch /etc/kafka/docker/server.properties \
    && chown --recursive appuser /opt/kafka/config /var/lib/kafka/data
COPY log4j2.yaml tools-log4j2.yaml /etc/kafka/docker/
COPY libs /opt/kafka/libs
COPY run /etc/kafka/docker/run
USER appuser
VOLUME /var/lib/kafka/data
CMD ["/etc/kafka/docker/run"]
