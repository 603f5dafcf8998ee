# The pipeline with all packages, at the versions and digests of envs/:
#     docker build --tag relposegnn .                          # faiss on the CPU
#     docker build --tag relposegnn:gpu --build-arg GPU=-gpu . # faiss on a GPU
# Results are written to the folder where it runs. Photos to localise have to be in that folder too:
#     docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" relposegnn --cores all table_joint
#     docker run --rm --gpus all ... relposegnn:gpu --cores all table_joint
# torch is the same in both, and uses a GPU if there is one.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/relposegnn
ARG GPU=
# Packages first, so that a change of the code does not install them again.
COPY Makefile ./
COPY envs envs
RUN PIP_NO_CACHE_DIR=1 make environment GPU="$GPU"

COPY CITATION.cff LICENSE README.md SECURITY.md Snakefile localise relposegnn ./
COPY config config
COPY profiles profiles
COPY rules rules
COPY workflow workflow

# Users without a home folder or a name may run it.
ENV HOME=/tmp PATH=/opt/relposegnn/.venv/bin:$PATH
WORKDIR /work
ENTRYPOINT ["snakemake", "--snakefile", "/opt/relposegnn/Snakefile"]
CMD ["--cores", "all"]
