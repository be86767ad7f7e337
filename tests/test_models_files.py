"""Files are whole or not there."""

from pathlib import Path

import pytest

from bitwright.models.errors import StorageError
from bitwright.models.files import replace_file, replaced_file


def test_a_file_is_replaced_by_text_or_bytes_in_a_folder_that_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    replace_file(path, "ä\n")
    assert path.read_bytes() == b"\xc3\xa4\n"
    replace_file(path, b"\0")
    assert path.read_bytes() == b"\0"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_fails_half_way_leaves_the_old_file_alone(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "file"
    replace_file(path, "old")
    with pytest.raises((error, StorageError)), replaced_file(path) as file:
        file.write(b"ne")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = pytest.raises(StorageError, match=r"cannot write the plan .*file/p \(.*\): choose")
    with refused, replaced_file(tmp_path / "file" / "p", "the plan"):
        pass
