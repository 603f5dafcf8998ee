# Where the project lies. Rules run the library beside them: where Snakemake fetches the Snakefile by git
# ("github(...)", which snakedeploy writes, "gitlab(...)"), its whole commit is unpacked
# beside Snakemake's own clone of the repository, once.
import tarfile
import tempfile
from pathlib import Path

from snakemake.sourcecache import HostingProviderFile, LocalSourceFile


def unpacked(repository, ref):
    """Return a folder with the files of a commit of a git repository."""
    commit = repository.commit(ref).hexsha
    folder = Path(workflow.sourcecache.cache_path) / "relposegnn" / commit
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
            whole = Path(unfinished, "whole")
            with tempfile.TemporaryFile() as file:
                repository.archive(file, commit)
                file.seek(0)
                with tarfile.open(fileobj=file) as archive:
                    # Python has it from 3.11.4 on.
                    archive.extraction_filter = getattr(tarfile, "data_filter", None)
                    archive.extractall(whole)
            try:
                whole.rename(folder)
            except OSError:  # another process was faster
                if not folder.exists():
                    raise
    return folder


def project_folder(source):
    """Return the folder of the project, by where Snakemake has this file's folder from."""
    if isinstance(source, HostingProviderFile):
        return unpacked(source.hosted_repo.repo, source.ref)
    if isinstance(source, LocalSourceFile):
        return Path(str(source)).parent
    raise WorkflowError(
        f"{source}: a file fetched alone, expected the whole project, whose library the rules run: "
        "a clone of it, or github(...) or gitlab(...) with a tag"
    )


# Not workflow.basedir: another workflow may use this one as a module.
FETCHED = not isinstance(workflow.current_basedir, LocalSourceFile)
PROJECT = project_folder(workflow.current_basedir)
# At which relative paths of a configuration start.
USERS_FOLDER = Path.cwd() if FETCHED else PROJECT
