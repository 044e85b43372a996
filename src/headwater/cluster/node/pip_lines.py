"""Which packages a container's command is going to install with pip, read from the command itself.

Only a prediction: the command is run unchanged. What is predicted is installed beforehand, and the same line is then
answered at once; what is not understood (variables, files, URLs, options that change where packages come from on this
machine) is left to the line itself, inside the pod.
"""

import re
import shlex
from collections.abc import Iterable, Sequence

PipLine = tuple[str, ...]
"""The arguments after ``pip install``, exactly as the command passes them."""

_START = re.compile(r"(?<![\w./-])(?:python[\d.]*\s+-m\s+)?pip[\d.]*\s+install\s")
_END = re.compile(r"&&|\|\||[;|\n&<>)]")
_FLAGS = frozenset(
    {
        "-q", "-qq", "--quiet", "-v", "--verbose", "-U", "--upgrade", "--no-deps", "--user", "--pre", "--no-cache-dir",
        "--no-warn-script-location", "--disable-pip-version-check", "--no-input", "--prefer-binary",
        "--root-user-action=ignore", "--progress-bar=off", "--no-color",
    }
)  # fmt: skip
_WITH_VALUE = frozenset({"-i", "--index-url", "--extra-index-url", "--trusted-host", "--progress-bar"})
_REQUIREMENT = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[A-Za-z0-9._,\s-]*\])?\s*(?:[<>=!~][^@$`/\\]*)?(?:;[^@$`/\\]*)?"
)
_FOR_UV = {"-U": "--upgrade", "--no-cache-dir": None, "-i": "--index-url", "--pre": "--prerelease=allow"}


def pip_lines(argv: Iterable[str]) -> tuple[PipLine, ...]:
    """Return the pip lines of a command that are understood, in order; the first that is not ends the list.

    Later lines may depend on an earlier one's effects, so nothing after it is predicted.
    """
    words = list(argv)
    if direct := _direct(words):
        return (direct,) if understood(direct) else ()
    found: list[PipLine] = []
    for text in words:
        for match in _START.finditer(text):
            line = _arguments(text, match.end())
            if line is None or not understood(line):
                return tuple(found)
            found.append(line)
    return tuple(found)


def understood(line: PipLine) -> bool:
    """Tell whether the line only names packages of an index, with options whose meaning is known."""
    packages = 0
    values = iter(line)
    for word in values:
        name, equals, _ = word.partition("=")
        if word in _FLAGS:
            continue
        if word in _WITH_VALUE:
            if _suspicious(next(values, "$")):
                return False
        elif equals and name in _WITH_VALUE:
            if _suspicious(word):
                return False
        elif word.startswith("-") or not _REQUIREMENT.fullmatch(word):
            return False
        else:
            packages += 1
    return packages > 0


def for_uv(line: PipLine) -> list[str]:
    """Return the line's arguments as ``uv pip install`` takes them."""
    result: list[str] = []
    values = iter(line)
    for word in values:
        name, equals, value = word.partition("=")
        if name in ("--index-url", "--extra-index-url", "-i", "--trusted-host", "--progress-bar"):
            value = value if equals else next(values)
            if name == "--trusted-host":
                result += ["--allow-insecure-host", value]
            elif name != "--progress-bar":
                result += ["--index-url" if name == "-i" else name, value]
        elif word in ("-U", "--upgrade"):
            result.append("--upgrade")
        elif word == "--pre":
            result.append("--prerelease=allow")
        elif word == "--no-deps" or not word.startswith("-"):
            result.append(word)
    return result


def _direct(words: Sequence[str]) -> PipLine | None:
    """Return the arguments when the command itself is pip."""
    program = words[0].rsplit("/", 1)[-1] if words else ""
    if re.fullmatch(r"pip[\d.]*", program) and words[1:2] == ["install"]:
        return tuple(words[2:])
    if re.fullmatch(r"python[\d.]*", program) and list(words[1:4]) == ["-m", "pip", "install"]:
        return tuple(words[4:])
    return None


def _arguments(text: str, start: int) -> PipLine | None:
    """Return the words from ``start`` to the end of the shell's simple command; None when they are not plain."""
    end = start
    quote = ""
    while end < len(text):
        char = text[end]
        if quote:
            if quote == '"' and char == "\\":
                end += 1
            elif char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char == "\\":
            end += 1
        elif _END.match(text, end):
            break
        end += 1
    plain = text[start:end].replace("\\\n", " ")
    if re.search(r"[$`*?~#{}]", re.sub(r"'[^']*'", "", plain)) and not _only_compatible(plain):
        return None
    try:
        return tuple(shlex.split(plain))
    except ValueError:
        return None


def _only_compatible(plain: str) -> bool:
    """Tell whether the special characters are all the ``~`` of a ``~=`` inside a word."""
    rest = re.sub(r"'[^']*'|\"[^\"$`\\]*\"|(?<=[\w\]])~=", "", plain)
    return not re.search(r"[$`*?~#{}]", rest)


def _suspicious(value: str) -> bool:
    return bool(re.search(r"[$`]|file:", value)) or value.startswith("/")
