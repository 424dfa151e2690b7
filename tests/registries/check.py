"""Has SILO add, scan, search and read real registries, and checks what it says: check.py FOLDER"""

import base64
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3

from surroundings import AWS_KEY, AWS_LOGIN, AWS_SECRET, ROOT, SILO, Surroundings, http

PASSWORD = "for the registries only"
# Images of the demo that are pushed; the last one goes again.
NDVI, NEWER, CLOUDS = "ndvi-1.10.0-seed:1.0.0", "ndvi-1.10.0-seed:1.1.0", "cloud-mask-9.4.1-seed:1.0.0"


def push(image, host, org, login):
    """With skopeo, as people do."""
    target = f"docker://{host}/{org}/{image}"
    subprocess.run(
        ["skopeo", "copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false", "--dest-creds", ":".join(login), f"oci:{ROOT}/demo/layout:{image}", target],
        check=True, stdout=subprocess.DEVNULL)


class Silo:
    """The program, logged in to a service of its own."""

    def __init__(self, url, work: Path):
        self.url = url
        token = http(f"{url}/login", {"username": "admin", "password": PASSWORD})[1]["token"]
        self.headers = {"Authorization": f"Token {token}"}
        self.docker = work / "docker"
        self.docker.mkdir()
        self.env = {
            **os.environ, "SILO_URL": url, "SILO_TOKEN": token, "DOCKER_CONFIG": str(self.docker), "HOME": str(work),
            "SILO_DATA": str(work / "client")}

    def run(self, *words, stdin="", code=0):
        """What it prints; `code` is what it has to exit with."""
        done = subprocess.run([SILO, *words], input=stdin, capture_output=True, text=True, env=self.env)
        assert done.returncode == code, f"silo {' '.join(words)} exits with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def docker_login(self, host, login):
        """What `docker login` leaves."""
        auth = base64.b64encode(":".join(login).encode()).decode()
        (self.docker / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))

    def add(self, name, host, login=None, *more, code=0):
        who, password = (("--username", login[0]), login[1]) if login else ((), "")
        return self.run("registry", "add", name, f"http://{host}", *who, *more, stdin=password, code=code)

    def get(self, path):
        status, answer = http(f"{self.url}/api/v1/{path}", headers=self.headers)
        assert status == 200, f"GET {path}: {status} {answer}"
        return answer

    def images(self):
        return {image["reference"]: image["id"] for image in self.get("images?limit=100")["items"]}

    def scan(self, name, state="complete", **expected):
        """Scans by the program; the report has to say what is expected."""
        self.run("scan", name, "--wait", code=0 if state == "complete" else 1)
        scan = next(scan for scan in self.get("scans?limit=1")["items"] if scan["registry"] == name)
        said = {"state": scan["state"], **{count: scan["counts"][count] for count in expected}}
        told = json.dumps([scan, self.get(f"scans/{scan['id']}/problems")], indent=1)
        assert said == {"state": state, **expected}, f"{name}: expected {state} {expected}\n{told}"
        counts = scan["counts"]
        parts = sum(counts[part] for part in ("tagsSeed", "tagsNotSeed", "tagsWithProblems", "tagsPassedOver"))
        assert parts == counts["tags"] == sum(counts["outcomes"].values()), f"{name}: the sums do not add up: {counts}"
        return scan

    def look_around(self, name, host, org, login, remove, **expected):
        """What is the same everywhere: a scan, another one, what people see, and an image that goes."""
        scan = self.scan(name, added=expected.get("images", 3), **expected)
        problems = {problem["code"] for problem in self.get(f"scans/{scan['id']}/problems")["items"]}
        before = self.images()
        wanted = {f"{host}/{org}/{image}" for image in (NDVI, NEWER, CLOUDS)}
        assert wanted <= set(before), f"{name}: {before}"
        self.scan(name, added=0, changed=0, removed=0, **expected)
        found = json.loads(self.run("search", "ndvi", "--json"))["items"][0]
        assert found["image"] == f"{host}/{org}/{NEWER}", found
        self.docker_login(host, login)
        assert '"name": "ndvi"' in self.run("image", "inspect", f"http://{host}/{org}/{NDVI}")
        assert NEWER in self.run("search", "-r", f"http://{host}", "-O", org)

        remove()
        gone = f"{host}/{org}/{CLOUDS}"
        self.scan(name, added=0, changed=0, removed=1)
        after = self.images()
        assert after == {reference: id for reference, id in before.items() if reference != gone}, f"{name}: {after}"
        assert "cloud-mask" not in self.run("search", "cloud mask", "--json")
        self.run("registry", "rm", name)
        assert self.images() == {}
        return problems


def distribution(silo, around):
    """docker-registry, whose token server gives each what is below his own name."""
    users = {"ada": "s3cret", "bob": "b0b", "carol": "c4rol"}
    host, tokens = around.with_tokens(users, without_catalog={"carol"})
    ada, bob, carol = users.items()
    for image in (NDVI, NEWER, CLOUDS):
        push(image, host, "ada", ada)
    push(NDVI, host, "bob", bob)
    push(NDVI, host, "carol", carol)

    refused = silo.add("wrong", host, ("ada", "wrong"), code=1)
    assert "does not accept the username and password" in refused, refused
    # A stranger is given no token at all.
    said = silo.add("stranger", host)
    assert "requires a login to list its repositories" in said, said
    silo.scan("stranger", state="failed")
    silo.run("registry", "rm", "stranger")

    # Who may not list may read what is named.
    said = silo.add("one", host, carol)
    assert "name the repositories" in said, said
    silo.scan("one", state="failed")
    silo.run("registry", "set", "one", "--repository", "carol/ndvi-1.10.0-seed")
    silo.scan("one", added=1)
    silo.run("registry", "rm", "one")

    # The others' repositories are listed, but not given.
    silo.add("tokens", host, ada)
    asked = len(tokens.asked)
    remove = lambda: silo.run("unpublish", f"http://{host}/ada/{CLOUDS}")
    problems = silo.look_around("tokens", host, "ada", ada, remove, images=3, repositoriesRefused=2)
    assert problems == {"pull-refused"}, problems
    scopes = [scopes for _, scopes in tokens.asked[asked:]]
    assert ["registry:catalog:*"] in scopes and ["repository:ada/ndvi-1.10.0-seed:pull"] in scopes, scopes


def pulp(silo, around):
    """Pulp, which opens `/v2/` to tokens without access, and the catalogue to those of its own scope."""
    admin = ("admin", "s3cret")
    host = around.pulp(admin[1])
    for image in (NDVI, NEWER, CLOUDS):
        push(image, host, "geo", admin)
    refused = silo.add("wrong", host, ("admin", "wrong"), code=1)
    assert "does not accept the username and password" in refused, refused

    # Strangers read what is public, if they know its name.
    said = silo.add("stranger", host)
    assert "requires a login to list its repositories" in said, said
    silo.run("registry", "set", "stranger", "--repository", "geo/ndvi-1.10.0-seed")
    silo.scan("stranger", added=2)
    silo.run("registry", "rm", "stranger")

    silo.add("pulp", host, admin)
    kinds = {registry["name"]: registry["kind"] for registry in json.loads(silo.run("registry", "list", "--json"))}
    assert kinds == {"pulp": "distribution"}, kinds

    def remove():
        name, tag = CLOUDS.split(":")
        login = {"Authorization": "Basic " + base64.b64encode(":".join(admin).encode()).decode()}
        answer = http(f"http://{host}/pulp/api/v3/repositories/container/container/?name=geo/{name}", headers=login)[1]
        place = f"http://{host}{answer['results'][0]['pulp_href']}"
        status, task = http(f"{place}untag/", {"tag": tag}, login)
        assert status == 202, task
        until = time.monotonic() + 60
        while (state := http(f"http://{host}{task['task']}", headers=login)[1]["state"]) != "completed":
            assert state in ("waiting", "running") and time.monotonic() < until, state
            time.sleep(0.2)

    silo.look_around("pulp", host, "geo", admin, remove, images=3)


def ecr(silo, around):
    """moto's ECR, which lists tags with digests, and gives tokens whose stated life is over."""
    host = around.ecr()
    interface = boto3.client(
        "ecr", endpoint_url=f"http://{host}", region_name="us-east-1", aws_access_key_id=AWS_KEY, aws_secret_access_key=AWS_SECRET)
    for image in (NDVI, NEWER, CLOUDS):
        push(image, host, "geo", AWS_LOGIN)
        name, tag = image.split(":")
        read = ["skopeo", "inspect", "--raw", f"oci:{ROOT}/demo/layout:{image}"]
        manifest = subprocess.run(read, check=True, capture_output=True).stdout.decode()
        digest = subprocess.run(["skopeo", "manifest-digest", "/dev/stdin"], input=manifest, check=True, capture_output=True, text=True).stdout
        if tag == "1.0.0":
            interface.create_repository(repositoryName=f"geo/{name}")
        interface.put_image(repositoryName=f"geo/{name}", imageManifest=manifest, imageTag=tag, imageDigest=digest.strip())

    log = around.work / "ecr-nginx/access.log"
    silo.add("ecr", host, (AWS_KEY, AWS_SECRET), "--kind", "ecr")
    name, tag = CLOUDS.split(":")
    remove = lambda: interface.batch_delete_image(repositoryName=f"geo/{name}", imageIds=[{"imageTag": tag}])
    log.write_text("")
    silo.look_around("ecr", host, "geo", AWS_LOGIN, remove, images=3)
    asked = log.read_text()
    assert asked.count("DescribeImages 200") == 6, f"three scans list two repositories by the interface:\n{asked}"
    assert asked.count("GetAuthorizationToken") <= 3, f"one token is enough for a scan:\n{asked}"

    # What `aws ecr get-login-password` prints does without the interface.
    silo.add("ecr", host, AWS_LOGIN, "--kind", "ecr")
    silo.scan("ecr", added=3, images=3)


def run(check, work, ports):
    began = time.monotonic()
    around = Surroundings(work / check.__name__, ports)
    try:
        check(Silo(around.silo(PASSWORD), around.work), around)
    finally:
        around.stop()
    print(f"-- {check.__name__}: added, scanned, searched, read, and removed ({time.monotonic() - began:.0f} s)", flush=True)


def main():
    # Each in a process of its own, all at once: most of the time goes into Pulp's tables.
    work, checks = Path(sys.argv[1]), (pulp, distribution, ecr)
    running = [
        multiprocessing.Process(target=run, args=(check, work, range(20000 + 4000 * number, 24000 + 4000 * number)))
        for number, check in enumerate(checks)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for process in running:
        process.start()
    try:
        for process in running:
            process.join()
    finally:
        for process in running:
            process.terminate()
            process.join()
    sys.exit(any(process.exitcode for process in running))


main()
