"""What the package's page on PyPI says: the README, with links that lead to the repository.

The files beside it are not there. Where they are says ``Repository`` of ``project.urls`` in
pyproject.toml; as long as it does not, pictures are left out, and links to files are their text.
"""

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
TO_FILES = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s]+)\)")


def page(readme: str, repository: str | None) -> str:
    """Return a README as it is read without the files beside it."""

    def leading(link: re.Match) -> str:
        picture, text, path = link.groups()
        if repository is None:
            return "" if picture else text
        return f"{picture}[{text}]({repository}/{'raw' if picture else 'blob'}/HEAD/{path})"

    return TO_FILES.sub(leading, readme)


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    setup(
        long_description=page(
            (ROOT / "README.md").read_text(encoding="utf-8"), project["urls"].get("Repository")
        ),
        long_description_content_type="text/markdown",
    )
