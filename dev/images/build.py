"""Build an image, push it, and say under which name a cluster pulls it."""

from dev.cluster.progress import say, step
from dev.cluster.registry import ADDRESS, has_image
from dev.images.base_image import base_image
from dev.images.build_secrets import build_secrets
from dev.images.sources import ROOT, Image, content_tag
from dev.images.storage import buildah_logged, has_local_image


def build_image(image: Image) -> str:
    """Name of the image in the local storage; built only if its sources changed."""
    base = base_image()
    name = f"localhost/{image.name}:{content_tag(image, base)}"
    if has_local_image(name):
        say(f"{image.name}: cached")
        return name
    title = f"building {image.name}"
    with step(title), build_secrets() as secrets:
        options = ["--layers", "--pull-never", f"--build-arg=BASE_IMAGE={base}", f"--file={image.dockerfile}"]
        buildah_logged(title, "bud", *options, *secrets, f"--tag={name}", ".", cwd=ROOT)
    return name


def push_image(image: Image, registry: str = ADDRESS) -> str:
    """Build what is missing and push it to `registry`; returns the name to pull."""
    local = build_image(image)
    tag = local.rpartition(":")[2]
    remote = f"{registry}/{image.name}:{tag}"
    if registry == ADDRESS and has_image(image.name, tag):
        say(f"{image.name}: in the registry")
        return remote
    title = f"pushing {image.name}"
    # The registry on loopback speaks plain http; any other must show a certificate.
    options = ["--tls-verify=false"] if registry == ADDRESS else []
    with step(title):
        buildah_logged(title, "push", *options, local, f"docker://{remote}")
    return remote
