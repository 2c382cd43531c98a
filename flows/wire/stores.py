"""Objects of stores that operators have given the worker credentials for, by fsspec: S3, Google Cloud Storage, Azure Blobs.

The libraries connect by themselves, past `egress`: where to is the operator's setting, and never a job's.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

from flows.core.errors import NotFound, Refused, Unavailable

PACKAGES: Final[Mapping[str, str]] = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}
"""What reads a scheme; the extra of ours that brings it is named like the scheme."""
_NAMES: Final = ("ETag", "etag", "VersionId", "generation", "md5Hash", "content_md5", "LastModified", "last_modified", "mtime", "updated")
"""What the libraries call that which tells one state of an object from another."""


def installed() -> tuple[str, ...]:
    """Return the schemes whose package is there; loads none of them."""
    return tuple(scheme for scheme, package in PACKAGES.items() if find_spec(package) is not None)


def not_installed(scheme: str) -> str:
    """Say that a scheme cannot be read, and what to do about it."""
    return f"{scheme}:// is read by {PACKAGES[scheme]}, which is not installed where the worker runs: pip install 'xyra-integration[{scheme}]'."


class Found(NamedTuple):
    """An object as it is now."""

    size: int
    version: tuple[str, ...]
    """What tells that it is the one it was."""


class Store:
    """The stores of one scheme. Blocks for as long as the store takes; the libraries bound and repeat each request by themselves."""

    def __init__(self, scheme: str) -> None:
        """Load the library, and take the credentials that it finds; connects to nothing.

        Raises:
            Refused: it is not installed here, or does not take what is set for it.

        """
        self._scheme = scheme
        try:
            import fsspec  # noqa: PLC0415  comes with the extras only

            self._files: Any = fsspec.filesystem(scheme)
        except ImportError as error:
            raise Refused(not_installed(scheme)) from error
        except (TypeError, ValueError) as error:
            sentence = f"What is set for {scheme}:// where the worker runs is not taken ({type(error).__name__}); look at its FSSPEC_ variables."
            raise Refused(sentence) from error

    def look(self, url: str) -> Found:
        """Say what an object is now; raises as `read`."""
        with self._told(url):
            self._files.invalidate_cache()
            found: Mapping[str, Any] = self._files.info(url)
            if found.get("type") != "file" or found.get("size") is None:
                raise FileNotFoundError(url)
            return Found(int(found["size"]), (str(found["size"]), *(str(found[name]) for name in _NAMES if found.get(name))))

    def read(self, url: str, start: int, end: int) -> bytes:
        """Return the bytes of an object from `start` to before `end`.

        Raises:
            NotFound: there is none.
            Refused: it may not be read, with the credentials that there are.
            Unavailable: the store does not answer as it should.

        """
        with self._told(url):
            data: bytes = self._files.cat_file(url, start=start, end=end)
            return data

    @contextmanager
    def _told(self, url: str) -> Iterator[None]:
        """Make a sentence of what the library says, without its text, which may be the store's."""
        try:
            yield
        except FileNotFoundError as error:
            raise NotFound(f"There is no object {url}.") from error
        except PermissionError as error:
            raise Refused(f"{url} may not be read with the credentials of the worker.") from error
        except Exception as error:  # each library has a tree of its own, and there is no common root
            name = type(error).__name__
            hint = "; the worker has no credentials for it" if "Credentials" in name else ""
            raise Unavailable(f"{url} could not be read ({name}){hint}.") from error
