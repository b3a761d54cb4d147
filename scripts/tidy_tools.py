"""The rules of scripts/tidy that another program decides: does each header compile alone, is the code formatted, does
ShellCheck find fault with a script. What passed is remembered by its content in build/tidy-cache.json, so that a run
after a small change asks again only about what that change touches.
"""
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess

from tidy_cpp import INCLUDE, Finding

COMPILER = "clang++-19"
FORMATTER = "clang-format-19"
HEADER_FLAGS = ["-std=gnu++23", "-fsyntax-only", "-x", "c++", "-Wall", "-Wextra", "-Wshadow", "-Wconversion",
                "-Wno-sign-conversion", "-Wno-gnu-statement-expression", "-Werror", '-DMERLON_SOURCE_DIR="."']

# Where libraries have their headers in a folder that pkg-config names.
LIBRARY_FLAGS = ["-isystem", "/usr/include/p11-kit-1"]


class Cache:
    """The digests of what passed. Losing it costs time only."""

    def __init__(self, root):
        self.path = os.path.join(root, "build", "tidy-cache.json")
        self.used = set()
        try:
            with open(self.path, encoding="utf-8") as file:
                self.known = set(json.load(file))
        except (OSError, ValueError, TypeError):
            self.known = set()

    def passed_before(self, digest):
        if digest in self.known:
            self.used.add(digest)
            return True
        return False

    def save(self):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        temporary = f"{self.path}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(sorted(self.used), file)
        os.replace(temporary, self.path)


def digest_of(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()


def closure(root, path, sources, generated, seen):
    """The project's own files that a file includes, with their texts, through any number of steps."""
    if path in seen:
        return
    text = sources.get(path)
    if text is None:
        try:
            with open(os.path.join(root, path), encoding="utf-8") as file:
                text = file.read()
        except OSError:
            return
    seen[path] = text
    for match in INCLUDE.finditer(text):
        if match.group(1):
            for folder in ("src", os.path.relpath(generated, root)):
                target = os.path.join(folder, match.group(1))
                if target in sources or os.path.exists(os.path.join(root, target)):
                    closure(root, target, sources, generated, seen)


def version_of(program):
    if shutil.which(program) is None:
        raise OSError(f"{program} is not installed: scripts/setup build test")
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout


def check_header(root, path, generated):
    include = path[len("src/"):]
    made = subprocess.run([COMPILER, *HEADER_FLAGS, *LIBRARY_FLAGS, "-I", os.path.join(root, "src"), "-I", generated, "-"],
                          input=f'#include "{include}"\n', capture_output=True, text=True, cwd=root, check=False)
    if made.returncode == 0:
        return []
    first = next((line for line in made.stderr.splitlines() if "error:" in line), made.stderr.strip()[:200])
    where = re.match(r"(.*?):(\d+):\d+: (?:fatal )?error: (.*)", first)
    line = int(where.group(2)) if where and where.group(1).endswith(path) else 1
    return [Finding(path, line, "header", f"does not compile by itself: {where.group(3) if where else first}")]


def check_format(root, path):
    made = subprocess.run([FORMATTER, "--dry-run", "--Werror", path], capture_output=True, text=True, cwd=root,
                          check=False)
    if made.returncode == 0:
        return []
    where = re.search(r":(\d+):\d+: error", made.stderr)
    return [Finding(path, int(where.group(1)) if where else 1, "format", f"run {FORMATTER} -i {path}")]


def check_shell(root, path):
    made = subprocess.run(["shellcheck", "-f", "gcc", path], capture_output=True, text=True, cwd=root, check=False)
    found = re.findall(r"(?m)^.*?:(\d+):\d+: \w+: (.*)$", made.stdout)
    if made.returncode > 1 or (made.returncode == 1 and not found):
        raise OSError(f"shellcheck could not read {path}: {made.stderr.strip()[:200]}")
    return [Finding(path, int(line), "shell", text) for line, text in found]


def jobs(root, sources, scripts, generated, headers):
    """(digest, check, arguments) for each thing to ask another program about."""
    if headers and any(path.endswith(".h") and path.startswith("src/") for path in sources):
        compiler = version_of(COMPILER) + " ".join(HEADER_FLAGS)
        for path in sources:
            if path.endswith(".h") and path.startswith("src/"):
                seen = {}
                closure(root, path, sources, generated, seen)
                yield digest_of("header", compiler, *(f"{k}\n{v}" for k, v in sorted(seen.items()))), \
                    check_header, (root, path, generated)
    style = os.path.join(root, ".clang-format")
    if sources and os.path.exists(style):
        with open(style, encoding="utf-8") as file:
            formatter = version_of(FORMATTER) + file.read()
        for path, text in sources.items():
            yield digest_of("format", formatter, path, text), check_format, (root, path)
    if scripts:
        checker = version_of("shellcheck")
        for path in scripts:
            with open(os.path.join(root, path), encoding="utf-8") as file:
                yield digest_of("shell", checker, path, file.read()), check_shell, (root, path)


def check(root, sources, scripts, generated, headers):
    cache, findings = Cache(root), []
    todo = [job for job in jobs(root, sources, scripts, generated, headers) if not cache.passed_before(job[0])]
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for (digest, _, _), found in zip(todo, pool.map(lambda job: job[1](*job[2]), todo)):
            if found:
                findings += found
            else:
                cache.used.add(digest)
    cache.save()
    return findings
