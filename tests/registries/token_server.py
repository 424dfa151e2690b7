"""A token server for docker-registry, which grants what contrib/token-server of distribution grants: all that is asked for below
one's own name, and the catalogue to whoever asks for exactly that. What it does not grant is left out; the token comes all the same."""

import base64
import json
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

SERVICE, ISSUER, LIFE_SECONDS = "test-registry", "test-tokens", 900
CATALOG = "registry:catalog:*"


class TokenServer:
    """Serves on a loopback port until the process ends. `users`: passwords by name; `without_catalog`: who never gets it."""

    def __init__(self, key: str, certificate: str, users: dict[str, str], without_catalog: set[str]):
        self.key, self.users, self.without_catalog = key, users, without_catalog
        self.x5c = ["".join(certificate.splitlines()[1:-1])]
        self.asked: list[tuple[str, list[str]]] = []
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                user = desk.user(self.headers.get("Authorization", ""))
                if user is None:
                    refusal = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required", "detail": None}]}
                    return self.reply(401, refusal, {"WWW-Authenticate": f'Basic realm="{desk.realm}"'})
                scopes = query.get("scope", [])
                desk.asked.append((user, scopes))
                self.reply(200, {"access_token": desk.token(user, scopes), "expires_in": LIFE_SECONDS}, {})

            def reply(self, status, body, headers):
                body = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.realm = f"http://127.0.0.1:{server.server_port}/token/"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def user(self, authorization: str) -> str | None:
        kind, _, sent = authorization.partition(" ")
        name, _, password = base64.b64decode(sent).decode().partition(":") if kind == "Basic" else ("", "", "")
        return name if name and self.users.get(name) == password else None

    def grants(self, user: str, scopes: list[str]):
        for scope in (scope for line in scopes for scope in line.split()):
            kind, name, actions = scope.split(":", 2)
            mine = kind == "repository" and name.startswith(user + "/")
            if mine or (scopes == [CATALOG] and user not in self.without_catalog):
                yield {"type": kind, "name": name, "actions": actions.split(",")}

    def token(self, user: str, scopes: list[str]) -> str:
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": user, "aud": SERVICE, "iat": now, "nbf": now - 10, "exp": now + LIFE_SECONDS}
        claims["access"] = list(self.grants(user, scopes))
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"x5c": self.x5c})
