"""Which source files a module needs: its hierarchy, found in the text of the files."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bitwright.models.errors import InputError, StorageError

_COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"', re.DOTALL)
_DEFINITION = re.compile(r"\b(?:module|package|interface)\s+(?:automatic\s+|static\s+)?(\w+)")
_IDENTIFIER = re.compile(r"[A-Za-z_][\w$]*")


@dataclass(frozen=True, slots=True)
class Source:
    """One file: its name without the folder, its text, what it defines and what it mentions."""

    name: str
    text: str
    defines: frozenset[str]
    mentions: frozenset[str]


def read_sources(files: Sequence[Path]) -> list[Source]:
    """The files, in their order (packages before their users, as for any tool).

    Raises:
        StorageError: a file that cannot be read.
        InputError: two files with one name, which a flat folder cannot hold.
    """
    sources: list[Source] = []
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"cannot read the source file {path}: {error}") from None
        if any(path.name == other.name for other in sources):
            raise InputError(f"two source files are named {path.name}: give one of them")
        code = _COMMENT_OR_STRING.sub(" ", text)
        sources.append(
            Source(
                path.name,
                text,
                frozenset(_DEFINITION.findall(code)),
                frozenset(_IDENTIFIER.findall(code)),
            )
        )
    return sources


def needed_for(top: str, sources: Sequence[Source]) -> list[Source]:
    """The files that module `top` needs, in the given order.

    A file counts as needed where a needed file mentions a name that it defines. That may be one
    too many (a signal named like a module), which costs a cache miss, and is never one too few.

    Raises:
        InputError: no file defines `top`, or several do.
    """
    owners: dict[str, int] = {}
    for i, source in enumerate(sources):
        for name in source.defines:
            if name in owners:
                raise InputError(
                    f"{name} is defined in both {sources[owners[name]].name} and {source.name}: "
                    "give one of them"
                )
            owners[name] = i
    if top not in owners:
        names = ", ".join(source.name for source in sources) or "no file"
        raise InputError(f"module {top} is in none of the given files ({names}): add its file")
    return [sources[i] for i in sorted(_reachable(owners[top], owners, sources))]


def _reachable(first: int, owners: Mapping[str, int], sources: Sequence[Source]) -> set[int]:
    found, waiting = {first}, [first]
    while waiting:
        for name in sources[waiting.pop()].mentions & owners.keys():
            if owners[name] not in found:
                found.add(owners[name])
                waiting.append(owners[name])
    return found
