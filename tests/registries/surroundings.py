"""Starts and ends what the checks need: each registry with what it needs, and a SILO."""

import glob
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from token_server import ISSUER, SERVICE, TokenServer

ROOT = Path(__file__).resolve().parents[2]
SILO = os.environ.get("SILO", str(ROOT / "target/debug/silo"))
AWS_KEY, AWS_SECRET = "AKIAIOSFODNN7EXAMPLE", "only for tests"
# What moto gives whoever asks it for a token.
AWS_LOGIN = ("AWS", "123456789012-auth-token")


def http(url, body=None, headers=None, method=None):
    """Status and JSON of an answer; a refusal is one, too."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        status, text = refusal.code, refusal.read()
    return status, json.loads(text) if text[:1] in (b"{", b"[") else text.decode(errors="replace")


class Surroundings:
    """The processes that were started, ended in the opposite order. `ports`: below those that the kernel gives away by itself,
    and of nobody else's surroundings."""

    def __init__(self, work: Path, ports: range):
        self.work, self.running = work, []
        self.ports = iter(random.sample(ports, len(ports)))
        work.mkdir()

    def port(self):
        """A free one, which nobody else is given."""
        for number in self.ports:
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", number))
                    return number
                except OSError:
                    continue

    def start(self, name, *command, ready, env=None, **options):
        """Starts a process, and waits until `ready` is true. Its output goes to a file that is shown if it fails."""
        log = self.work / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(word) for word in command], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                env={**os.environ, **(env or {})}, start_new_session=True, **options)
        self.running.append(process)
        until = time.monotonic() + 300
        while not ready():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{name} does not start:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.1)

    def stop(self):
        """Each has a session of its own, which takes its children along; nothing else is in it."""
        for process in reversed(self.running):
            for sent, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
                try:
                    os.killpg(process.pid, sent)
                    process.wait(patience)
                except ProcessLookupError:
                    break
                except subprocess.TimeoutExpired:
                    continue
        self.running.clear()

    def answers(self, url, status=200):
        def ready():
            try:
                return http(url)[0] == status
            except OSError:
                return False
        return ready

    # The registries.

    def docker_registry(self, name, auth):
        address = f"127.0.0.1:{self.port()}"
        config = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.work / name)}, "delete": {"enabled": True}},
            "http": {"addr": address, "secret": "only for tests"},
            "auth": auth,
        }
        file = self.work / f"{name}.yml"
        file.write_text(json.dumps(config))
        self.start(name, "docker-registry", "serve", file, ready=self.answers(f"http://{address}/v2/", 401))
        return address

    def with_tokens(self, users, without_catalog):
        """docker-registry with a token server: its address, and the server."""
        key, certificate = self.work / "token.key", self.work / "token.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tokens", "-days", "2",
             "-keyout", key, "-out", certificate], check=True, stderr=subprocess.DEVNULL)
        tokens = TokenServer(key.read_text(), certificate.read_text(), users, without_catalog)
        auth = {"realm": tokens.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(certificate)}
        return self.docker_registry("distribution", {"token": auth}), tokens

    def nginx(self, name, address, locations):
        """A proxy, as stands before these servers elsewhere. It answers TLS, which some clients try first, at once."""
        folder = self.work / f"{name}-nginx"
        folder.mkdir()
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        places = "".join(f"location {path} {{ proxy_pass http://{to}; }}" for path, to in locations.items())
        config = self.work / f"{name}-nginx.conf"
        config.write_text(
            f"daemon off; pid {folder}/pid; error_log stderr; worker_processes 1; events {{}} http {{ {temporary}"
            "log_format asked '$request_method $uri $http_x_amz_target $status';"
            f"access_log {folder}/access.log asked; client_max_body_size 0; proxy_http_version 1.1; proxy_set_header Host $http_host;"
            f"server {{ listen {address}; {places} }} }}")
        self.start(f"{name}-nginx", "nginx", "-e", "stderr", "-c", config, ready=self.answers(f"http://{address}/v2/", 401))

    def ecr(self):
        """moto's ECR, which has the interface alone, and a registry that takes its tokens, behind one address."""
        moto = f"127.0.0.1:{self.port()}"
        self.start("moto", "moto_server", "-p", moto.split(":")[1], ready=self.answers(f"http://{moto}/moto-api/data.json"))
        passwords = self.work / "aws.htpasswd"
        passwords.write_bytes(subprocess.run(["htpasswd", "-Bbn", *AWS_LOGIN], check=True, capture_output=True).stdout)
        registry = self.docker_registry("ecr", {"htpasswd": {"realm": "ecr", "path": str(passwords)}})
        address = f"127.0.0.1:{self.port()}"
        self.nginx("ecr", address, {"/v2/": registry, "/": moto})
        return address

    def postgres(self):
        """A PostgreSQL with a socket in a folder, which is returned."""
        found = shutil.which("initdb")
        programs = Path(found).resolve().parent if found else Path(sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1])
        folder = self.work / "postgres"
        folder.mkdir(mode=0o700)
        who = {}
        if os.geteuid() == 0:  # as which it refuses to run
            shutil.chown(folder, "postgres", "postgres")
            who = {"user": "postgres", "group": "postgres", "extra_groups": []}
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            check=True, cwd="/", stdout=subprocess.DEVNULL, **who)
        log = self.work / "postgres.log"
        ready = lambda: "ready to accept connections" in log.read_text()
        self.start(
            "postgres", programs / "postgres", "-D", folder / "data", "-c", "listen_addresses=", "-c",
            f"unix_socket_directories={folder}", "-c", "fsync=off", cwd="/", ready=ready, **who)
        return folder

    def pulp(self, password):
        """Pulp with its container plugin: API, content and worker, behind one address. Its user is `admin`."""
        folder = self.work / "pulp"
        (folder / "tmp").mkdir(parents=True)
        key, public = folder / "key.pem", folder / "public.pem"
        subprocess.run(["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key], check=True)
        subprocess.run(["openssl", "ec", "-in", key, "-pubout", "-out", public], check=True, stderr=subprocess.DEVNULL)
        (folder / "database.key").write_bytes(subprocess.run(["openssl", "rand", "-base64", "32"], check=True, capture_output=True).stdout)
        api, content, address = (f"127.0.0.1:{self.port()}" for _ in range(3))
        database = self.postgres()
        redis = folder / "redis.sock"
        self.start("redis", "redis-server", "--port", "0", "--unixsocket", redis, "--save", "", "--dir", folder, ready=redis.exists)
        settings = {
            "SECRET_KEY": "only for tests",
            "DB_ENCRYPTION_KEY": str(folder / "database.key"),
            "DATABASES": {"default": {
                "ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "postgres", "HOST": str(database)}},
            "CACHE_ENABLED": True,
            "REDIS_URL": f"unix://{redis}",
            "DEPLOY_ROOT": str(folder),
            "MEDIA_ROOT": str(folder / "media"),
            "WORKING_DIRECTORY": str(folder / "tmp"),
            "FILE_UPLOAD_TEMP_DIR": str(folder / "tmp"),
            "CONTENT_ORIGIN": f"http://{address}",
            "TOKEN_SERVER": f"http://{address}/token/",
            "TOKEN_SIGNATURE_ALGORITHM": "ES256",
            "PUBLIC_KEY_PATH": str(public),
            "PRIVATE_KEY_PATH": str(key),
            "ANALYTICS": False,
        }
        (folder / "settings.py").write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
        env = {"PULP_SETTINGS": str(folder / "settings.py"), "HOME": str(folder)}
        for command in (["migrate", "--noinput", "--verbosity", "0"], ["reset-admin-password", "--password", password]):
            done = subprocess.run(["pulpcore-manager", *command], env={**os.environ, **env}, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
        status = self.answers(f"http://{api}/pulp/api/v3/status/")
        self.start("pulp-api", "pulpcore-api", "--bind", api, env=env, ready=status)
        self.start("pulp-content", "pulpcore-content", "--bind", content, env=env, ready=self.answers(f"http://{content}/pulp/content/"))
        is_working = lambda: bool(http(f"http://{api}/pulp/api/v3/status/")[1]["online_workers"])
        self.start("pulp-worker", "pulpcore-worker", env=env, ready=is_working)
        self.nginx("pulp", address, {"/pulp/content/": content, "/pulp/container/": content, "/": api})
        return address

    def silo(self, password):
        """A SILO with nothing in it: its URL."""
        address = f"127.0.0.1:{self.port()}"
        env = {"SILO_DATA": str(self.work / "silo"), "SILO_LISTEN": address, "SILO_ADMIN_PASSWORD": password}
        self.start("silo", SILO, "serve", env=env, ready=self.answers(f"http://{address}/readyz"))
        return f"http://{address}"
