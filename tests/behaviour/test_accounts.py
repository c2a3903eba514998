"""Accounts of a server: connecting, encryption, administration, and what each user may do.

Manual 2.3, 3.1, 3.2.1 and 9.5.2.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import itertools
import json
import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.parse import quote

import pytest

import datajoint as dj
from datajoint import making
from datajoint.errors import AccessError, DataJointError, LostConnectionError, MissingTableError
from servers import Server

servers_only = pytest.mark.parametrize("backend", ["mysql", "postgresql"], indirect=True)
SECRET = "s3cr3t: p@ss/w%rd#?ü"

_numbers = itertools.count(1)


class Accounts:
    """Makes accounts and grants privileges, with the statements of the database."""

    def __init__(self, connection: dj.Connection) -> None:
        self.connection = connection
        self.names: list[str] = []

    def run(self, statement: str) -> Any:
        return self.connection.query(statement.replace("%", "%%"))

    def quoted(self, name: str) -> str:
        return self.connection.dialect.quote(name)

    def create(self, password: str = SECRET) -> str:
        """Make an account without privileges."""
        name = f"user_{next(_numbers)}"
        self.run(self.create_statement.format(name=name, password=password))
        self.names.append(name)
        return name

    def drop(self) -> None:
        for name in self.names:
            for statement in self.drop_statements:
                self.run(statement.format(name=name))

    create_statement: str
    drop_statements: tuple[str, ...]

    def grant(self, name: str, privileges: str, schema: str, table: str | None = None) -> None:
        """Grant privileges on a table, or on all tables of a schema."""
        raise NotImplementedError

    def allow_schemas(self, name: str) -> None:
        """Let an account create schemas whose names begin with its own."""
        raise NotImplementedError

    def require_tls(self, name: str) -> None:
        """Refuse connections of an account that are not encrypted."""
        raise NotImplementedError

    def limit(self, name: str) -> None:
        """Allow one connection at a time."""
        raise NotImplementedError

    #: Tells whether the session that asks is encrypted.
    encrypted: str


class MySQLAccounts(Accounts):
    create_statement = "CREATE USER '{name}'@'%' IDENTIFIED BY '{password}'"
    drop_statements = ("DROP USER '{name}'@'%'",)
    encrypted = (
        "SELECT variable_value <> '' FROM information_schema.session_status "
        "WHERE variable_name = 'Ssl_cipher'"
    )

    def grant(self, name: str, privileges: str, schema: str, table: str | None = None) -> None:
        place = f"{self.quoted(schema)}.{self.quoted(table) if table else '*'}"
        self.run(f"GRANT {privileges} ON {place} TO '{name}'@'%'")

    def allow_schemas(self, name: str) -> None:
        self.run(rf"GRANT ALL PRIVILEGES ON `{name}\_%`.* TO '{name}'@'%'")

    def require_tls(self, name: str) -> None:
        self.run(f"ALTER USER '{name}'@'%' REQUIRE SSL")

    def limit(self, name: str) -> None:
        self.run(f"ALTER USER '{name}'@'%' WITH MAX_USER_CONNECTIONS 1")


class PostgreSQLAccounts(Accounts):
    create_statement = "CREATE ROLE {name} LOGIN PASSWORD '{password}'"
    drop_statements = ("DROP OWNED BY {name} CASCADE", "DROP ROLE {name}")
    encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"

    def grant(self, name: str, privileges: str, schema: str, table: str | None = None) -> None:
        place = self.quoted(schema)
        self.run(f"GRANT USAGE ON SCHEMA {place} TO {name}")
        if table is None:
            self.run(f"GRANT {privileges} ON ALL TABLES IN SCHEMA {place} TO {name}")
            self.run(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {place} TO {name}")
        else:
            self.run(f"GRANT {privileges} ON {place}.{self.quoted(table)} TO {name}")

    def allow_schemas(self, name: str) -> None:
        self.run(f"GRANT CREATE ON DATABASE postgres TO {name}")

    def limit(self, name: str) -> None:
        self.run(f"ALTER ROLE {name} CONNECTION LIMIT 1")


ACCOUNTS: dict[str, type[Accounts]] = {"mysql": MySQLAccounts, "postgresql": PostgreSQLAccounts}


@pytest.fixture
def server(target: Any, connection: dj.Connection) -> Server:
    """The server that tests share."""
    server: Server = target.server
    return server


@pytest.fixture
def accounts(backend: str, connection: dj.Connection) -> Iterator[Accounts]:
    accounts = ACCOUNTS[backend](connection)
    yield accounts
    accounts.drop()


@pytest.fixture
def opened() -> Iterator[list[dj.Connection]]:
    """Close these connections after the test, and the default one."""
    opened: list[dj.Connection] = []
    yield opened
    if dj.conn.connection is not None:
        opened.append(dj.conn.connection)
        dj.conn.connection = None
    for connection in opened:
        connection.close()


Open = Callable[..., dj.Connection]


@pytest.fixture
def open_(backend: str, server: Server, accounts: Accounts, opened: list[dj.Connection]) -> Open:
    """Connect to the server as somebody; options go before those of the server."""

    def open_(user: str, password: str | None = SECRET, **options: Any) -> dj.Connection:
        place = {"backend": backend, "host": server.host, "port": server.port, "name": "postgres"}
        opened.append(dj.Connection(**{**place, "user": user, "password": password, **options}))
        return opened[-1]

    return open_


def name_of(connection: dj.Connection) -> str:
    """Name the user of a session as the database knows it."""
    ((name,),) = connection.query("SELECT current_user").fetchall()
    return str(name).partition("@")[0]


def is_encrypted(connection: dj.Connection) -> bool:
    ((encrypted,),) = connection.query(ACCOUNTS[connection.backend.name].encrypted).fetchall()
    return bool(encrypted)


# -- connecting ---------------------------------------------------------------------------------


@pytest.fixture
def user(accounts: Accounts) -> str:
    return accounts.create()


@pytest.fixture
def place(backend: str, server: Server) -> dict[str, Any]:
    """Where the server is, as settings."""
    return {
        "database.backend": backend,
        "database.host": server.host,
        "database.port": server.port,
        "database.name": "postgres",
    }


@servers_only
class TestConnecting:
    def test_by_configuration(self, place, user, opened):
        dj.config.update(place | {"database.user": user, "database.password": SECRET})
        connection = dj.conn()
        assert name_of(connection) == user
        assert dj.conn() is connection

    def test_by_environment(self, backend, server, user, opened, monkeypatch):
        variables = {"BACKEND": backend, "HOST": server.host, "PORT": str(server.port)}
        variables |= {"USER": user, "PASS": SECRET, "DBNAME": "postgres"}
        for name, value in variables.items():
            monkeypatch.setenv(f"DJ_{name}", value)
        dj.config.reset()
        assert name_of(dj.conn()) == user

    def test_by_a_configuration_file(self, place, user, opened, tmp_path):
        settings = place | {"database.user": user, "database.password": SECRET}
        (tmp_path / "dj_local_conf.json").write_text(json.dumps(settings))
        dj.config.reset()
        assert name_of(dj.conn()) == user

    def test_by_arguments(self, backend, server, user, opened):
        dj.config["database.user"] = "somebody_else"
        dj.config["database.name"] = "postgres"
        connection = dj.conn(server.host, user, SECRET, port=server.port, backend=backend)
        assert name_of(connection) == user
        assert name_of(dj.conn("ignored", "ignored", "ignored")) == user

    def test_reset_connects_anew_with_the_present_settings(self, place, user, accounts, opened):
        dj.config.update(place | {"database.user": user, "database.password": SECRET})
        first = dj.conn()
        dj.config["database.user"] = other = accounts.create()
        assert dj.conn() is first
        second = dj.conn(reset=True)
        assert (name_of(second), first.is_connected) == (other, False)

    def test_init_fun_is_run_on_connecting_and_on_reconnecting(self, backend, user, open_):
        statement, question = {
            "mysql": ("SET @lab = 'x%y'", "SELECT @lab"),
            "postgresql": ("SET lab.name = 'x%y'", "SELECT current_setting('lab.name')"),
        }[backend]
        connection = open_(user, init_fun=statement)
        assert list(connection.query(question).fetchall()) == [("x%y",)]
        connection.close()
        assert list(connection.query(question).fetchall()) == [("x%y",)]
        with dj.config(connection__init_function=statement):
            assert list(open_(user).query(question).fetchall()) == [("x%y",)]

    def test_host_with_port(self, server, user, open_):
        connection = open_(user, host=f"{server.host}:{server.port}", port=1)
        assert f"{server.host}:{server.port}" in repr(connection)

    @pytest.mark.parametrize("where", ["argument", "configuration", "environment"])
    def test_url(self, backend, server, user, opened, where, monkeypatch):
        url = f"{backend}://{user}:{quote(SECRET, safe='')}@{server.host}:{server.port}/"
        url += "postgres" if backend == "postgresql" else ""
        if where == "configuration":
            dj.config["database.url"] = url
        if where == "environment":
            monkeypatch.setenv("DJ_URL", url)
            dj.config.reset()
        connection = dj.conn(url=url) if where == "argument" else dj.conn()
        assert name_of(connection) == user

    def test_what_is_given_goes_before_the_url(self, backend, server, accounts, opened):
        user = accounts.create()
        dj.config["database.url"] = f"{backend}://nobody:wrong@{server.host}:1/nowhere"
        connection = dj.conn(user=user, password=SECRET, port=server.port, name="postgres")
        assert name_of(connection) == user

    def test_socket(self, server, user, open_):
        connection = open_(user, host=server.socket)
        assert name_of(connection) == user
        assert server.socket in repr(connection)

    def test_socket_file(self, backend, server, user, open_):
        path = server.socket
        if backend == "postgresql":
            path += f"/.s.PGSQL.{server.port}"
        assert name_of(open_(user, host=path, port=None)) == user

    def test_socket_in_a_url(self, backend, server, user, opened):
        place = quote(server.socket, safe="")
        if backend == "postgresql":
            place += f":{server.port}"
        url = f"{backend}://{user}:{quote(SECRET, safe='')}@{place}/"
        url += "postgres" if backend == "postgresql" else ""
        assert name_of(dj.conn(url=url)) == user


@pytest.fixture
def prompts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Answer questions with what is in the lists; note the questions."""
    asked: dict[str, Any] = {"asked": [], "input": [], "getpass": []}

    def answer(kind: str) -> Callable[[str], str]:
        def function(prompt: str = "") -> str:
            asked["asked"].append(prompt)
            if not asked[kind]:
                raise AssertionError(f"asked for more: {prompt}")
            return str(asked[kind].pop(0))

        return function

    monkeypatch.setattr(builtins, "input", answer("input"))
    monkeypatch.setattr("datajoint.connection.getpass", answer("getpass"))
    monkeypatch.setattr("datajoint.admin.getpass", answer("getpass"))
    return asked


@servers_only
class TestPrompts:
    @pytest.fixture(params=["terminal", "notebook"])
    def interactive(self, request, monkeypatch):
        if request.param == "terminal":
            monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        else:
            monkeypatch.setattr(builtins, "get_ipython", lambda: None, raising=False)

    @pytest.fixture
    def alone(self, monkeypatch):
        monkeypatch.setattr(sys.stdin, "isatty", lambda: False)

    def test_user_and_password_are_asked_for(self, place, user, opened, prompts, interactive):
        dj.config.update(place)
        prompts["input"], prompts["getpass"] = [user], [SECRET]
        assert name_of(dj.conn()) == user
        assert prompts["asked"] == [
            "Please enter DataJoint username: ",
            "Please enter DataJoint password: ",
        ]
        assert dj.config["database.password"] is None

    def test_what_was_typed_serves_for_reconnecting(
        self, place, user, opened, prompts, interactive
    ):
        dj.config.update(place)
        prompts["input"], prompts["getpass"] = [user], [SECRET]
        connection = dj.conn()
        connection.close()
        assert name_of(connection) == user

    def test_only_what_is_missing_is_asked_for(self, place, user, opened, prompts, interactive):
        dj.config.update(place | {"database.user": user})
        prompts["getpass"] = [SECRET]
        assert name_of(dj.conn()) == user
        assert prompts["asked"] == ["Please enter DataJoint password: "]

    def test_an_empty_password_is_a_password(self, place, user, opened, prompts, interactive):
        dj.config.update(place | {"database.user": user, "database.password": ""})
        with pytest.raises(AccessError):
            dj.conn()
        assert prompts["asked"] == []

    def test_nobody_is_there_to_name_the_user(self, place, server, opened, prompts, alone):
        dj.config.update(place)
        with pytest.raises(DataJointError) as raised:
            dj.conn()
        assert str(raised.value) == (
            "No user is configured for the database server: set dj.config['database.user'], "
            "or DJ_USER in the environment"
        )

    def test_nobody_is_there_to_give_the_password(self, place, user, opened, prompts, alone):
        dj.config.update(place | {"database.user": user})
        with pytest.raises(AccessError) as raised:
            dj.conn()
        assert str(raised.value).splitlines()[-1] == (
            "No password is configured: set dj.config['database.password'], or DJ_PASS in the "
            "environment"
        )


def refusal(action: Callable[[], object], kind: type[DataJointError] = DataJointError) -> str:
    """Give the text of the error; nothing in it or its causes tells the password."""
    with pytest.raises(kind) as raised:
        action()
    error: BaseException | None = raised.value
    while error is not None:
        assert SECRET not in str(error) + repr(error)
        error = error.__cause__ or error.__context__
    return str(raised.value)


@servers_only
class TestRefusals:
    """An error says which of the settings is wrong."""

    def test_wrong_password(self, server, accounts, user, open_):
        with pytest.raises(AccessError) as raised:
            open_(user, "wrong")
        text = str(raised.value)
        assert text.startswith(f"The server at {server.host}:{server.port} refuses the user")
        assert f"'{user}'" in text
        assert "password" in text
        assert "No password is configured" not in text

    def test_unknown_user(self, server, open_):
        text = refusal(lambda: open_("nobody_of_that_name"), AccessError)
        assert text.startswith(f"The server at {server.host}:{server.port} refuses the user")
        assert "'nobody_of_that_name'" in text

    def test_no_server(self, user, server, open_):
        text = refusal(lambda: open_(user, port=1), LostConnectionError)
        assert text.startswith(
            f"There is no database server at {server.host}:1. Check database.host and "
            "database.port, and that "
        )

    def test_unknown_host(self, user, server, open_):
        text = refusal(lambda: open_(user, host="nowhere.invalid"), LostConnectionError)
        assert text.startswith(f"There is no database server at nowhere.invalid:{server.port}. ")
        assert "known" in text  # "Name or service not known", "Unknown server host"

    # PyMySQL leaves the socket to be collected.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_no_socket(self, user, open_, tmp_path):
        path = str(tmp_path / "x.sock")
        text = refusal(lambda: open_(user, host=path), LostConnectionError)
        gc.collect()
        assert text.startswith(f"There is no database server at {path}")

    def test_too_many_connections(self, accounts, user, open_, server):
        accounts.limit(user)
        first = open_(user)
        text = refusal(lambda: open_(user), LostConnectionError)
        assert text.startswith(
            f"The server at {server.host}:{server.port} has too many connections ("
        )
        assert first.is_connected

    def test_populate_waits_for_a_free_connection(self, accounts, user, open_, monkeypatch):
        """Workers that come back to a server all at once may be too many at first."""
        accounts.limit(user)
        first = open_(user)
        accounts.connection.kill(first.connection_id)
        others = []

        def wait(seconds):
            if others:
                others.pop().close()
            sleep(0.02)

        sleep = time.sleep
        while not others:
            with contextlib.suppress(LostConnectionError):
                others.append(open_(user))
        monkeypatch.setattr(making.time, "sleep", wait)
        ask = making.Patience(first).run
        assert ask(lambda: first.query("SELECT 1").fetchall()) == [(1,)]
        assert not others

    def test_the_password_is_not_shown(self, user, open_, caplog, capsys):
        with caplog.at_level(logging.DEBUG, logger="datajoint"):
            connection = open_(user)
            connection.set_password(SECRET + "2")
            shown = [repr(connection), str(connection), repr(vars(connection))]
            with dj.config(database__password=SECRET):
                shown.append(repr(dj.config))
        connection.close()
        shown += [caplog.text, *capsys.readouterr()]
        assert SECRET not in "\n".join(shown)

    def test_a_password_in_a_malformed_url_is_not_shown(self, backend):
        url = f"{backend}://user:{SECRET}@host:notaport/"
        assert "***" in refusal(lambda: dj.Connection(url=url))


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_unknown_database(user, server, open_):
    text = refusal(lambda: open_(user, name="no_such_database"))
    assert "no_such_database" in text
    assert "database.name" in text


@pytest.mark.parametrize("backend", ["mysql"], indirect=True)
def test_a_server_without_a_free_place(spare_server, opened):
    opened.append(spare_server.connect())
    opened[0].query("SET GLOBAL max_connections = 10")

    def fill():
        while True:
            opened.append(spare_server.connect())

    text = refusal(fill)
    assert text.endswith("has too many connections (Too many connections)")
    opened[0].query("SET GLOBAL max_connections = 100")


@pytest.mark.parametrize("backend", ["mysql"], indirect=True)
def test_a_session_of_mysql_is_set_up_as_others_expect(connection, open_, user):
    """Storage formats 6.1."""
    connection = open_(user, init_fun="SET autocommit = 0, sql_mode = ''")
    connection = open_(user)
    ((mode, autocommit, charset, collation, database),) = connection.query(
        "SELECT @@sql_mode, @@autocommit, @@character_set_client, @@character_set_results, "
        "database()"
    ).fetchall()
    assert set(mode.split(",")) == {
        "NO_ZERO_DATE",
        "NO_ZERO_IN_DATE",
        "ERROR_FOR_DIVISION_BY_ZERO",
        "STRICT_ALL_TABLES",
        "NO_ENGINE_SUBSTITUTION",
        "ONLY_FULL_GROUP_BY",
    }
    assert (autocommit, charset, collation, database) == (1, "utf8mb4", "utf8mb4", None)


@pytest.mark.parametrize("backend", ["mysql"], indirect=True)
def test_the_character_set_can_be_chosen(open_, user):
    with dj.config(connection__charset="latin1"):
        connection = open_(user)
    rows = connection.query("SELECT @@character_set_client, HEX('ü'), 'ü'").fetchall()
    assert list(rows) == [("latin1", "FC", "ü")]


# -- encryption ---------------------------------------------------------------------------------


@servers_only
class TestTLS:
    @pytest.fixture(autouse=True)
    def offered(self, server):
        if server.ca is None:
            pytest.skip("openssl is not installed, so that the server offers no TLS")

    def test_it_is_used_if_the_server_can(self, user, open_):
        assert is_encrypted(open_(user))

    @pytest.mark.parametrize("use_tls", [True, False])
    def test_insisted_on_and_forbidden(self, user, open_, use_tls):
        assert is_encrypted(open_(user, use_tls=use_tls)) is use_tls
        with dj.config(database__use_tls=use_tls):
            assert is_encrypted(open_(user)) is use_tls

    def test_a_trusted_server(self, user, open_, server):
        assert is_encrypted(open_(user, use_tls={"ca": str(server.ca)}))
        assert is_encrypted(open_(user, host="localhost", use_tls={"ca": str(server.ca)}))

    def test_a_server_that_is_not_trusted(self, user, open_, server, spare_server, tmp_path):
        path = str(tmp_path / "other.pem")
        shutil.copy(spare_server.server.ca, path)
        text = refusal(lambda: open_(user, use_tls={"ca": path}))
        assert text.startswith(f"TLS with the server at {server.host}:{server.port} fails")
        assert f"'{path}'" in text
        assert "certificate verify failed" in text

    def test_a_file_that_is_missing(self, user, open_, tmp_path):
        path = str(tmp_path / "nowhere.pem")
        text = refusal(lambda: open_(user, use_tls={"ca": path}))
        assert "database.use_tls" in text
        assert path in text

    def test_a_file_that_is_no_certificate(self, user, open_, tmp_path):
        path = tmp_path / "text.pem"
        path.write_text("no certificate")
        text = refusal(lambda: open_(user, use_tls={"ca": str(path)}))
        assert "database.use_tls" in text
        assert str(path) in text

    def test_an_unknown_option(self, user, open_):
        text = refusal(lambda: open_(user, use_tls={"sca": "x"}))
        assert "database.use_tls" in text
        assert "sca" in text
        assert "; there are ca, cert, key" in text.replace("capath, ", "")

    def test_it_is_kept_when_the_connection_is_opened_again(self, user, open_):
        connection = open_(user, use_tls=True)
        connection.close()
        assert is_encrypted(connection)

    def test_a_server_without_it(self, plain_server, opened):
        opened.append(plain_server())
        assert not is_encrypted(opened[0])
        for use_tls in (True, {"ca": __file__}):
            text = refusal(lambda: plain_server(use_tls=use_tls))  # noqa: B023 - called at once
            if use_tls is True:
                assert text.startswith("TLS is required by database.use_tls, but the server at ")
                assert " does not offer it (" in text


@pytest.fixture(scope="module")
def plain_server(backend: str, target: Any) -> Iterator[Open]:
    """A server that offers no TLS; give a function that connects."""

    class PlainServer(type(target.server)):
        def _certify(self) -> None:
            pass

        def _command(self) -> list[str]:
            # Newer versions make certificates themselves.
            return [*super()._command(), *(["--skip-ssl"] if backend == "mysql" else [])]

    server = PlainServer()
    server.start()

    def connect(**options: Any) -> dj.Connection:
        account = {"user": server.user, "password": server.password, "name": "postgres"}
        place = {"backend": backend, "host": server.host, "port": server.port}
        return dj.Connection(**place, **account, **options)

    yield connect
    server.stop()


@pytest.mark.parametrize("backend", ["mysql"], indirect=True)
def test_an_account_that_requires_tls(accounts, user, open_, server):
    accounts.require_tls(user)
    assert is_encrypted(open_(user))
    text = refusal(lambda: open_(user, use_tls=False), AccessError)
    assert "the account asks for TLS" in text


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_server_that_requires_tls(spare_server, opened):
    rules = spare_server.server.data / "pg_hba.conf"
    before = rules.read_text()
    opened.append(spare_server.connect())
    rules.write_text("local all all scram-sha-256\nhostssl all all all scram-sha-256\n")
    opened[0].query("SELECT pg_reload_conf()")
    try:
        while True:  # the server takes a moment to read them
            try:
                opened.append(spare_server.connect(use_tls=False))
            except DataJointError as error:
                text = str(error)
                break
        opened.append(spare_server.connect())
        assert is_encrypted(opened[-1])
    finally:
        rules.write_text(before)
        opened[0].query("SELECT pg_reload_conf()")
    assert "TLS" in text
    assert "database.use_tls" in text


# -- administration -----------------------------------------------------------------------------


@servers_only
class TestSetPassword:
    NEW = "n3w p@ss'word\\%s\""

    def test_it_is_changed(self, user, open_, capsys):
        connection = open_(user)
        dj.set_password(self.NEW, connection, update_config=False)
        assert capsys.readouterr().out == "Password updated.\n"
        assert name_of(open_(user, self.NEW)) == user
        with pytest.raises(AccessError):
            open_(user)

    def test_the_connection_can_be_opened_again(self, user, open_):
        connection = open_(user)
        dj.set_password(self.NEW, connection, update_config=False)
        connection.close()
        assert name_of(connection) == user

    def test_of_the_default_connection(self, place, user, opened):
        dj.config.update(place | {"database.user": user, "database.password": SECRET})
        dj.conn()
        dj.set_password(self.NEW, update_config=False)
        assert dj.config["database.password"] == self.NEW
        assert name_of(dj.conn(reset=True)) == user

    def test_a_url_has_it_too(self, backend, server, user, opened):
        name = "postgres" if backend == "postgresql" else ""
        url = f"{backend}://{user}:{{}}@{server.host}:{server.port}/{name}"
        dj.config["database.url"] = url.format(quote(SECRET, safe=""))
        dj.conn()
        dj.set_password(self.NEW, update_config=False)
        assert dj.config["database.url"] == url.format(quote(self.NEW, safe=""))
        assert name_of(dj.conn(reset=True)) == user

    def test_it_is_asked_for_twice(self, user, open_, prompts):
        prompts["getpass"], prompts["input"] = [self.NEW, self.NEW], ["no"]
        dj.set_password(connection=open_(user))
        assert prompts["asked"] == [
            "New password: ",
            "Confirm password: ",
            "Update local setting? [yes, No]: ",
        ]
        assert name_of(open_(user, self.NEW)) == user
        assert not Path("dj_local_conf.json").exists()

    def test_a_mistyped_one_is_refused(self, user, open_, prompts):
        prompts["getpass"] = [self.NEW, self.NEW + "x"]
        with pytest.raises(
            DataJointError, match=r"^The passwords differ; the password was not changed$"
        ):
            dj.set_password(connection=open_(user))
        assert name_of(open_(user)) == user

    @pytest.mark.parametrize("answer", [None, "yes"])
    def test_the_local_configuration_is_updated(self, user, open_, prompts, answer):
        connection = open_(user)
        if answer is None:
            dj.set_password(self.NEW, connection, update_config=True)
        else:
            prompts["input"] = ["what?", answer]
            dj.set_password(self.NEW, connection)
        saved = json.loads(Path("dj_local_conf.json").read_text())
        assert saved["database.password"] == self.NEW


@servers_only
class TestKill:
    @pytest.fixture
    def bob(self, accounts) -> str:
        return accounts.create()

    @pytest.fixture
    def sessions(self, bob, open_) -> list[dj.Connection]:
        """Three sessions of Bob, in the order of their numbers."""
        return sorted((open_(bob) for _ in range(3)), key=lambda c: c.connection_id)

    @pytest.fixture
    def remaining(self, connection, bob):
        def remaining(expected: list[dj.Connection]) -> bool:
            """Wait until these sessions of Bob's are left; the server takes a moment."""
            numbers = sorted(c.connection_id for c in expected)
            query = dj.admin.sessions(connection) & {"user": bob}
            left = (query.fetch("id", order_by="id").tolist() for _ in range(2000))
            return any(ids == numbers for ids in left)

        return remaining

    def test_sessions_are_listed(self, connection, bob, sessions, server):
        listed = (dj.admin.sessions(connection) & {"user": bob}).fetch(as_dict=True, order_by="id")
        assert [row["id"] for row in listed] == [c.connection_id for c in sessions]
        assert list(listed[0]) == ["id", "user", "host", "db", "command", "time", "state", "info"]
        assert {row["user"] for row in listed} == {bob}
        assert {row["host"].partition(":")[0] for row in listed} == {server.host}
        own = dj.admin.sessions(connection) & {"id": connection.connection_id}
        assert len(own) == 0

    def test_a_user_sees_the_own_sessions(self, bob, sessions, connection):
        seen = dj.admin.sessions(sessions[0]).fetch("id", order_by="id").tolist()
        assert set(seen) >= {c.connection_id for c in sessions[1:]}
        if connection.backend.name == "mysql":
            assert seen == [c.connection_id for c in sessions[1:]]

    @pytest.mark.parametrize(
        "restriction",
        [
            'USER = "{}"',
            "user = '{}'",
            'HOST LIKE "%" AND User = "{}"',
            '`user` = "{}" and TIME < 600',
            'ID > 0 and (user="{}" or user="TIME")',
        ],
    )
    def test_kill_quick(self, connection, bob, sessions, remaining, restriction):
        assert dj.kill_quick(restriction.format(bob), connection) == 3
        assert remaining([])
        for session in sessions:
            with pytest.raises(LostConnectionError):
                session.query("SELECT 1", reconnect=False)
            assert name_of(session) == bob  # connected again

    @pytest.mark.parametrize("restriction", ["TIME > 600", 'HOST LIKE "%compute%"'])
    def test_none_is_killed(self, connection, bob, sessions, remaining, restriction):
        assert dj.kill_quick(f"{restriction} AND USER = '{bob}'", connection) == 0
        assert remaining(sessions)

    @pytest.mark.parametrize("order_by", ["ID DESC", ["host", "Time desc"], None])
    def test_order(self, connection, bob, sessions, remaining, order_by):
        assert dj.kill_quick(f'user = "{bob}"', connection, order_by) == 3
        assert remaining([])

    def test_the_own_sessions(self, bob, sessions, remaining):
        """Whoever may end no others may end these."""
        assert dj.kill_quick(f'ID = {sessions[1].connection_id} AND USER = "{bob}"', sessions[0])
        assert remaining([sessions[0], sessions[2]])

    def test_a_session_that_has_ended_is_no_error(self, connection, bob, sessions, remaining):
        number = sessions[0].connection_id
        connection.kill(number)
        assert remaining(sessions[1:])
        connection.kill(number)

    def test_the_sessions_of_others(self, connection, sessions, remaining):
        text = refusal(lambda: sessions[0].kill(connection.connection_id), AccessError)
        assert text
        connection.ping()

    def test_kill_asks(self, connection, bob, sessions, remaining, prompts, capsys):
        first, second, third = (c.connection_id for c in sessions)
        prompts["input"] = [str(second), "17 and 4", "q"]
        dj.kill(f'USER = "{bob}"', connection, "id desc")
        assert prompts["asked"] == ['process to kill, "all" or "q" to quit > '] * 3
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["ID", "USER", "HOST", "STATE", "TIME", "INFO"]
        assert [int(line.split()[0]) for line in lines[1:4]] == [third, second, first]
        assert [line.split()[1] for line in lines[1:4]] == [bob] * 3
        assert "'17 and 4' is none of these sessions" in lines
        assert remaining([sessions[0], sessions[2]])

    def test_kill_all(self, connection, bob, sessions, remaining, prompts):
        prompts["input"] = ["ALL", ""]
        dj.kill(f'USER = "{bob}"', connection)
        assert remaining([])

    def test_nobody_answers(self, connection, bob, sessions, remaining, monkeypatch):
        def nobody(prompt: str) -> str:
            raise EOFError

        monkeypatch.setattr(builtins, "input", nobody)
        dj.kill(f'USER = "{bob}"', connection)
        assert remaining(sessions)

    def test_an_unknown_attribute(self, connection):
        with pytest.raises(dj.errors.UnknownAttributeError, match="usr"):
            dj.kill_quick('usr = "bob"', connection)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
class TestWithoutAccounts:
    @pytest.mark.parametrize("kill", [dj.kill, dj.kill_quick])
    def test_kill(self, connection, kill):
        assert refusal(lambda: kill("TIME > 600", connection)) == (
            f"{connection.backend.description} has no sessions of other users"
        )

    def test_set_password(self, connection, capsys):
        assert refusal(lambda: dj.set_password("x", connection, update_config=False)) == (
            f"{connection.backend.description} has no accounts, and no passwords"
        )
        assert dj.config["database.password"] is None
        assert capsys.readouterr().out == ""

    def test_nobody_is_asked_for_an_account(self, connect, monkeypatch, prompts):
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        connect()
        assert prompts["asked"] == []


# -- privileges ---------------------------------------------------------------------------------


def declare(schema: dj.Schema) -> SimpleNamespace:
    """Declare a small pipeline with every kind of table, as each of its users does."""

    @schema
    class Species(dj.Lookup):
        definition = """
        species : varchar(12)
        """
        contents = (("mouse",), ("rat",))

    @schema
    class Subject(dj.Manual):
        definition = """
        # A living thing
        subject : int
        ---
        -> Species
        weight = 1.5 : double  # grams
        """

    @schema
    class Session(dj.Manual):
        definition = """
        -> Subject
        session : int
        """

        class Trial(dj.Part):
            definition = """
            -> master
            trial : int
            """

    @schema
    class Count(dj.Computed):
        definition = """
        -> Session
        ---
        trials : int
        """

        def make(self, key):
            self.insert1({**key, "trials": len(Session.Trial & key)})

    return SimpleNamespace(**{k: v for k, v in locals().items() if isinstance(v, type)})


@pytest.fixture
def owner(schema: dj.Schema) -> SimpleNamespace:
    """The pipeline as its owner has it, with a few rows."""
    tables = declare(schema)
    tables.Subject.insert([(1, "mouse", 20.5), (2, "rat", 250.0)])
    tables.Session.insert([(1, 1), (1, 2)])
    tables.Session.Trial.insert([(1, 1, 1), (1, 1, 2)])
    tables.Count.populate({"session": 1})
    tables.schema = schema
    return tables


@pytest.fixture
def reader(owner: SimpleNamespace, accounts: Accounts, open_: Open) -> SimpleNamespace:
    """The same pipeline for a user who may read it, and no more."""
    name = accounts.create()
    accounts.grant(name, "SELECT", owner.schema.database)
    schema = dj.Schema(owner.schema.database, connection=open_(name))
    tables = declare(schema)
    tables.schema = schema
    return tables


def alter(tables: SimpleNamespace) -> None:
    tables.Subject.definition += "note = null : varchar(10)\n"
    tables.Subject.alter(prompt=False)


READABLE = ["Species", "Subject", "Session", "Count"]


@servers_only
class TestReader:
    def test_declaring_again_writes_nothing(self, owner, accounts, open_):
        before = owner.schema.log.fetch("event").tolist()
        name = accounts.create()
        accounts.grant(name, "SELECT", owner.schema.database)
        declare(dj.Schema(owner.schema.database, connection=open_(name)))
        assert owner.schema.log.fetch("event").tolist() == before

    def test_tables_are_listed(self, owner, reader):
        assert reader.schema.list_tables() == owner.schema.list_tables()
        assert reader.schema.exists
        assert reader.schema.size_on_disk == owner.schema.size_on_disk

    @pytest.mark.parametrize("table", READABLE)
    def test_queries(self, owner, reader, table):
        mine, theirs = getattr(reader, table), getattr(owner, table)
        assert mine.fetch(as_dict=True) == theirs.fetch(as_dict=True)
        assert len(mine()) == len(theirs())
        assert repr(mine()) == repr(theirs())
        assert mine()._repr_html_() == theirs()._repr_html_()
        assert mine().heading == theirs().heading
        assert mine.describe({}) == theirs.describe({})
        assert mine().parents() == theirs().parents()
        assert mine().descendants() == theirs().descendants()

    def test_relations(self, reader):
        joined = (reader.Subject * reader.Session & 'species = "mouse"').aggr(
            reader.Session.Trial, n="count(trial)", keep_all_rows=True
        )
        assert joined.fetch("n").tolist() == [2, 0]

    def test_diagrams(self, owner, reader):
        mine, theirs = dj.Diagram(reader.schema), dj.Diagram(owner.schema)
        assert str(mine) == str(theirs)
        assert repr(mine) == repr(theirs)
        assert mine.make_mermaid() == theirs.make_mermaid()

    def test_progress(self, reader):
        assert reader.Count.progress(display=False) == (1, 2)

    def test_the_log_is_read(self, owner, reader):
        assert len(reader.schema.log) == len(owner.schema.log)

    CHANGES: ClassVar[dict[str, tuple[Callable[[Any], Any], str, str, str]]] = {
        "insert1": (
            lambda t: t.Subject.insert1((3, "rat", 1.0)),
            "insert into",
            "subject",
            "INSERT",
        ),
        "insert": (
            lambda t: t.Subject.insert([(3, "rat", 1.0), (4, "rat", 1.0)]),
            "insert into",
            "subject",
            "INSERT",
        ),
        "replace": (
            lambda t: t.Subject.insert1((1, "rat", 1.0), replace=True),
            "insert into",
            "subject",
            "INSERT and UPDATE",
        ),
        "insert a query": (
            lambda t: t.Subject.insert(t.Subject & {"subject": 1}),
            "insert into",
            "subject",
            "INSERT",
        ),
        "update1": (
            lambda t: t.Subject.update1({"subject": 1, "weight": 2.0}),
            "update",
            "subject",
            "UPDATE",
        ),
        "delete": (lambda t: t.Subject.delete(), "delete from", "__count", "DELETE"),
        "delete_quick": (lambda t: t.Count().delete_quick(), "delete from", "__count", "DELETE"),
        "alter": (alter, "alter", "subject", "ALTER, or is not its owner"),
        "drop": (lambda t: t.Subject.drop(), "drop", "__count", "DROP"),
        "drop_quick": (lambda t: t.Count().drop_quick(), "drop", "__count", "DROP"),
        "populate": (lambda t: t.Count.populate(), "insert into", "__count", "INSERT"),
        "drop the schema": (lambda t: t.schema.drop(), "drop", "__count", "DROP"),
    }

    @pytest.mark.parametrize("change", CHANGES)
    def test_changes_are_refused(self, owner, reader, change):
        action, what, table, privilege = self.CHANGES[change]
        user = reader.schema.connection.get_user()
        name = f"`{owner.schema.database}`.`{table}`"
        text = refusal(lambda: action(reader), AccessError)
        assert text.splitlines()[0] == (
            f"Cannot {what} {name}: the user {user} lacks the privilege {privilege}"
        )
        assert not reader.schema.connection.in_transaction
        assert owner.Subject.fetch("weight").tolist() == [20.5, 250.0]
        assert len(owner.Count()) == 1

    def test_populate_with_reservations(self, owner, reader):
        text = refusal(lambda: reader.Count.populate(reserve_jobs=True), AccessError)
        assert f"`{owner.schema.database}`.`~jobs`" in text.splitlines()[0]

    def test_suppressed_errors_of_populate(self, reader):
        result = reader.Count.populate(suppress_errors=True, return_exception_objects=True)
        ((key, error),) = result["error_list"]
        assert key == {"subject": 1, "session": 2}
        assert isinstance(error, AccessError)

    def test_a_table_that_cannot_be_created(self, owner, reader):
        class New(dj.Manual):
            definition = """
            new : int
            """

        user = reader.schema.connection.get_user()
        text = refusal(lambda: reader.schema(New), AccessError)
        assert text.splitlines()[0] == (
            f"Cannot create `{owner.schema.database}`.`new`: the user {user} lacks the privilege "
            "CREATE, or REFERENCES on a parent"
        )
        with pytest.raises(MissingTableError):
            len(New())

    def test_contents_that_are_not_there_yet(self, owner, reader):
        class Species(dj.Lookup):
            definition = """
            species : varchar(12)
            """
            contents = (("mouse",), ("rat",), ("human",))

        text = refusal(lambda: reader.schema(Species), AccessError)
        assert text.startswith(f"Cannot insert into `{owner.schema.database}`.`#species`: ")

    def test_a_raw_statement(self, owner, reader):
        table = owner.Subject()._quoted
        connection = reader.schema.connection
        assert len(connection.query(f"SELECT * FROM {table}").fetchall()) == 2
        text = refusal(lambda: connection.query(f"DELETE FROM {table}"), AccessError)
        assert "subject" in text
        with connection.transaction:  # which an error of the server would have ended
            assert len(reader.Subject()) == 2


def visible(connection: dj.Connection) -> list[str]:
    """List the schemas that a user sees, except the one that PostgreSQL has for everybody."""
    return [name for name in connection.list_schemas() if name != "public"]


@servers_only
class TestOtherPrivileges:
    def test_only_visible_schemas_are_listed(self, make_schema, accounts, open_):
        make_schema()
        seen = make_schema("seen")
        declare(seen)
        name = accounts.create()
        assert visible(open_(name)) == []
        accounts.grant(name, "SELECT", seen.database)
        connection = open_(name)
        assert visible(connection) == [seen.database]
        assert dj.list_schemas(connection) == connection.list_schemas()

    def test_a_schema_cannot_be_created(self, accounts, open_, schema_name):
        connection = open_(accounts.create())
        text = refusal(lambda: dj.Schema(schema_name, connection=connection), AccessError)
        assert text.splitlines()[0] == (
            f"Cannot create the schema `{schema_name}`: the user {connection.get_user()} lacks the "
            "privilege CREATE"
        )

    def test_schemas_of_ones_own(self, accounts, open_):
        """The pattern of manual 2.3: alice has all privileges on `alice_…`."""
        name = accounts.create()
        accounts.allow_schemas(name)
        schema = dj.Schema(f"{name}_x", connection=open_(name))
        tables = declare(schema)
        tables.Subject.insert1((1, "rat", 1.0))
        tables.Session.insert1((1, 1))
        tables.Count.populate(reserve_jobs=True)
        assert len(tables.Count()) == 1
        assert visible(schema.connection) == [schema.database]
        assert len(schema.log) == 6
        tables.Subject.delete()
        schema.drop()
        assert visible(schema.connection) == []

    def test_who_may_insert_only(self, owner, accounts, open_):
        """The pattern of manual 2.3: a common schema, where nobody deletes."""
        name = accounts.create()
        accounts.grant(name, "SELECT, INSERT", owner.schema.database)
        tables = declare(dj.Schema(owner.schema.database, connection=open_(name)))
        tables.Subject.insert([(3, "rat", 1.0), (4, "rat", 1.0)])
        assert len(owner.Subject()) == 4
        text = refusal(lambda: (tables.Subject & "subject > 2").delete(), AccessError)
        assert text.startswith(f"Cannot delete from `{owner.schema.database}`.`subject`: ")
        assert len(owner.Subject()) == 4

    def test_the_log_is_written_if_it_can_be(self, owner, accounts, open_):
        """Whoever may delete rows, but not write to the log, deletes rows."""
        schema = owner.schema.database
        name = accounts.create()
        accounts.grant(name, "SELECT", schema)
        for table in owner.schema.list_tables():
            accounts.grant(name, "INSERT, DELETE", schema, table)
        tables = declare(dj.Schema(schema, connection=open_(name)))
        events = len(owner.schema.log)
        assert (tables.Session & "session = 1").delete() == 1
        assert len(owner.Session()) == 1
        assert len(owner.schema.log) == events
        with tables.Session().connection.transaction:
            tables.Subject.insert1((3, "rat", 1.0))
            assert (tables.Session & "session = 2").delete_quick(get_count=True) == 1
            tables.Subject.insert1((4, "rat", 1.0))
        assert len(owner.Subject()) == 4
        assert len(owner.schema.log) == events

    def test_the_first_refusal_of_the_log_inside_a_transaction(self, owner, accounts, open_):
        schema = owner.schema.database
        name = accounts.create()
        accounts.grant(name, "SELECT", schema)
        for table in owner.schema.list_tables():
            accounts.grant(name, "INSERT, DELETE", schema, table)
        tables = declare(dj.Schema(schema, connection=open_(name)))
        with tables.Session().connection.transaction:
            tables.Subject.insert1((3, "rat", 1.0))
            (tables.Session & "session = 2").delete_quick()
            tables.Subject.insert1((4, "rat", 1.0))
        assert owner.Subject.fetch("subject").tolist() == [1, 2, 3, 4]
        assert owner.Session.fetch("session").tolist() == [1]

    def test_parents_in_a_schema_that_is_not_visible(self, owner, make_schema, accounts, open_):
        below = make_schema("below")
        Subject = owner.Subject  # noqa: F841 - the definition names it

        @below
        class Note(dj.Manual):
            definition = """
            -> Subject
            ---
            note : varchar(100)
            """

        Note.insert1((1, "calm"))
        name = accounts.create()
        accounts.grant(name, "SELECT, INSERT, DELETE", below.database)
        connection = open_(name)
        schema = dj.Schema(below.database, connection=connection)
        table = dj.FreeTable(connection, Note.full_table_name)
        assert schema.list_tables() == ["note"]
        assert table.fetch(as_dict=True) == [{"subject": 1, "note": "calm"}]
        assert repr(table) == repr(dj.FreeTable(below.connection, Note.full_table_name))
        assert "Note" in dj.Diagram(schema).make_mermaid()
        assert table.delete() == 1
        assert len(Note()) == 0

    def test_children_in_a_schema_that_is_not_visible(self, owner, make_schema, accounts, open_):
        """A delete that would need rows of others to go is refused, and nothing is deleted."""
        below = make_schema("below")
        Subject = owner.Subject  # noqa: F841 - the definition names it

        @below
        class Note(dj.Manual):
            definition = """
            -> Subject
            """

        Note.insert1((2,))
        name = accounts.create()
        accounts.grant(name, "SELECT, DELETE", owner.schema.database)
        tables = declare(dj.Schema(owner.schema.database, connection=open_(name)))
        with pytest.raises((dj.errors.IntegrityError, AccessError)) as raised:
            tables.Subject.delete()
        assert below.database in str(raised.value)
        assert len(owner.Subject()) == 2
        assert len(owner.Session()) == 2


def test_events_are_logged_unless_that_is_turned_off(make_schema):
    with dj.config(log_events=False):
        quiet = make_schema("quiet")
        tables = declare(quiet)
        tables.Subject.insert1((1, "rat", 1.0))
        tables.Subject.delete()
        assert "~log" not in quiet.connection.tables(quiet.database)
    loud = make_schema("loud")
    tables = declare(loud)
    tables.Subject.insert1((1, "rat", 1.0))
    tables.Subject.delete()
    assert len(loud.log) == 7
