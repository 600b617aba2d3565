# In place of the official Python image: Debian's Python of the same version line, under the same commands.
FROM stand-in-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-pip python3-venv python3-dev \
    && rm -rf /var/lib/apt/lists/* /usr/lib/python3*/EXTERNALLY-MANAGED \
    && ln --symbolic /usr/bin/python3 /usr/local/bin/python
CMD ["python3"]
