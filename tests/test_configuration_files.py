"""Files of settings are refused in words before they are merged."""

import pytest

from relposegnn.configuration_files import check_file
from relposegnn.runtime import InputError


def test_duplicate_keys_are_refused_with_their_lines(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("graphs:\n  stride: 3\n  seed: 1\n  stride: 4\nseed: 1\ngraphs: {}\n")
    with pytest.raises(InputError) as caught:
        check_file(path)
    assert str(caught.value).splitlines() == [
        f"{path}: line 4: graphs.stride is also in line 2, expected once; keep one of them",
        f"{path}: line 6: graphs is also in line 1, expected once; keep one of them",
    ]


def test_equal_keys_in_different_sections_are_no_duplicates(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("graphs: {seed: 1}\nmodel: {seed: 1}\nlist: [{seed: 1}, {seed: 2}]\n")
    check_file(path)
    path.write_text("")
    check_file(path)


def test_file_that_is_no_yaml_is_refused(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("graphs: [1,\n")
    with pytest.raises(InputError, match=r"config\.yaml: is not valid YAML"):
        check_file(path)


@pytest.mark.slow
def test_aliases_that_multiply_are_counted_and_not_followed(tmp_path):
    """A list of nine aliases of the one before, nineteen times: more than 9 ** 19 nodes."""
    lines = ["a0: &a0 {x: 1, y: 2}", *(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]" for i in range(1, 20))]
    path = tmp_path / "config.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"\d{18} values.*at most 100000.*RELPOSEGNN_MAX_SETTINGS"):
        check_file(path)
    path.write_text("\n".join(lines[:5]))
    check_file(path)
    path.write_text("&a [*a, {x: 1, x: 2}]")
    with pytest.raises(InputError, match="line 1: x is also in line 1"):
        check_file(path)
    chain = "\n".join(["a0: &a0 []", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 2000))])
    for deep in ("&a [*a]", chain, "[" * 40 + "]" * 40, "[" * 4000 + "]" * 4000):
        path.write_text(deep)
        with pytest.raises(InputError, match=r"is nested too deeply, expected at most 30 levels"):
            check_file(path)
