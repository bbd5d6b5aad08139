"""Ask an address of the cluster whether it is well. Never through a proxy: all of them are on this machine."""

import ssl
import urllib.error
import urllib.request
from pathlib import Path


def answers(url: str, authority: Path | None = None, accept: str = "*/*") -> bool:
    """Whether `url` says 200. Without `authority` a certificate is not checked: health ports have one of their own."""
    context = ssl.create_default_context(cafile=authority)
    if authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(url, headers={"Accept": accept})
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
