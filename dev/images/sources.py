"""What goes into each image, and the tag that says so: the same sources, the same tag, nothing built twice."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The same wheel goes into both images (one distribution, one version).
_CODE = (
    "pyproject.toml",
    "README.md",
    "requirements/build.txt",
    "operator/peft_fsdp_api",
    "operator/peft_fsdp_operator",
    "trainer_image/peft_fsdp_trainer",
)


@dataclass(frozen=True)
class Image:
    name: str
    dockerfile: str
    requirements: str

    def sources(self) -> tuple[str, ...]:
        """Files and folders below the repository root that a build reads."""
        return (*_CODE, self.dockerfile, self.requirements)


OPERATOR = Image("peft-fsdp-operator", "operator/Dockerfile", "requirements/operator.txt")
TRAINER = Image("peft-fsdp-trainer", "trainer_image/Dockerfile", "requirements/trainer.txt")
IMAGES = {image.name: image for image in (OPERATOR, TRAINER)}


def content_tag(image: Image, base: str, root: Path = ROOT) -> str:
    """Twelve hexadecimal digits over the base's name and every source file's path and content."""
    digest = hashlib.sha256(base.encode())
    for path in source_files(image, root):
        digest.update(f"\0{path.relative_to(root)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def source_files(image: Image, root: Path = ROOT) -> Iterator[Path]:
    for source in image.sources():
        path = root / source
        yield from sorted(_files_below(path)) if path.is_dir() else [path]


def _files_below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
