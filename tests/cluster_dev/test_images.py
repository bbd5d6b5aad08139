"""Image tags follow the content of the sources; pip's settings reach a build and nothing else does."""

from pathlib import Path

import pytest

from dev.images.build_secrets import pip_settings
from dev.images.sources import OPERATOR, TRAINER, Image, content_tag, source_files

IMAGE = Image("tool", "Dockerfile", "requirements.txt")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for source in IMAGE.sources():
        path = tmp_path / source
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix or path.name == "Dockerfile":
            path.write_text(source)
        else:
            path.mkdir()
            (path / "module.py").write_text("")
    return tmp_path


def test_the_same_sources_have_the_same_tag(root: Path) -> None:
    assert content_tag(IMAGE, "base", root) == content_tag(IMAGE, "base", root)


def test_a_changed_line_changes_the_tag(root: Path) -> None:
    before = content_tag(IMAGE, "base", root)
    (root / "operator/peft_fsdp_api/module.py").write_text("x = 1")
    assert content_tag(IMAGE, "base", root) != before


def test_a_renamed_file_changes_the_tag(root: Path) -> None:
    before = content_tag(IMAGE, "base", root)
    (root / "operator/peft_fsdp_api/module.py").rename(root / "operator/peft_fsdp_api/other.py")
    assert content_tag(IMAGE, "base", root) != before


def test_compiled_files_do_not_change_the_tag(root: Path) -> None:
    before = content_tag(IMAGE, "base", root)
    compiled = root / "operator/peft_fsdp_api/__pycache__"
    compiled.mkdir()
    (compiled / "module.cpython-311.pyc").write_bytes(b"1")
    assert content_tag(IMAGE, "base", root) == before


@pytest.mark.parametrize("image", [OPERATOR, TRAINER], ids=lambda image: image.name)
def test_every_source_of_an_image_exists(image: Image) -> None:
    assert all(path.exists() for path in source_files(image))


def test_the_environment_wins_over_pips_files(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://one.example/simple\ntimeout = 3\n")
    assert pip_settings([file], {}) == {"index-url": "https://one.example/simple"}
    chosen = pip_settings([file], {"PIP_INDEX_URL": "https://two.example/simple"})
    assert chosen == {"index-url": "https://two.example/simple"}
