"""A real PostgreSQL server for tests: in a temporary folder, on a free port of loopback, stopped.

The server refuses to run as root; there it runs as `postgres` or `nobody`. It ends with the process
that has started it, however that ends.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

_DEBIAN = "/usr/lib/postgresql"
_OWNER, _PASSWORD = "keeper", "s3cret@/:?#x"  # all that a URL has to encode
_START_SECONDS = 60.0
_QUICK = ("fsync=off", "full_page_writes=off", "max_connections=40", "shared_buffers=16MB")

# Takes a user and a command: gives rights up, asks to be ended with its parent, becomes it.
_LAUNCH = """
import ctypes, os, signal, sys
name, folder, *command = sys.argv[1:]
if name:
    import pwd
    user = pwd.getpwnam(name)
    os.setgroups([]), os.setgid(user.pw_gid), os.setuid(user.pw_uid)
os.chdir(folder)
try:
    ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG
except (AttributeError, OSError):
    pass
os.execv(command[0], command)
"""


def binaries() -> Path:
    """Returns the folder of PostgreSQL's programs, the newest of Debian's; skips without one."""
    found = [path for path in Path(_DEBIAN).glob("*/bin") if (path / "initdb").exists()]
    if found:
        return max(found, key=lambda path: float(path.parent.name))
    on_path = shutil.which("initdb")
    if on_path is None:
        pytest.skip(f"no PostgreSQL: neither {_DEBIAN}/*/bin nor initdb (apt install postgresql)")
    return Path(on_path).resolve().parent


class Server:
    """A server with one superuser, whom a password lets in."""

    def __init__(self) -> None:
        pytest.importorskip("psycopg", reason="psycopg is not installed: metaloop[postgres]")
        self._binaries = binaries()
        self._user = _unprivileged() if os.geteuid() == 0 else ""
        self._folder = Path(tempfile.mkdtemp(prefix="metaloop-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        password = self._folder / "password"
        password.write_text(_PASSWORD)
        if self._user:
            user = pwd.getpwnam(self._user)
            for path in (self._folder, password):
                os.chown(path, user.pw_uid, user.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._run(
            "initdb", "--pgdata=data", f"--username={_OWNER}", f"--pwfile={password}", "--no-sync",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions",
        )  # fmt: skip

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        log = (self._folder / "log").open("ab")
        settings = [word for setting in _QUICK for word in ("-c", setting)]
        self._process = subprocess.Popen(
            self._command(
                "postgres", "-D", "data", "-h", "127.0.0.1", "-p", str(self.port), "-k", "",
                *settings,
            ),
            stdout=log, stderr=log,
        )  # fmt: skip
        log.close()
        ends = time.monotonic() + _START_SECONDS
        while True:
            try:
                return self.do("SELECT 1")
            except Exception:
                if time.monotonic() > ends or self._process.poll() is not None:
                    raise AssertionError((self._folder / "log").read_text()) from None
                time.sleep(0.05)

    def stop(self) -> None:
        """Stops the server at once, as a crash would, connections and all."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def remove(self) -> None:
        """Stops the server and removes its folder."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str, user: str = _OWNER, password: str = _PASSWORD) -> str:
        """Returns the URL of a database for a user."""
        from urllib.parse import quote

        login = f"{user}:{quote(password, safe='')}"
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}"

    def place(self) -> str:
        """Returns the URL of a new, empty schema: cheaper than a database."""
        self._databases += 1
        name = f"team{self._databases}"
        self.do(f"CREATE SCHEMA {name}")
        return f"{self.url('postgres')}?options=-csearch_path%3D{name}"

    def database(self, encoding: str = "UTF8") -> str:
        """Returns the name of a new, empty database."""
        self._databases += 1
        name = f"team{self._databases}"
        self.do(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
        return name

    def do(self, *statements: str, database: str = "postgres") -> None:
        """Runs statements as the superuser."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def _command(self, program: str, *words: str) -> list[str]:
        path = str(self._binaries / program)
        return [sys.executable, "-c", _LAUNCH, self._user, str(self._folder), path, *words]

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(self._command(program, *words), capture_output=True, text=True)
        if done.returncode:
            self.remove()
            raise AssertionError(f"{program}: {done.stdout}{done.stderr}")


def _unprivileged() -> str:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody'")
