"""Build the Dockerfile and run the image as docs/deploy.md describes, without access to an image registry.

On Debian, as root: apt install buildah podman debootstrap; python3 scripts/check_image.py [IMAGE]

The script builds the base image of FROM from Debian packages, unless the image exists: the same Debian release, the
same minor version of Python. BUILD_OPTIONS are more arguments for `buildah bud`, such as a pip.conf to mount.
RUN_OPTIONS are more arguments for `podman run`, such as --ulimit=nofile=4096:4096 where limits cannot be raised. With
IMAGE, the script checks that image and builds nothing.
"""

import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMAGE = "localhost/agent-router:check"
PYTHON = "/usr/bin/python3"
LOCKED_DOWN = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none"]
LOCKED_DOWN += shlex.split(os.environ.get("RUN_OPTIONS", ""))
SECONDS = 60.0

# A request with a slow body. It starts before SIGTERM, and the service must still answer it.
SLOW_REQUEST = r"""
import socket, sys, time
body = b'{"email": "a@example.org", "password": "Sturdy-horse-battery-9"}'
with socket.create_connection(("127.0.0.1", 8000)) as one:
    one.sendall(b"POST /v1/auth/register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body) + body[:10])
    print("begun", flush=True)
    time.sleep(3)
    one.sendall(body[10:])
    print(one.recv(4096).split(b"\r\n")[0].decode(), flush=True)
"""
GET = (
    "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', 8000, timeout=9); c.request('GET', sys.argv[1]);"
    "a = c.getresponse(); a.read(); print(a.status, a.headers['Content-Type'])"
)


def run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        sys.exit(f"{shlex.join(command)[:200]}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        sys.exit(f"FAILED {what}: {found!r} instead of {wanted!r}")
    print(f"ok  {what}", flush=True)


def make_base(name: str) -> None:
    """Create a base image of Debian and its Python, if there is no image of this name."""
    if run("buildah", "images", "--quiet", name, check=False):
        return
    release = name.rpartition("-")[2]
    with tempfile.TemporaryDirectory() as folder:
        print(f"Making {name}: debootstrap {release}", flush=True)
        packages = "python3,python3-venv,ca-certificates"
        run("debootstrap", "--variant=minbase", f"--include={packages}", release, f"{folder}/root")
        (Path(folder) / "root/usr/local/bin/python").symlink_to(PYTHON)
        container = run("buildah", "from", "scratch")
        run("buildah", "copy", container, f"{folder}/root", "/")
        run("buildah", "commit", "--rm", container, name)


def build() -> str:
    text = (ROOT / "Dockerfile").read_text()
    for name in set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)):
        make_base(f"docker.io/library/{name}")
    command = ["buildah", "bud", "--isolation=chroot", "--network=host", "--pull-never", "--format=docker"]
    command += [*shlex.split(os.environ.get("BUILD_OPTIONS", "")), f"--tag={IMAGE}", str(ROOT)]
    subprocess.run(command, check=True)
    return IMAGE


def look_at(image: str) -> None:
    """Check the content of the image without running the service."""
    config = json.loads(run("podman", "image", "inspect", image))[0]
    expect("user", config["User"], "10001:10001")
    expect("nothing secret in the environment", [one for one in config["Config"]["Env"] if "SECRET" in one], [])
    files = run("podman", "run", "--rm", *LOCKED_DOWN, image, "find", "/app", "-maxdepth", "1", "-printf", "%f\n")
    wanted = {"app", "LICENSE", "manage.py", "requirements.txt", "agent_router", "core", "items", "data"}
    expect("/app holds the service alone", set(files.splitlines()) - {"__pycache__"}, wanted)
    history = run("podman", "history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    expect("nothing secret in the layers' commands", re.findall(r"(?i)(?:secret|password|token)\S*=\S+", history), [])


def use(image: str) -> None:
    """Run the service as docs/deploy.md describes, and use it."""
    settings = [
        "--env=APP_ENV=production",
        "--env=WORKERS=2",
        f"--env=JWT_SECRET={secrets.token_urlsafe(48)}",
        "--env=REDIS_URL=",
    ]
    settings += ["--env=DB_DSN=sqlite:////app/data/app.db", '--env=ALLOWED_HOSTS=["localhost", "127.0.0.1"]']
    volume = f"agent-router-check-{secrets.token_hex(4)}"
    options = [*LOCKED_DOWN, *settings, f"--volume={volume}:/app/data"]
    run("podman", "run", "--rm", *options, image, "python", "manage.py", "migrate", "--verbosity=0")
    container = run("podman", "run", "--detach", "--stop-timeout=60", *options, image)
    try:
        use_container(container)
    finally:
        run("podman", "rm", "--force", "--time=0", container, check=False)
        run("podman", "volume", "rm", volume, check=False)


def use_container(container: str) -> None:
    def inside(*command: str) -> str:
        return run("podman", "exec", container, *command, check=False)

    deadline = time.monotonic() + SECONDS
    while not inside("python", "-c", GET, "/health/live").startswith("200"):
        if time.monotonic() > deadline:
            sys.exit(run("podman", "logs", container))
        time.sleep(0.3)
    expect("ready", inside("python", "-c", GET, "/health/ready"), "200 application/json")
    expect("healthcheck", subprocess.run(["podman", "healthcheck", "run", container], check=False).returncode, 0)
    expect("user id", inside("id", "-u"), "10001")
    expect("the root file system is read-only", inside("sh", "-c", "touch /app/x 2>/dev/null || echo no"), "no")
    expect("process 1 is the server", "serve" in inside("cat", "/proc/1/cmdline"), True)
    expect("documentation", inside("python", "-c", GET, "/docs"), "200 text/html; charset=utf-8")
    for path in ("/static/admin/css/base.css", "/static/docs/docs.css"):
        expect(path, inside("python", "-c", GET, path), "200 text/css; charset=utf-8")
    drain(container)


def drain(container: str) -> None:
    with subprocess.Popen(
        ["podman", "exec", container, "python", "-c", SLOW_REQUEST], stdout=subprocess.PIPE, text=True
    ) as slow:
        assert slow.stdout is not None
        expect("a slow request has begun", slow.stdout.readline().strip(), "begun")
        run("podman", "kill", "--signal=TERM", container)
        expect("it is answered after SIGTERM", slow.stdout.readline().strip(), "HTTP/1.1 201 Created")
    code = run("podman", "wait", container)
    expect("exit code", code in ("0", "143"), True)
    done = subprocess.run(["podman", "logs", container], capture_output=True, text=True, check=True)
    lines = (done.stdout + done.stderr).splitlines()
    expect("every line of the log is JSON", [line for line in lines if not line.startswith('{"timestamp"')], [])


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else build()
    look_at(chosen)
    use(chosen)
