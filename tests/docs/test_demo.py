"""The demonstration and the command line, as a new user meets them."""

from __future__ import annotations

import importlib
import inspect
import io
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

import datajoint as dj
from datajoint import cli, demo

IMAGES = 6
FILTERS = 3

COINS = {"image_name": "coins", "filter_name": "fine"}


@dataclass
class Output:
    out: str
    err: str


@dataclass
class Session:
    """What a new user sees and gets: two runs, and then the lines that are to be typed."""

    first: Output
    second: Output
    made: dict[str, int]
    left: dict[str, int]
    coins: list[dict[str, Any]]
    filtered_coins: Any
    images: list[Any]
    picture: bytes
    typed: subprocess.CompletedProcess[str]


def reload_demo() -> ModuleType:
    """Import the demonstration as a new process does: with its schema not activated."""
    if demo.schema.is_activated():
        demo.schema.connection.close()
    return importlib.reload(demo)


@pytest.fixture
def fresh() -> Iterator[ModuleType]:
    yield reload_demo()
    reload_demo()


def run(module: ModuleType, database: Path, picture: Path) -> Output:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        module.main(str(database), str(picture))
    return Output(out.getvalue(), err.getvalue())


def counts(module: ModuleType) -> dict[str, int]:
    tables = (
        module.ImageFile,
        module.FilterParam,
        module.Image,
        module.FilteredImage,
        module.Segmentation,
        module.Segmentation.ROI,
    )
    return {table.__name__: len(table()) for table in tables}


def what_to_type(printed: str) -> list[str]:
    return textwrap.dedent(printed.rpartition("type:\n\n")[2]).strip().splitlines()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    pytest.importorskip("skimage")
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("demo")
    database, picture = folder / "demo.db", folder / "demo.png"
    module = reload_demo()
    first = run(module, database, picture)
    made = counts(module)
    module = reload_demo()
    second = run(module, database, picture)
    left = counts(module)
    coins = (module.Segmentation.ROI & COINS).fetch(as_dict=True)
    filtered_coins = (module.FilteredImage & COINS).fetch1("filtered_image")
    images = list(module.Image.fetch("image"))
    reload_demo()
    lines = [*what_to_type(second.out), "print(len(FilteredImage()), len(Segmentation()))"]
    typed = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
    )
    return Session(
        first,
        second,
        made,
        left,
        coins,
        filtered_coins,
        images,
        picture.read_bytes(),
        typed,
    )


def test_first_run(session: Session) -> None:
    assert session.made == {
        "ImageFile": IMAGES,
        "FilterParam": FILTERS,
        "Image": IMAGES,
        "FilteredImage": IMAGES * FILTERS,
        "Segmentation": IMAGES * FILTERS,
        "ROI": session.made["ROI"],
    }
    for bar in ("Image: 100%", "FilteredImage: 100%", "Segmentation: 100%"):
        assert bar in session.first.err
    out = session.first.out
    assert "nothing to compute" not in out
    for text in ("Segmentation.ROI", "=BLOB=", f"(Total: {session.made['ROI']})", "*image_name"):
        assert text in out


def test_the_query_at_the_end(session: Session) -> None:
    query = session.first.out.rpartition("A query")[2].partition("(Total: 18)")[0]
    rows = [line.split() for line in query.splitlines() if len(line.split()) == 4][2:]
    assert len(rows) == IMAGES * FILTERS  # so every segmentation has parts
    assert all(int(n) > 0 and float(area) >= 30 for _, _, n, area in rows)
    assert sum(int(n) for _, _, n, _ in rows) == session.made["ROI"]


def test_second_run_computes_nothing(session: Session) -> None:
    assert session.second.out.count("nothing to compute") == 3
    assert "100%" not in session.second.err
    assert session.left == session.made


def test_regions(session: Session) -> None:
    assert len(session.coins) == 24  # as many coins as lie there
    for roi in session.coins:
        assert roi["roi_area"] == roi["roi_pixels"].size == roi["roi_weights"].size >= 30
        assert (session.filtered_coins.flat[roi["roi_pixels"]] == roi["roi_weights"]).all()


def test_images_are_small(session: Session) -> None:
    assert len(session.images) == IMAGES
    for image in session.images:
        assert image.ndim == 2
        assert max(image.shape) <= 512
        assert 0 <= image.min() < image.max() <= 1


def test_picture(session: Session) -> None:
    assert session.picture.startswith(b"\x89PNG\r\n")
    assert len(session.picture) > 100_000


def test_what_to_type_next_runs(session: Session) -> None:
    assert what_to_type(session.first.out)[0] == "import datajoint as dj"
    assert session.typed.returncode == 0, session.typed.stderr
    assert session.typed.stdout.split() == [str(IMAGES * (FILTERS + 1))] * 2


def test_the_example_stays_short() -> None:
    assert len(inspect.getsource(demo).splitlines()) <= 150


def test_importing_the_demo_opens_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, datajoint.demo as demo; assert not demo.schema.is_activated();"
        "print(*{'skimage', 'matplotlib', 'apsw', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.strip() == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["skimage", "matplotlib"])
def test_missing_packages(
    package: str, fresh: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(dj.DataJointError, match=r"pip install 'datajoint\[demo\]'"):
        fresh.main()
    assert list(tmp_path.iterdir()) == []


def test_errors_are_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise dj.DataJointError("No such luck")

    monkeypatch.setattr(demo, "main", fail)
    result = CliRunner().invoke(cli.main, ["demo"])
    assert result.exit_code == 1
    assert result.output == "Error: No such luck\n"


@pytest.mark.parametrize("path", ["missing/demo.db", "not_a_database"])
def test_a_database_that_cannot_be_opened(
    path: str, fresh: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "not_a_database").write_text("This is a letter and no database. " * 100)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.main, ["demo", "--database", path])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert path in result.output


def test_help() -> None:
    result = CliRunner().invoke(cli.main, ["--help"])
    assert result.exit_code == 0
    assert "Relational data pipelines" in result.output
    assert "demo" in result.output
    result = CliRunner().invoke(cli.main, ["demo", "--help"])
    assert result.exit_code == 0
    assert "datajoint_demo.db" in result.output


def test_version() -> None:
    result = CliRunner().invoke(cli.main, ["--version"])
    assert result.exit_code == 0
    assert result.output == f"datajoint {dj.__version__}\n"
