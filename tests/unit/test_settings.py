"""The configuration: where values come from, what is accepted, how it is shown and saved."""

import json
import logging
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from datajoint import settings
from datajoint.errors import DataJointError
from datajoint.secrecy import is_secret
from datajoint.settings import (
    GLOBALCONFIG,
    LOCALCONFIG,
    SETTINGS,
    Config,
    choose_backend,
    parse_url,
)

DEFAULTS = {
    "database.url": None,
    "database.backend": None,
    "database.path": "datajoint.db",
    "database.host": None,
    "database.user": None,
    "database.password": None,
    "database.port": 3306,
    "database.name": None,
    "database.reconnect": True,
    "database.use_tls": None,
    "database.timeout": 600.0,
    "connection.init_function": None,
    "connection.charset": "",
    "loglevel": "INFO",
    "safemode": True,
    "fetch_format": "array",
    "display.limit": 12,
    "display.width": 14,
    "display.show_tuple_count": True,
    "strict_restrictions": None,
    "join_check": "keys",
    "enable_python_native_blobs": True,
    "blob_memory_limit": 2**32,
    "log_events": True,
    "add_hidden_timestamp": False,
    "populate.lease": 60.0,
    "populate.patience": 300.0,
    "populate.provenance": False,
    "filepath_checksum_size_limit": None,
    "filepath_checksum_size_limit_insert": None,
    "cache_limit": None,
    "external.transfers": 16,
}

INCUMBENT_FILE = {
    "database.host": "localhost",
    "database.password": "simple",
    "database.user": "alice",
    "database.port": 3306,
    "database.reconnect": True,
    "connection.init_function": None,
    "connection.charset": "",
    "loglevel": "INFO",
    "safemode": True,
    "fetch_format": "array",
    "display.limit": 12,
    "display.width": 14,
    "display.show_tuple_count": True,
    "database.use_tls": None,
    "enable_python_native_blobs": True,
    "log_events": True,
    "add_hidden_timestamp": False,
    "filepath_checksum_size_limit": None,
    "filepath_checksum_size_limit_insert": None,
    "stores": {
        "ext": {"protocol": "file", "location": "/data/ext", "subfolding": [2, 2]},
    },
    "custom": {"database.prefix": "lab_"},
}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Give every test empty folders and environment; leave the logger as it was."""
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    for name in [name for name in os.environ if name.startswith("DJ_")]:
        monkeypatch.delenv(name)
    logger = logging.getLogger("datajoint")
    level, handlers = logger.level, logger.handlers[:]
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers


@pytest.fixture
def config():
    return Config()


def write(path, content):
    Path(path).write_text(json.dumps(content), encoding="utf-8")


def home_file():
    return Path.home() / GLOBALCONFIG


class TestLoading:
    def test_names_of_files(self):
        assert (LOCALCONFIG, GLOBALCONFIG) == ("dj_local_conf.json", ".datajoint_config.json")

    def test_import_opens_and_reads_nothing(self):
        """A broken file and a broken environment do no harm until the first access."""
        Path(LOCALCONFIG).write_text("{")
        script = (
            "import os, sys\n"
            "import json, tempfile, logging, pprint, urllib.parse, difflib, dataclasses\n"
            "opened = []\n"
            "sys.addaudithook(lambda event, args: opened.append(args[0])"
            " if event == 'open' and str(args[0]).endswith('.json') else None)\n"
            "class Closed(dict):\n"
            "    def _refuse(self, *args): raise AssertionError('environment read')\n"
            "    __getitem__ = __contains__ = __iter__ = get = keys = items = _refuse\n"
            "environ, os.environ = os.environ, Closed()\n"
            "from datajoint.settings import config\n"
            "os.environ = environ\n"
            "assert not opened, opened\n"
            "try:\n"
            "    config['safemode']\n"
            "except Exception as error:\n"
            "    print(type(error).__name__, len(opened))\n"
        )
        source = str(Path(settings.__file__).parents[1])
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": source, "DJ_PORT": "many"},
            capture_output=True,
            text=True,
        )
        assert (done.stdout, done.stderr) == ("DataJointError 1\n", "")

    def test_defaults(self, config):
        assert dict(config) == DEFAULTS
        assert list(config) == list(DEFAULTS)
        assert len(config) == len(DEFAULTS)

    @pytest.mark.parametrize(
        "access",
        [
            lambda config: config["database.user"],
            lambda config: config.get("database.user"),
            lambda config: config.database.user,
            lambda config: dict(config)["database.user"],
            lambda config: dict(config.items())["database.user"],
            lambda config: "'zoe'" in repr(config) and "zoe",
        ],
    )
    def test_any_first_access_loads(self, config, access):
        write(LOCALCONFIG, {"database.user": "zoe"})
        assert access(config) == "zoe"

    def test_setting_first_loads_and_wins(self, config):
        write(LOCALCONFIG, {"database.user": "zoe", "database.port": 3307})
        config["database.user"] = "ann"
        assert (config["database.user"], config["database.port"]) == ("ann", 3307)

    def test_only_the_first_file_counts(self, config):
        write(home_file(), {"database.user": "home", "database.port": 1})
        assert config["database.user"] == "home"
        write(LOCALCONFIG, {"database.user": "local"})
        assert config["database.user"] == "home"
        config.reset()
        assert (config["database.user"], config["database.port"]) == ("local", 3306)

    def test_environment_goes_before_files(self, config, monkeypatch):
        write(LOCALCONFIG, {"database.user": "file", "database.host": "file"})
        monkeypatch.setenv("DJ_USER", "env")
        assert (config["database.user"], config["database.host"]) == ("env", "file")

    @pytest.mark.parametrize(
        ("variable", "text", "key", "value"),
        [
            ("DJ_HOST", "db.lab.org", "database.host", "db.lab.org"),
            ("DJ_USER", "alice", "database.user", "alice"),
            ("DJ_PASS", "haha", "database.password", "haha"),
            ("DJ_PASS", "", "database.password", ""),
            ("DJ_PORT", "3307", "database.port", 3307),
            ("DJ_DBNAME", "lab", "database.name", "lab"),
            ("DJ_AWS_ACCESS_KEY_ID", "AKIA", "external.aws_access_key_id", "AKIA"),
            ("DJ_AWS_SECRET_ACCESS_KEY", "s3cr3t", "external.aws_secret_access_key", "s3cr3t"),
            ("DJ_LOG_LEVEL", "debug", "loglevel", "DEBUG"),
            ("DJ_BACKEND", "postgresql", "database.backend", "postgresql"),
            ("DJ_BACKEND", "Postgres", "database.backend", "postgresql"),
            ("DJ_BACKEND", "mariadb", "database.backend", "mysql"),
            ("DJ_PATH", "/data/lab.db", "database.path", "/data/lab.db"),
            ("DJ_URL", "mysql://h/", "database.url", "mysql://h/"),
            ("DJ_USE_TLS", "TRUE", "database.use_tls", True),
            ("DJ_USE_TLS", "0", "database.use_tls", False),
        ],
    )
    def test_environment_variable(self, config, monkeypatch, variable, text, key, value):
        monkeypatch.setenv(variable, text)
        assert dict(config) == {**DEFAULTS, key: value}

    def test_all_environment_variables_are_tested(self):
        assert {setting.env for setting in SETTINGS.values()} - {None} == {
            *("DJ_HOST", "DJ_USER", "DJ_PASS", "DJ_PORT", "DJ_AWS_ACCESS_KEY_ID"),
            *("DJ_AWS_SECRET_ACCESS_KEY", "DJ_LOG_LEVEL", "DJ_BACKEND", "DJ_PATH", "DJ_URL"),
            *("DJ_USE_TLS", "DJ_DBNAME"),
        }

    def test_empty_variables_count_as_unset(self, config, monkeypatch):
        for setting in SETTINGS.values():
            if setting.env:
                monkeypatch.setenv(setting.env, "")
        assert dict(config) == {**DEFAULTS, "database.password": ""}

    @pytest.mark.parametrize(
        ("variable", "text", "message"),
        [
            (
                "DJ_PORT",
                "many",
                "Setting 'database.port' from DJ_PORT must be a whole number from 1 to 65535, "
                "not 'many'.",
            ),
            (
                "DJ_BACKEND",
                "oracle",
                "Setting 'database.backend' from DJ_BACKEND must be one of 'sqlite', 'mysql', "
                "'postgresql' or None, not 'oracle'.",
            ),
            (
                "DJ_USE_TLS",
                "maybe",
                "Setting 'database.use_tls' from DJ_USE_TLS must be True, False, a dict of the "
                "driver's options or None, not 'maybe'.",
            ),
        ],
    )
    def test_bad_variable(self, config, monkeypatch, variable, text, message):
        monkeypatch.setenv(variable, text)
        with pytest.raises(DataJointError) as caught:
            dict(config)
        assert str(caught.value) == message
        monkeypatch.delenv(variable)
        assert dict(config) == DEFAULTS

    def test_incumbent_file(self, config, caplog):
        write(LOCALCONFIG, INCUMBENT_FILE)
        assert dict(config) == {**DEFAULTS, **INCUMBENT_FILE}
        assert choose_backend(config) == "mysql"
        assert not caplog.records

    def test_bad_value_in_file_names_the_file(self, config):
        write(LOCALCONFIG, {"database.port": "3306"})
        with pytest.raises(DataJointError) as caught:
            config.get("safemode")
        assert str(caught.value) == (
            f"Setting 'database.port' in {Path(LOCALCONFIG).resolve()} must be a whole number "
            "from 1 to 65535, not '3306'."
        )

    def test_file_that_is_not_json(self, config):
        Path(LOCALCONFIG).write_text("{'database.host': 1}")
        with pytest.raises(DataJointError, match=rf"{LOCALCONFIG} is not valid JSON: .*line 1"):
            config.get("safemode")

    def test_file_that_is_no_object(self, config):
        write(LOCALCONFIG, [1])
        with pytest.raises(DataJointError, match="must hold a JSON object of settings"):
            config.get("safemode")

    def test_file_with_byte_order_mark(self, config):
        Path(LOCALCONFIG).write_text('{"database.user": "zoë"}', encoding="utf-8-sig")
        assert config["database.user"] == "zoë"

    def test_load_goes_before_environment(self, config, monkeypatch):
        monkeypatch.setenv("DJ_USER", "env")
        write("other.json", {"database.user": "file", "custom": 1})
        config.load("other.json")
        assert dict(config) == {**DEFAULTS, "database.user": "file", "custom": 1}

    def test_load_is_all_or_nothing(self, config):
        write("other.json", {"database.user": "file", "safemode": "no"})
        with pytest.raises(DataJointError):
            config.load("other.json")
        assert dict(config) == DEFAULTS

    def test_load_of_missing_file(self, config):
        with pytest.raises(FileNotFoundError):
            config.load("nowhere.json")


class TestValues:
    @pytest.mark.parametrize(
        ("key", "value", "kept"),
        [
            ("database.host", "h", "h"),
            ("database.host", None, None),
            ("database.path", Path("a") / "b.db", os.path.join("a", "b.db")),
            ("database.port", 5432, 5432),
            ("database.use_tls", False, False),
            ("database.use_tls", {"ca": "x"}, {"ca": "x"}),
            ("database.timeout", 5, 5.0),
            ("loglevel", "warning", "WARNING"),
            ("safemode", 0, False),
            ("fetch_format", "frame", "frame"),
            ("strict_restrictions", "warn", "warn"),
            ("cache", Path("c"), "c"),
            ("query_cache", None, None),
            ("filepath_checksum_size_limit", 0, 0),
            ("custom", {1, 2}, {1, 2}),
            ("lab.room", 12, 12),
        ],
    )
    def test_accepted(self, config, key, value, kept):
        config[key] = value
        assert config[key] == kept
        assert type(config[key]) is type(kept)

    def test_numpy_integer(self, config):
        numpy = pytest.importorskip("numpy")
        config["display.limit"] = numpy.int64(5)
        assert type(config["display.limit"]) is int

    @pytest.mark.parametrize(
        ("key", "value", "expected"),
        [
            ("database.host", 5, "a string or None"),
            ("database.user", b"x", "a string or None"),
            ("database.path", None, "the path of a file"),
            ("database.path", "", "the path of a file"),
            ("database.port", "3306", "a whole number from 1 to 65535"),
            ("database.port", None, "a whole number from 1 to 65535"),
            ("database.port", True, "a whole number from 1 to 65535"),
            ("database.port", 70000, "a whole number from 1 to 65535"),
            ("database.port", 3306.0, "a whole number from 1 to 65535"),
            ("database.backend", "oracle", "one of 'sqlite', 'mysql', 'postgresql' or None"),
            ("database.use_tls", "yes", "True, False, a dict of the driver's options or None"),
            ("database.timeout", -1, "a number of seconds, 0 or more"),
            ("database.timeout", "5", "a number of seconds, 0 or more"),
            ("database.timeout", float("nan"), "a number of seconds, 0 or more"),
            ("populate.lease", 0, "a number of seconds, more than 0"),
            ("database.timeout", 10**400, "a number of seconds, 0 or more"),
            ("connection.charset", None, "a string"),
            ("loglevel", "LOUD", "one of 'DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'"),
            ("loglevel", 10, "one of 'DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'"),
            ("safemode", "no", "True or False"),
            ("safemode", None, "True or False"),
            ("safemode", 2, "True or False"),
            ("fetch_format", "polars", "one of 'array', 'frame'"),
            ("display.limit", -1, "a whole number, 0 or more"),
            ("stores", ["a"], "a dict"),
            ("cache", 5, "the path of a folder or None"),
        ],
    )
    def test_refused(self, config, key, value, expected):
        before = dict(config)
        with pytest.raises(DataJointError) as caught:
            config[key] = value
        assert str(caught.value) == f"Setting {key!r} must be {expected}, not {value!r}."
        assert dict(config) == before

    def test_refused_secret_is_not_shown(self, config):
        with pytest.raises(DataJointError) as caught:
            config["database.password"] = 12345
        assert str(caught.value) == (
            "Setting 'database.password' must be a string or None, not '***'."
        )
        with pytest.raises(DataJointError) as caught:
            config["database.url"] = "oracle://u:hush@h/"
        assert "'oracle://u:***@h/'" in str(caught.value)
        assert "hush" not in f"{caught.value} {caught.value.__cause__}"

    def test_names_are_strings(self, config):
        with pytest.raises(DataJointError, match="Names of settings are strings; 5 is not"):
            config[5] = 1

    def test_stores_are_kept_by_reference(self, config):
        stores = config["stores"] = {}
        config["stores"]["a"] = {"protocol": "file", "location": "/a"}
        assert config["stores"] is stores
        assert stores == {"a": {"protocol": "file", "location": "/a"}}

    def test_every_default_is_acceptable(self, config):
        config.update(DEFAULTS)
        assert dict(config) == DEFAULTS

    def test_every_setting_has_a_doc_line(self):
        assert [name for name, s in SETTINGS.items() if not s.doc.endswith(".")] == []


class TestMapping:
    def test_optional_settings_are_absent_until_set(self, config):
        for key in ("stores", "cache", "query_cache", "plugin"):
            assert key not in config
            assert config.get(key) is None
        config["cache"] = "/c"
        assert "cache" in config

    def test_get_update_pop_del(self, config):
        config.update({"database.user": "u"}, custom=1)
        assert config.get("custom", 0) == 1
        assert config.pop("custom") == 1
        assert config.pop("custom", None) is None
        del config["database.user"]
        assert "database.user" not in config
        assert dict(config) == {k: v for k, v in DEFAULTS.items() if k != "database.user"}
        with pytest.raises(KeyError):
            del config["database.user"]

    def test_equality_and_clear(self, config):
        assert config == DEFAULTS
        config.clear()
        assert dict(config) == {}

    @pytest.mark.parametrize(
        ("key", "message"),
        [
            (
                "database.hots",
                "There is no setting 'database.hots'. Did you mean 'database.host'?",
            ),
            ("safe_mode", "There is no setting 'safe_mode'. Did you mean 'safemode'?"),
            ("host", "There is no setting 'host'. Did you mean 'database.host'?"),
            ("databse.user", "There is no setting 'databse.user'. Did you mean 'database.user'?"),
            ("custom", "There is no setting 'custom'."),
            (
                "cache",
                "Setting 'cache' is not set (Folder that caches objects of external stores.)",
            ),
        ],
    )
    def test_unknown_key(self, config, key, message):
        with pytest.raises(KeyError) as caught:
            config[key]
        assert str(caught.value) == message
        assert caught.value.args == (key,)

    @pytest.mark.parametrize(
        ("key", "guess"),
        [
            ("database.hots", "database.host"),
            ("database.pass", "database.password"),
            ("Database.Host", "database.host"),
            ("databse.user", "database.user"),
            ("display.limits", "display.limit"),
            ("safe_mode", "safemode"),
        ],
    )
    def test_near_miss_warns_and_is_kept(self, config, caplog, key, guess):
        config[key] = "x"
        assert config[key] == "x"
        assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == [
            (
                "datajoint",
                "WARNING",
                f"Unknown setting {key!r} has no effect. Did you mean {guess!r}?",
            )
        ]

    def test_near_miss_in_file_and_block_warns(self, config, caplog):
        write(LOCALCONFIG, {"database.usr": "x"})
        with config(display__limt=1):
            pass
        assert [r.args for r in caplog.records] == [
            ("database.usr", "database.user"),
            ("display.limt", "display.limit"),
        ]

    @pytest.mark.parametrize(
        "key",
        ["custom", "lab", "project", "database.prefix", "database.comment", "lab.host", "external"],
    )
    def test_own_keys_do_not_warn(self, config, caplog, key):
        config[key] = "x"
        assert not caplog.records


class TestAttributes:
    def test_read(self, config):
        assert config.safemode is True
        assert config.database.port == 3306
        assert config.display.limit == 12

    def test_write(self, config):
        config.safemode = False
        config.database.host = "h"
        config.custom = {"a": 1}
        assert (config["safemode"], config["database.host"]) == (False, "h")
        assert config["custom"] == config.custom == {"a": 1}

    def test_write_is_checked(self, config):
        with pytest.raises(DataJointError, match=r"'database\.port' must be"):
            config.database.port = "3306"

    def test_section_is_a_view(self, config):
        view = config.database
        config["database.host"] = "h"
        assert view.host == view["host"] == "h"
        del view["host"]
        assert "database.host" not in config
        assert dict(config.display) == {"limit": 12, "width": 14, "show_tuple_count": True}
        assert len(config.display) == 3

    def test_own_sections(self, config):
        config["lab.room.door"] = "left"
        assert config.lab.room.door == "left"
        config.lab.room.door = "right"
        assert config["lab.room.door"] == "right"

    def test_section_hides_nothing(self, config):
        """Configurations of version 0.11 have a dict named like a section."""
        config["external"] = {"protocol": "file"}
        assert config["external"] == {"protocol": "file"}

    @pytest.mark.parametrize(
        ("read", "message"),
        [
            (
                lambda config: config.safe_mode,
                "There is no setting 'safe_mode'. Did you mean 'safemode'?",
            ),
            (
                lambda config: config.database.hots,
                "There is no setting 'database.hots'. Did you mean 'database.host'?",
            ),
        ],
    )
    def test_unknown(self, config, read, message):
        with pytest.raises(AttributeError) as caught:
            read(config)
        assert str(caught.value) == message

    def test_private_names_are_no_settings(self, config):
        Path(LOCALCONFIG).write_text("{")  # reading would fail
        assert not hasattr(config, "__wrapped__")
        assert not hasattr(config, "_ipython_display_")

    def test_sections_and_methods_are_not_overwritten(self, config):
        with pytest.raises(DataJointError, match="'database' is a section"):
            config.database = {"host": "x"}
        with pytest.raises(DataJointError, match="'load' is a method"):
            config.load = 1
        config["load"] = 1
        assert config["load"] == 1

    def test_dir(self, config):
        config["custom"] = 1
        assert {"safemode", "database", "custom", "save_local"} <= set(dir(config))
        assert {"host", "user"} <= set(dir(config.database))


class TestBlock:
    def test_changes_and_restores(self, config):
        with config(safemode=False, database__host="x") as cfg:
            assert cfg is config
            assert (config["safemode"], config.database.host) == (False, "x")
            assert dict(config) == {**DEFAULTS, "safemode": False, "database.host": "x"}
        assert dict(config) == DEFAULTS

    def test_restores_after_exception(self, config):
        with pytest.raises(ZeroDivisionError), config(safemode=False):
            1 / 0  # noqa: B018
        assert dict(config) == DEFAULTS

    def test_restores_exactly(self, config):
        config["old"] = 1
        before = list(config.items())
        with config(new=1, old=2):
            config["newer"] = 2
            config["display.limit"] = 3
            del config["old"]
            del config["database.user"]
            assert "old" not in config
            assert "database.user" not in config
        assert list(config.items()) == before

    def test_wrong_value_changes_nothing(self, config):
        block = config(safemode=False, database__port="x")
        with pytest.raises(DataJointError, match=r"'database\.port' must be"), block:
            pass
        assert dict(config) == DEFAULTS

    def test_without_with_nothing_happens(self, config):
        block = config(safemode=False)
        assert config["safemode"] is True
        with block:
            assert config["safemode"] is False
        assert config["safemode"] is True

    def test_nested(self, config):
        with config(display__limit=1, safemode=False):
            with config(display__limit=2):
                assert (config["display.limit"], config["safemode"]) == (2, False)
            assert (config["display.limit"], config["safemode"]) == (1, False)
        assert dict(config) == DEFAULTS

    def test_dotted_names(self, config):
        with config(**{"display.limit": 1}):
            assert config["display.limit"] == 1

    def test_decorates(self, config):
        @config(safemode=False)
        def work():
            return config["safemode"]

        assert (work(), work(), config["safemode"]) == (False, False, True)

    def test_overlapping_blocks_leave_nothing(self, config):
        first, second = config(safemode=False), config(safemode=False)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert config["safemode"] is False
        second.__exit__(None, None, None)
        assert dict(config) == DEFAULTS

    def test_threads(self, config):
        barrier = threading.Barrier(8)

        def work(number):
            barrier.wait()
            for _ in range(200):
                with config(safemode=False, **{f"own{number}": number}):
                    assert config[f"own{number}"] == number
                    assert config["safemode"] is False

        failures = []
        threads = [threading.Thread(target=lambda n=n: work(n) if True else None) for n in range(8)]
        threading.excepthook, hook = failures.append, threading.excepthook
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            threading.excepthook = hook
        assert failures == []
        assert dict(config) == DEFAULTS

    def test_reset_inside(self, config):
        with config(safemode=False):
            config.reset()
            assert config["safemode"] is True
        assert dict(config) == DEFAULTS


class TestSaving:
    def test_roundtrip(self, config):
        config.update({"database.password": "haha", "stores": {"a": {"subfolding": (2, 2)}}})
        config.update({"custom": {"folder": Path("x"), "ä": [1, None]}, "cache": Path("c")})
        config.save("saved.json", secrets=True)
        assert json.loads(Path("saved.json").read_text()) == {
            **DEFAULTS,
            "database.password": "haha",
            "stores": {"a": {"subfolding": [2, 2]}},
            "custom": {"folder": "x", "ä": [1, None]},
            "cache": "c",
        }
        other = Config()
        other.load("saved.json")
        assert dict(other) == json.loads(Path("saved.json").read_text())

    def test_text(self, config):
        config.clear()
        config["database.host"] = "h"
        config.save("saved.json")
        assert Path("saved.json").read_text() == '{\n    "database.host": "h"\n}\n'

    def test_save_local_and_global(self, config):
        config["database.user"] = "local"
        config.save_local()
        config["database.user"] = "global"
        config.save_global()
        assert json.loads(Path(LOCALCONFIG).read_text())["database.user"] == "local"
        assert json.loads(home_file().read_text())["database.user"] == "global"
        config.reset()
        assert config["database.user"] == "local"
        os.unlink(LOCALCONFIG)
        config.reset()
        assert config["database.user"] == "global"

    @pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
    def test_only_the_owner_can_read(self, config):
        write("saved.json", {})
        os.chmod("saved.json", 0o644)
        config.save("saved.json")
        assert stat.S_IMODE(os.stat("saved.json").st_mode) == 0o600

    def test_failure_keeps_the_old_file_and_leaves_no_other(self, config, monkeypatch):
        config["database.user"] = "old"
        config.save("saved.json")
        monkeypatch.setattr(os, "replace", lambda *args: 1 / 0)
        config["database.user"] = "new"
        with pytest.raises(ZeroDivisionError):
            config.save("saved.json")
        assert os.listdir() == ["saved.json"]
        assert json.loads(Path("saved.json").read_text())["database.user"] == "old"

    def test_symbolic_link_is_followed(self, config):
        Path("real.json").write_text("{}")
        os.symlink("real.json", "link.json")
        config.save("link.json")
        assert os.path.islink("link.json")
        assert json.loads(Path("real.json").read_text()) == DEFAULTS

    def test_what_json_cannot_hold(self, config):
        config["custom"] = {1, 2}
        with pytest.raises(DataJointError, match="Setting 'custom' cannot be saved as JSON"):
            config.save("saved.json")
        assert os.listdir() == []

    def test_secrets_are_left_out(self, config, caplog):
        config["loglevel"] = "INFO"
        config.update({"database.password": "haha", "database.url": "mysql://u:h@ha@h:3306/"})
        config["external.aws_secret_access_key"] = "haha"
        config["stores"] = {
            "a": {"access_key": "1234567", "secret_key": "haha", "proxy_server": "http://u:haha@p"},
            "b": {"protocol": "gcs", "token": {"client": "haha"}, "hosts": ["sftp://u:haha@h", 5]},
        }
        config["mine"] = {"tokens": 5, "password": "", "text": "a:b@c"}
        before = dict(config)
        config.save("saved.json")
        saved = json.loads(Path("saved.json").read_text())
        assert "haha" not in str(saved)
        assert saved == {
            **{name: default for name, default in DEFAULTS.items() if name != "database.password"},
            "database.url": "mysql://u@h:3306/",
            "stores": {
                "a": {"access_key": "1234567", "proxy_server": "http://u@p"},
                "b": {"protocol": "gcs", "hosts": ["sftp://u@h", 5]},
            },
            "mine": {"tokens": 5, "password": "", "text": "a:b@c"},
        }
        assert [record.getMessage() for record in caplog.records] == [
            f"Not saved in {Path('saved.json').resolve()}, being secret: database.url, "
            "database.password, stores.a.secret_key, stores.a.proxy_server, stores.b.token, "
            "stores.b.hosts, external.aws_secret_access_key. A missing password is asked for, or "
            "taken from DJ_PASS; secrets=True saves all."
        ]
        assert dict(config) == before
        Config().load("saved.json")

    @pytest.mark.parametrize("method", ["save_local", "save_global"])
    def test_secrets_are_saved_when_asked_for(self, config, method, caplog):
        config["database.password"] = "haha"
        getattr(config, method)(secrets=True)
        file = Path(LOCALCONFIG) if method == "save_local" else home_file()
        assert json.loads(file.read_text())["database.password"] == "haha"
        assert not caplog.records

    def test_verbose(self, config, caplog):
        config["loglevel"] = "INFO"
        config.save_local()
        assert not caplog.records
        config.save_local(verbose=True)
        assert [r.getMessage() for r in caplog.records] == [
            f"Saved settings in {Path(LOCALCONFIG).resolve()}"
        ]


class TestShowing:
    def test_repr(self, config):
        config.clear()
        config.update(
            {
                "database.host": "h",
                "database.user": None,
                "database.password": "haha",
                "database.url": "mysql://u:h@ha@h:3306/",
                "external.aws_access_key_id": "AKIAIOSFODNN7EXAMPLE",
                "external.aws_secret_access_key": "haha",
                "stores": {
                    "a": {
                        "access_key": "1234567",
                        "secret_key": "haha",
                        "proxy_server": "http://u:haha@proxy:80",
                        "subfolding": (2, 2),
                    }
                },
                "custom": [{"password": "haha", "room": 5}],
            }
        )
        assert repr(config) == (
            "{'database.url': 'mysql://u:***@h:3306/',\n"
            " 'database.host': 'h',\n"
            " 'database.user': None,\n"
            " 'database.password': '***',\n"
            " 'stores': {'a': {'access_key': '***',\n"
            "                  'secret_key': '***',\n"
            "                  'proxy_server': 'http://u:***@proxy:80',\n"
            "                  'subfolding': [2, 2]}},\n"
            " 'external.aws_access_key_id': 'AKIA***',\n"
            " 'external.aws_secret_access_key': '***',\n"
            " 'custom': [{'password': '***', 'room': 5}]}"
        )
        assert str(config) == repr(config)

    @pytest.mark.parametrize(
        "name",
        [
            "api_key",
            "apikey",
            "apiKey",
            "x-api-key",
            "credential",
            "credentials",
            "private_key",
            "account_key",
            "connection_string",
            "auth",
            "oauth",
            "authorization",
            "basicAuth",
            "passphrase",
            "pwd",
        ],
    )
    def test_names_of_secrets(self, name):
        assert settings.masked("mine", {name: "haha", "other": 5}) == {name: "***", "other": 5}
        assert settings.masked(name, {"id": 1, "value": ["haha"]}) == {
            "id": "***",
            "value": ["***"],
        }

    def test_secret_settings_are_known_by_their_names(self):
        named = {name for name in settings.SETTINGS if is_secret(name)}
        assert named == {name for name, setting in settings.SETTINGS.items() if setting.secret}

    @pytest.mark.parametrize("name", ["author", "authors", "authority", "key", "keys", "publicKey"])
    def test_names_of_no_secrets(self, name):
        assert settings.masked("mine", {name: "shown"}) == {name: "shown"}

    def test_repr_of_section(self, config):
        config["database.password"] = "haha"
        assert "'password': '***'" in repr(config.database)
        assert "haha" not in repr(config.database)

    def test_values_are_not_masked(self, config):
        config["stores"] = {"a": {"secret_key": "haha"}}
        repr(config)
        assert config["stores"] == {"a": {"secret_key": "haha"}}


class TestLogLevel:
    logger = logging.getLogger("datajoint")

    def test_default_leaves_the_logger_alone(self, config):
        self.logger.setLevel(logging.ERROR)
        assert config["loglevel"] == "INFO"
        assert self.logger.level == logging.ERROR

    def test_logger_follows(self, config):
        config["loglevel"] = "DEBUG"
        assert self.logger.level == logging.DEBUG
        config.loglevel = "error"
        assert self.logger.level == logging.ERROR

    def test_logger_follows_file_and_environment(self, config, monkeypatch):
        write(LOCALCONFIG, {"loglevel": "WARNING"})
        config.get("safemode")
        assert self.logger.level == logging.WARNING
        monkeypatch.setenv("DJ_LOG_LEVEL", "CRITICAL")
        config.reset()
        config.get("safemode")
        assert self.logger.level == logging.CRITICAL

    def test_logger_follows_block(self, config):
        config["loglevel"] = "ERROR"
        with config(loglevel="DEBUG"):
            assert self.logger.level == logging.DEBUG
        assert self.logger.level == logging.ERROR
        with config():
            config["loglevel"] = "DEBUG"
            assert self.logger.level == logging.DEBUG
        assert self.logger.level == logging.ERROR


class TestURL:
    @pytest.mark.parametrize(
        ("url", "parts"),
        [
            ("sqlite:///relative.db", {"backend": "sqlite", "path": "relative.db"}),
            ("sqlite:///sub/relative.db", {"backend": "sqlite", "path": "sub/relative.db"}),
            ("sqlite:////abs/path.db", {"backend": "sqlite", "path": "/abs/path.db"}),
            ("sqlite:///a%20b%3F.db", {"backend": "sqlite", "path": "a b?.db"}),
            ("sqlite:///C:/data/lab.db", {"backend": "sqlite", "path": "C:/data/lab.db"}),
            (
                "mysql://user:pw@host:3306/",
                {
                    "backend": "mysql",
                    "user": "user",
                    "password": "pw",
                    "host": "host",
                    "port": 3306,
                },
            ),
            ("mysql://host", {"backend": "mysql", "host": "host"}),
            (
                "mariadb://user:@host",
                {"backend": "mysql", "user": "user", "password": "", "host": "host"},
            ),
            (
                "MySQL://a%40b:p%2F%3A%23%25@host",
                {"backend": "mysql", "user": "a@b", "password": "p/:#%", "host": "host"},
            ),
            (
                "postgresql://user:pw@host:5432/dbname",
                {
                    "backend": "postgresql",
                    "user": "user",
                    "password": "pw",
                    "host": "host",
                    "name": "dbname",
                    "port": 5432,
                },
            ),
            (
                "postgres://[::1]:5433/my%20lab",
                {"backend": "postgresql", "host": "::1", "port": 5433, "name": "my lab"},
            ),
        ],
    )
    def test_parts(self, url, parts):
        assert parse_url(url) == parts

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            (
                "oracle://u:hush@h/",
                "Unknown scheme 'oracle' in database URL 'oracle://u:***@h/'. "
                "Known schemes: sqlite, mysql, postgresql, mariadb, postgres.",
            ),
            (
                "lab.db",
                "Unknown scheme '' in database URL 'lab.db'. "
                "Known schemes: sqlite, mysql, postgresql, mariadb, postgres.",
            ),
            (
                "sqlite://lab.db",
                "Database URL 'sqlite://lab.db' names no file. "
                "Write sqlite:///relative.db or sqlite:////absolute/path.db.",
            ),
            (
                "sqlite:///",
                "Database URL 'sqlite:///' names no file. "
                "Write sqlite:///relative.db or sqlite:////absolute/path.db.",
            ),
            (
                "mysql://u:hush@h/?tls=1",
                "Database URL 'mysql://u:***@h/?tls=1' has options, which are not understood. "
                "A '?' or '#' in a name or password is written %3F or %23.",
            ),
            (
                "mysql://u:my#hush@h/",
                "Malformed database URL 'mysql://u:***@h/'. Is the port a number? Special "
                "characters in a name or password are percent-encoded, such as %2F for / and "
                "%23 for #.",
            ),
            (
                "mysql://u:hu/sh@h:3306/",
                "Malformed database URL 'mysql://u:***@h:3306/'. Is the port a number? Special "
                "characters in a name or password are percent-encoded, such as %2F for / and "
                "%23 for #.",
            ),
            (
                "mysql://h:99999/",
                "Malformed database URL 'mysql://h:99999/'. Is the port a number? Special "
                "characters in a name or password are percent-encoded, such as %2F for / and "
                "%23 for #.",
            ),
        ],
    )
    def test_errors(self, url, message):
        with pytest.raises(DataJointError) as caught:
            parse_url(url)
        assert str(caught.value) == message

    @pytest.mark.parametrize(
        ("given", "backend"),
        [
            ({}, "sqlite"),
            ({"database.host": None}, "sqlite"),
            ({"database.host": ""}, "sqlite"),
            ({"database.host": "h"}, "mysql"),
            ({"database.host": "h", "database.backend": "postgresql"}, "postgresql"),
            ({"database.backend": "mysql"}, "mysql"),
            ({"database.host": "h", "database.backend": "sqlite"}, "sqlite"),
            ({"database.url": "sqlite:///a.db", "database.backend": "mysql"}, "sqlite"),
            ({"database.url": "postgres://h/d", "database.host": "h"}, "postgresql"),
        ],
    )
    def test_choice(self, config, given, backend):
        assert choose_backend(given) == backend
        config.update(given)
        assert choose_backend(config) == backend


def test_singleton():
    assert type(settings.config) is Config
