# Where the project is. Rules need the library beside them: if Snakemake fetches the Snakefile by
# git ("github(...)", which snakedeploy writes, or "gitlab(...)"), the whole commit is unpacked
# once, beside Snakemake's own clone of the repository.
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
                    # Python has data_filter since 3.11.4.
                    archive.extraction_filter = getattr(tarfile, "data_filter", None)
                    archive.extractall(whole)
            try:
                whole.rename(folder)
            except OSError:  # another process was faster
                if not folder.exists():
                    raise
    return folder


def project_folder(source):
    """Return the folder of the project, given where Snakemake got the folder of this file from."""
    if isinstance(source, HostingProviderFile):
        return unpacked(source.hosted_repo.repo, source.ref)
    if isinstance(source, LocalSourceFile):
        return Path(str(source)).parent
    raise WorkflowError(
        f"{source}: a single fetched file, expected the whole project, because the rules need its "
        "library; use a clone of it, or github(...) or gitlab(...) with a tag"
    )


# Not workflow.basedir: another workflow may use this one as a module.
FETCHED = not isinstance(workflow.current_basedir, LocalSourceFile)
PROJECT = project_folder(workflow.current_basedir)
# The folder that relative paths in a configuration start from.
USERS_FOLDER = Path.cwd() if FETCHED else PROJECT
