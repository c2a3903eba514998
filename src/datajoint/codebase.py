"""What code is: hashes of functions, the version and the commit of a module.

All of it is best effort: code that cannot be found is None, and nothing here ever fails.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any

from .version import __version__

#: What of a syntax tree does not change what the code does.
_IGNORED = frozenset(("ctx", "kind", "type_comment", "annotation", "returns"))
#: Seconds that git may take.
_PATIENCE = 5.0

# -- the code of functions ------------------------------------------------------------------------


def compiled_hash(functions: Iterable[Callable[..., Any]]) -> str | None:
    """Hash what functions are compiled to, which other versions of Python do otherwise.

    Returns
    -------
    str or None
        None when one of them is not written in Python.
    """
    codes = [getattr(function, "__code__", None) for function in functions]
    if not codes or None in codes:
        return None
    tag = sys.implementation.cache_tag
    return f"{tag}:{_digest(text for code in codes for text in _compiled(code))}"


def source_hash(functions: Iterable[Callable[..., Any]]) -> str | None:
    """Hash the source of functions, without comments, docstrings, type hints and layout.

    Every version of Python gives the same.

    Returns
    -------
    str or None
        None when the source of one of them is not known.
    """
    trees = list(map(_tree, functions))
    if not trees or None in trees:
        return None
    return f"source:{_digest(text for tree in trees for text in _canonical(tree))}"


def differs(one: str | None, other: str | None) -> bool:
    """Tell whether two hashes are of different code; not when they cannot be compared."""
    if one is None or other is None or one.partition(":")[0] != other.partition(":")[0]:
        return False
    return one != other


def _digest(texts: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def _compiled(code: Any) -> Iterator[str]:
    """Write what a function is compiled to; where in which file it stands is left out."""
    yield code.co_code.hex()
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _compiled(constant)
        elif isinstance(constant, frozenset):
            yield repr(sorted(map(repr, constant)))  # each process has them in another order
        else:
            yield repr(constant)


def _tree(function: Callable[..., Any]) -> ast.AST | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError):  # e.g. a lambda within an expression
        return None


def _canonical(node: Any) -> Iterator[str]:
    """Write a syntax tree; fields that newer versions of Python have added are left out."""
    if isinstance(node, list):
        yield "["
        for item in node:
            yield from _canonical(item)
        yield "]"
    elif not isinstance(node, ast.AST):
        yield repr(node)
    else:
        yield type(node).__name__
        for name, value in ast.iter_fields(node):
            if name in _IGNORED or value is None or value == []:
                continue
            yield name
            yield from _canonical(_without_docstring(value) if name == "body" else value)
        yield "."


def _without_docstring(body: Any) -> Any:
    """Leave out a text that is a statement: a docstring, or a comment of some kind."""
    return [s for s in body if not _is_text(s)] if isinstance(body, list) else body


def _is_text(statement: ast.AST) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


# -- versions -------------------------------------------------------------------------------------


def versions_of(module: str) -> str:
    """Name the version of this package, and of the one that a module is of if it tells it."""
    name = module.partition(".")[0]
    version = getattr(sys.modules.get(name), "__version__", None)
    own = f"datajoint {__version__}"
    return own if version is None or own == f"{name} {version}" else f"{own}, {name} {version}"


def commit_of(module: str) -> str | None:
    """Find the commit of the repository in which the file of a module is.

    Returns
    -------
    str or None
        With ``-dirty`` behind it when files are not as they were committed; None without a file,
        a repository, or git, and for a file that is not in the repository that it lies in.
    """
    file = getattr(sys.modules.get(module), "__file__", None)
    return None if file is None else _commit(os.path.realpath(file))


@lru_cache(maxsize=1000)
def _commit(file: str) -> str | None:
    folder = Path(file).parent
    if not any((above / ".git").exists() for above in (folder, *folder.parents)):
        return None
    if not _git(folder, "ls-files", "--", file):
        return None
    described = ("describe", "--always", "--abbrev=64", "--exclude=*")
    return _git(folder, *described, "--dirty") or _git(folder, *described)


def _git(folder: Path, *arguments: str) -> str | None:
    """Ask git, which may be missing, slow or unwilling; None without an answer."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        asked = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=_PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.decode(errors="replace").strip() or None
