# In place of the official PostgreSQL image: Debian's of the same major version, started by the same variables.
FROM stand-in-trixie
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/* /var/lib/postgresql/* \
    && mkdir --parents /var/lib/postgresql/data \
    && chown --recursive postgres /var/lib/postgresql /var/run/postgresql \
    && ln --symbolic /usr/lib/postgresql/*/bin/* /usr/local/bin/
COPY entrypoint /usr/local/bin/entrypoint
USER postgres
ENV PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
ENTRYPOINT ["entrypoint"]
CMD ["postgres"]
