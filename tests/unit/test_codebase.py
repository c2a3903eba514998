"""What code is: hashes of functions, versions and commits."""

from __future__ import annotations

import functools
import importlib
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import datajoint as dj
from datajoint import codebase

BODY = """
def make(self, key):
    value = self.fetch(key) + 1
    print(f"{value:.2f}", "x")
    return [value, *key, None, {**key, "a": 'b'}]
"""

SAME = """
def make(self: object,
         key: dict[str, int]) -> list:
    '''Make it.'''
    # a comment
    value = (self.fetch(key) +
             1)
    "another comment"
    print(f'{value:.2f}', 'x')


    return [value, *key, None, {**key, 'a': "b"}]
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Write a module and import it; it is another one each time."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loaded: list[str] = []

    def load_module(source: str, folder: str = ".") -> ModuleType:
        loaded.append(f"codebase_{len(loaded)}")
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.syspath_prepend(str(tmp_path / folder))
        (tmp_path / folder / f"{loaded[-1]}.py").write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        return importlib.import_module(loaded[-1])

    yield load_module
    for name in loaded:
        sys.modules.pop(name, None)


def hash_of(load: Callable[..., ModuleType], source: str) -> str | None:
    return codebase.source_hash([load(source).make])


def test_layout_and_comments_do_not_count(load):
    assert hash_of(load, BODY) == hash_of(load, SAME)


@pytest.mark.parametrize(
    ("old", "new"),
    [("+ 1", "- 1"), ("+ 1", "+ 1.0"), (":.2f", ":.3f"), ("None", "...")],
)
def test_all_else_counts(load, old, new):
    assert hash_of(load, BODY) != hash_of(load, BODY.replace(old, new))


def test_every_version_of_python_gives_the_same(load):
    assert hash_of(load, BODY) == "source:58db8e99be681a59f8f133198cab4a38"


def test_code_without_source():
    namespace: dict[str, Callable[..., object]] = {}
    source = "def one(x):\n    return x in {'a', 'b'}\ndef two(x):\n    return x in {'a', 'c'}"
    exec(source, namespace)
    one, two = namespace["one"], namespace["two"]
    assert codebase.source_hash([one]) is None
    compiled = codebase.compiled_hash([one])
    assert compiled is not None
    assert compiled.startswith(f"{sys.implementation.cache_tag}:")
    assert codebase.differs(compiled, codebase.compiled_hash([two]))
    again = subprocess.run(
        [
            sys.executable,
            "-c",
            f"from datajoint import codebase\n{source}\nprint(codebase.compiled_hash([one]))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout.strip() == compiled


def test_what_is_not_python():
    assert codebase.compiled_hash([len]) is None
    assert codebase.source_hash([len]) is None
    assert codebase.source_hash([functools.partial(print)]) is None
    assert codebase.source_hash([]) is None


def test_only_hashes_of_a_kind_differ():
    assert codebase.differs("source:1", "source:2")
    assert not codebase.differs("source:1", "source:1")
    assert not codebase.differs("source:1", "cpython-311:2")
    assert not codebase.differs(None, "source:1")


def test_versions(load, monkeypatch):
    own = f"datajoint {dj.__version__}"
    assert codebase.versions_of("datajoint.demo") == own
    assert codebase.versions_of("no_such_module.sub") == own
    module = load("__version__ = '1.2'")
    assert codebase.versions_of(module.__name__) == f"{own}, {module.__name__} 1.2"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    asked = subprocess.run(
        ["git", *identity, "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return asked.stdout.strip()


def test_commits(load, tmp_path, monkeypatch):
    try:
        git(tmp_path, "--version")
    except OSError:
        pytest.skip("git is not installed")
    folder = tmp_path / "repository"
    module = load("value = 1", "repository")
    assert codebase.commit_of(module.__name__) is None
    git(folder, "init", "-q")
    codebase._commit.cache_clear()
    assert codebase.commit_of(module.__name__) is None  # it is not committed
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    git(folder, "tag", "v1")
    codebase._commit.cache_clear()
    commit = git(folder, "rev-parse", "HEAD")
    assert len(commit) == 40
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert codebase.commit_of(module.__name__) == commit
    monkeypatch.delenv("GIT_DIR")
    (folder / f"{module.__name__}.py").write_text("value = 2")
    assert codebase.commit_of(module.__name__) == commit  # of the code that was loaded
    codebase._commit.cache_clear()
    assert codebase.commit_of(module.__name__) == f"{commit}-dirty"
    monkeypatch.setenv("PATH", "")
    codebase._commit.cache_clear()
    assert codebase.commit_of(module.__name__) is None


def test_no_commit_without_a_file():
    assert codebase.commit_of("no_such_module") is None
    assert codebase.commit_of("builtins") is None
