"""Give a host without helpers all of them, in one file that its Python runs.

The file is a zip archive of this package, with a `__main__` that runs the helper named first. It is named after its own
content, written whole, and kept below the launcher's directory on the host, so the next launch finds it there.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile

from .ssh_errors import HelperTooOld

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .ssh import SshExecutor

__all__ = ("archive", "install")

INSTALL_TIMEOUT_S = 60.0
_EPOCH = (1980, 1, 1, 0, 0, 0)  # equal content, equal archive
_NOT_FOR_HOSTS = frozenset(
    {"bootstrap", "command_line", "configuration_file", "ssh", "ssh_master", "ssh_slots", "tunnels"}
)
_MAIN = """\
import sys
from importlib import import_module

helper = sys.argv.pop(1)
module = import_module("remote_http_launcher.helpers." + helper[4:].replace("-", "_"))
sys.exit(module.main(sys.argv[1:]))
"""
_INSTALL = """\
import hashlib, os, sys
if sys.version_info < (3, 9):
    sys.exit("rhl-bootstrap: Python %d.%d is too old; 3.9 or later is needed" % sys.version_info[:2])
digest, size = sys.argv[1], int(sys.argv[2])
base = os.path.abspath(os.path.expanduser(os.environ.get("REMOTE_HTTP_LAUNCHER_DIR") or "~/.remote-http-launcher"))
folder = os.path.join(base, "bootstrap")
path = os.path.join(folder, "rhl-" + digest[:32] + ".pyz")
def is_whole():
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest() == digest
    except OSError:
        return False
content = sys.stdin.buffer.read(size)
if not is_whole():
    if hashlib.sha256(content).hexdigest() != digest:
        sys.exit("rhl-bootstrap: the archive arrived damaged")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    temporary = path + "." + os.urandom(8).hex() + ".tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
print(path)
"""


def archive() -> bytes:
    """Return the archive: the modules of this package that a host can need."""
    folder = os.path.dirname(os.path.abspath(__file__))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        _add(packed, "__main__.py", _MAIN.encode())
        for parent, folders, names in os.walk(folder):
            folders[:] = sorted(name for name in folders if name not in ("__pycache__", "guard"))
            for name in sorted(names):
                stem, suffix = os.path.splitext(name)
                if suffix != ".py" or stem in _NOT_FOR_HOSTS:
                    continue
                path = os.path.join(parent, name)
                with open(path, "rb") as file:
                    _add(packed, f"remote_http_launcher/{os.path.relpath(path, folder)}", file.read())
    return content.getvalue()


def install(executor: SshExecutor) -> str:
    """Put the archive on the host, unless it is there; return its path.

    Raises HelperMissing, HelperTooOld, SshFailed.
    """
    content = archive()
    digest = hashlib.sha256(content).hexdigest()
    answer = executor.run(
        ["python3", "-I", "-S", "-c", _INSTALL, digest, str(len(content))], content, INSTALL_TIMEOUT_S
    )
    if answer.exit_code == 0:
        return answer.stdout.decode(errors="replace").strip()
    said = answer.stderr.strip()
    if "too old" in said:
        raise HelperTooOld(
            f"{executor.host!r} has no helpers, and its Python cannot take their place: {said[-300:]}",
            hint=f"on {executor.host}: pip install remote-http-launcher, into a newer Python",
            host=executor.host,
        )
    raise executor.missing("rhl-look", f", and they could not be brought there: {said[-300:]}")


def _add(packed: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    packed.writestr(entry, content)
