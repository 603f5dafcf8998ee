"""Files of settings are refused in words before they are merged."""

import pytest

from relposegnn.pipeline.configuration_files import check_file
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"graphs:\n\tstride: 3\n", r"line 2: is not valid YAML \(.*found character '\\t' .*tabs"),
        (b"a: 1\ngraphs: [1,\nb: 2", r"line 3: .*sequence, which begins in line 2, expected"),
        (b"a: 1\nb: !mine 2", r"line 2: .*constructor for the tag '!mine'"),
        (b"a: 1\n? [b]\n: 2", r"line 2: .*unhashable key"),
        (b"a: 1\nb: \xe9", r"line 2: .*can't decode byte 0xe9 .*expected .* UTF-8"),
        (b"a: 2026-13-45", r"is not valid YAML \(month must be in 1\.\.12\)"),
        (b"a: !!bool maybe", r"is not valid YAML \('maybe'\)"),
        (b"a: !!int ''", r"is not valid YAML"),
        (b"a: !!timestamp now", r"is not valid YAML"),
        (b"a: \0", r"is not valid YAML \(unacceptable character #x0000"),
        (b"", "is empty, expected keys with their values"),
        (b"# none\n", "is empty, expected keys with their values"),
        (b"\n- a\n", "line 2: is not a key, expected keys with their values"),
    ],
)
def test_a_file_that_is_no_yaml_with_keys_is_refused_with_its_line(tmp_path, text, message):
    path = tmp_path / "config.yaml"
    path.write_bytes(text)
    with pytest.raises(InputError, match=rf"^{path}: {message}"):
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
