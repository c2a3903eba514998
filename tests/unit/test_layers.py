"""The structure of the package: imports point down the layers, and importing it is light."""

import ast
import subprocess
import sys
from pathlib import Path

import datajoint

PACKAGE = Path(datajoint.__file__).parent

#: From the bottom up; a module imports only from entries before its own.
LAYERS = [
    # leaves
    "errors",
    "version",
    "logging",
    "utils",
    "hash",
    "url",
    "secrecy",
    "codebase",
    # values
    "settings",
    "types",
    "scanner",
    "grammar",
    "blob.stream",
    "blob.codecs",
    "blob",
    "storage",
    "storage.base",
    "storage.paths",
    "storage.objects",
    "storage.forking",
    "storage.files",
    "storage.local",
    "storage.s3",
    "storage.remote",
    "storage.registry",
    "storage.cache",
    "storage.transfer",
    "storage.outgoing",
    "storage.copying",
    "storage.saving",
    "storage.handles",
    # sql
    "sql",
    "sql.text",
    "sql.json_path",
    "sql.inference",
    "sql.fragment",
    "sql.json_operators",
    "sql.algebra",
    "sql.dialect",
    "sql.select",
    "sql.statements",
    "sql.leasing",
    "sql.sqlite_json",
    "sql.sqlite_fragments",
    "sql.sqlite",
    "sql.mysql_json",
    "sql.mysql",
    "sql.postgresql_values",
    "sql.postgresql_dates",
    "sql.postgresql_functions",
    "sql.postgresql_json",
    "sql.postgresql_fragments",
    "sql.postgresql_assign",
    "sql.postgresql",
    # model
    "heading",
    "condition",
    "projection",
    "declare",
    "describe",
    "alter",
    "dependencies",
    "lineage",
    "attribute_adapter",
    # backends
    "backends",
    "backends.base",
    "backends.catalog",
    "backends.registry",
    "backends.sqlite_functions",
    "backends.sqlite_ddl",
    "backends.sqlite",
    "backends.postgresql_ddl",
    "backends.postgresql_alter",
    "backends.postgresql_catalog",
    "backends.postgresql_errors",
    "backends.postgresql",
    "backends.mysql_drivers",
    "backends.mysql_paths",
    "backends.mysql_ddl",
    "backends.mysql",
    # session
    "codec",
    "query_cache",
    "reads",
    "streaming",
    "session",
    "connection",
    "tracking",
    "sharing",
    "filepaths",
    # query
    "decoding",
    "fetch",
    "frames",
    "retrieval",
    "preview",
    "compatibility",
    "expression",
    # tables
    "references",
    "insertion",
    "placing",
    "collecting",
    "refusals",
    "inserting",
    "validation",
    "updating",
    "service",
    "trackers",
    "cascade",
    "deleting",
    "changes",
    "dropping",
    "altering",
    "table",
    "jobs",
    "verification",
    "external",
    "heartbeat",
    "leases",
    "key_source",
    "provenance",
    "terminating",
    "making",
    "populating",
    "sending",
    "scheduling",
    "distributing",
    "progressing",
    "autopopulate",
    "user_tables",
    "classes",
    "source",
    "schemas",
    # applications
    "diagram",
    "admin",
    "legacy",
    "migrate",
    "garbage",
    "demo",
    "worker",
    "cli_shared",
    "cli_populate",
    "cli",
]

#: Packages that may be imported where they are used: optional ones, and slow ones.
LOCAL_IMPORTS = {
    "IPython",
    "cloudpickle",
    "fsspec",
    "loky",
    "matplotlib",
    "networkx",
    "obstore",
    "pandas",
    "polars",
    "pyarrow",
    "skimage",
    "tqdm",
}

#: What `import datajoint` must not load.
HEAVY = (
    "cloudpickle",
    "loky",
    "pandas",
    "networkx",
    "sqlglot",
    "fsspec",
    "matplotlib",
    "obstore",
    "apsw",
    "pymysql",
    "psycopg",
    "numpy",
)


def modules() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(
            ".__init__"
        ): ast.parse(path.read_text())
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "__init__.py"
    }


def imports(name: str, tree: ast.AST) -> set[str]:
    """The modules of the package that a module imports."""
    parent = name.split(".")[:-1]
    if (PACKAGE / Path(*name.split("."))).is_dir():
        parent = name.split(".")
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = parent[: len(parent) - (node.level - 1)]
            target = [*base, *(node.module or "").split(".")] if node.module else base
            if node.module and (".".join(target)) in LAYERS:
                names = [".".join([*target, alias.name]) for alias in node.names]
                found |= {n if n in LAYERS else ".".join(target) for n in names}
            else:
                found |= {".".join([*target, alias.name]) for alias in node.names}
        elif isinstance(node, ast.Import) and any(a.name == "datajoint" for a in node.names):
            found.add("diagram")  # the demo imports the package as its users do
    return found


def test_every_module_has_a_layer() -> None:
    assert set(modules()) == set(LAYERS)


def test_imports_point_down() -> None:
    upward = [
        (name, target)
        for name, tree in modules().items()
        for target in imports(name, tree)
        if LAYERS.index(target) >= LAYERS.index(name)
    ]
    assert upward == []


def test_imports_stand_at_the_top() -> None:
    local = []
    for name, tree in modules().items():
        for function in ast.walk(tree):
            if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    roots = {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    roots = {"." if node.level else (node.module or "").split(".")[0]}
                else:
                    continue
                local += [(name, root) for root in roots - LOCAL_IMPORTS]
    assert local == []


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, datajoint; print([m for m in {HEAVY!r} if m in sys.modules])"
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert output.strip() == "[]"


def test_importing_the_package_opens_no_file(tmp_path: Path) -> None:
    (tmp_path / "dj_local_conf.json").write_text("not JSON")
    code = "import datajoint; datajoint.config"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["dj_local_conf.json"]


def test_every_public_name_is_there() -> None:
    assert [name for name in datajoint.__all__ if not hasattr(datajoint, name)] == []
    assert set(datajoint.__all__) <= set(dir(datajoint))
