#!/usr/bin/env python3
"""Which source files of a room one compiler run may read, one after another: most of the time that a file takes goes into
the headers that its neighbours include too.

usage: cmake/batches.py OUTPUT [FILES-A-BATCH]      without the number: as many as OUTPUT was made with

Only files that cannot notice each other share a batch. What a file declares for itself, above all in its unnamed
namespace, stays its own: no file is put beside one that so much as mentions such a name. So each name means in a batch
what it means in the file alone, and what runs in production is what the tests of the debug build have tested.
OUTPUT, CMake code, is written only when it changes; scripts/build asks before each build.
"""
import collections
import glob
import os
import re
import sys

TOKEN = re.compile(r"[A-Za-z_]\w*|->|::|<<|<=|\S")
IDENTIFIER = re.compile(r"(?!(?:auto|bool|char|const|double|int|long|unsigned|void)\b)[A-Za-z_]\w*$")
TYPES = ("struct", "class", "union", "enum")
CLOSES = {"(": ")", "{": "}", "[": "]"}
# What one file can do to the next without a name of its own. The kernel's headers define what the C library's do, and get
# on with them in one order alone.
ALONE = re.compile(r"^#\s*(?:define|undef|pragma|include\s*<linux/)|^using namespace", re.M)


def tokens_of(text):
    """The code's words and signs: no comments, no directives, and no strings' contents."""
    text = re.sub(r'R"(\w*)\(.*?\)\1"', '""', text, flags=re.S)
    text = re.sub(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"', lambda hit: '""' if hit[0][0] == '"' else " ", text, flags=re.S)
    text = re.sub(r"(?<![0-9a-fA-F])'(?:[^'\\\n]|\\.)+'", "0", text)
    return TOKEN.findall(re.sub(r"^#(?:.*\\\n)*.*", "", text, flags=re.M))


def behind(tokens, at, opens, closes):
    """The place behind the bracket that opens at `at`."""
    depth = 0
    while at < len(tokens):
        depth += (tokens[at] == opens) - (tokens[at] == closes)
        # A comparison inside parentheses is no template's bracket.
        at = behind(tokens, at, tokens[at], CLOSES[tokens[at]]) if opens == "<" and tokens[at] in CLOSES else at + 1
        if depth == 0:
            break
    return at


def enumerators(tokens, at, end):
    return [tokens[i + 1] for i in range(at, end - 1) if tokens[i] in ("{", ",") and IDENTIFIER.match(tokens[i + 1])]


def declaration(tokens, at):
    """The names that the declaration at `at` declares, its first word, is it a function, and the place behind it."""
    while tokens[at:at + 1] == ["template"]:
        at = behind(tokens, at + 1, "<", ">")
    while tokens[at:at + 1] == ["["]:
        at = behind(tokens, at, "[", "]")
    first, start, names, values, called, valued = tokens[at], at, [], [], False, False
    while at < len(tokens) and tokens[at] != ";":
        token = tokens[at]
        if token == "<" and not valued and not called and tokens[at - 1] != "operator":
            at = behind(tokens, at, "<", ">")
            continue
        if not names and (token in ("=", ":") or token in CLOSES or token == "operator"):
            names.append(token if token == "operator" else tokens[at - 1])
        elif names and token == "," and not called and first != "using" and tokens[at + 2] in ("=", "{", "[", ",", ";"):
            names.append(tokens[at + 1])
        valued = valued or token == "="
        called = called or token == "("
        if token in CLOSES:
            opened, at = at, behind(tokens, at, token, CLOSES[token])
            if first == "enum" and token == "{" and tokens[start + 1] not in TYPES:
                values = enumerators(tokens, opened, at)
            if token == "{" and called and not valued and first not in TYPES:
                return names, first, True, at  # a function's body ends it; types and values go on to their semicolon
            continue
        at += 1
    if first in TYPES:
        own = [token for token in tokens[start:start + 3] if token not in TYPES][0]
        names = ([own] if IDENTIFIER.match(own) else []) + values
    return names or [tokens[at - 1]], first, called and not valued, at + 1


def own_names(tokens, unnamed=False):
    """(name, what it merely stands for) of all that a file declares for itself alone."""
    at = 0
    while at < len(tokens):
        if tokens[at] == "namespace" and "=" not in tokens[at:at + 3]:
            opened = tokens.index("{", at)
            end = behind(tokens, opened, "{", "}")
            if unnamed and opened > at + 1:
                yield tokens[at + 1], None
            yield from own_names(tokens[opened + 1:end - 1], unnamed or opened == at + 1)
            at = end
            continue
        start = at
        names, first, is_function, at = declaration(tokens, at)
        if first in ("static_assert", ";", "extern"):
            continue
        alias = " ".join(tokens[start:at]) if first in ("using", "namespace") else None
        inside = first in ("using", "namespace", "constexpr", "static") or (first == "const" and not is_function)
        if unnamed or inside or (first in TYPES and tokens[start + 2] != "::"):
            for name in names:
                yield name, alias


class Source:
    """What a file declares for itself alone, and what it mentions."""

    def __init__(self, path, text):
        self.path = path
        tokens = tokens_of(text)
        self.own = {}
        for name, alias in own_names(tokens):
            self.own[name] = alias if name not in self.own else None
        # A declaration that is not understood is no ground to guess on.
        self.alone = bool(ALONE.search(text)) or not all(IDENTIFIER.match(name) for name in self.own)
        # What stands behind these signs is looked up in what stands before them.
        self.mentions = {token for before, token in zip([""] + tokens, tokens) if before not in (".", "->", "::")}
        self.mentions |= set(self.own)

    def disturbs(self, other):
        """Would the other notice a name of this one? The same alias of the same thing does no harm."""
        return any(name in other.mentions and (alias is None or other.own.get(name) != alias)
                   for name, alias in self.own.items())


def batches(sources, size):
    """Lists of at most `size` paths. Those that get on with the fewest choose first."""
    apart = {a.path: {b.path for b in sources if a is not b and (a.alone or b.alone or a.disturbs(b) or b.disturbs(a))}
             for a in sources}
    made = []
    for path in sorted(apart, key=lambda path: (-len(apart[path]), path)):
        for batch in made:
            if len(batch) < size and not apart[path] & set(batch):
                batch.append(path)
                break
        else:
            made.append([path])
    return made


def cmake_code(root, size):
    rooms = collections.defaultdict(list)
    for path in sorted(glob.glob(os.path.join(root, "src", "**", "*.cpp"), recursive=True)):
        if not re.search(r"_(test|fuzz)\.cpp$", path):
            with open(path, encoding="utf-8") as file:
                rooms[os.path.dirname(path)].append(Source(path, file.read()))
    code = f"# Made by cmake/batches.py: {size}\n"
    for room in sorted(rooms):
        for number, batch in enumerate(batch for batch in batches(rooms[room], size) if len(batch) > 1):
            paths = "\n  ".join(f'"{path}"' for path in sorted(batch))
            code += f"set_source_files_properties(\n  {paths}\n  PROPERTIES UNITY_GROUP {number})\n"
    return code


def main():
    output, before = sys.argv[1], ""
    if os.path.exists(output):
        with open(output, encoding="utf-8") as file:
            before = file.read()
    size = int(sys.argv[2] if len(sys.argv) > 2 else before.split("\n")[0].split()[-1])
    code = cmake_code(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), size)
    if code != before:
        with open(output, "w", encoding="utf-8") as file:
            file.write(code)


if __name__ == "__main__":
    main()
