"""The rules of scripts/tidy about C++: arrows between rooms, who may include or call what, function length, coroutines.

It reads tokens, not a syntax tree: comments and the insides of strings are blanked first, so that a rule sees code
alone. That is enough for these rules, needs no compiler, and takes a second for the whole tree.
"""
import collections
import json
import re

Finding = collections.namedtuple("Finding", "path line rule text")

TOKEN = re.compile(
    r"""(?P<line_comment>//(?:[^\n\\]|\\.|\\\n)*)
      | (?P<block_comment>/\*.*?\*/)
      | (?P<raw>R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)")
      | (?P<string>"(?:[^"\\\n]|\\.|\\\n)*")
      | (?P<number>\b\d[\w.']*)
      | (?P<char>'(?:[^'\\\n]|\\.)+')
    """, re.VERBOSE | re.DOTALL)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
ROOM = re.compile(r"^merlon_room\(([\w/]+)([^)]*)\)", re.MULTILINE)
TYPE = re.compile(r"\b(?:class|struct|enum(?:\s+class)?|union|concept|using)\s+([A-Z]\w*)")
NEW = re.compile(r"(?<!operator )\bnew\b(?!\s*\[\[)")
OWNED_NEW = re.compile(r"(unique_ptr<[^;{}]*>\s*\w*\s*[({]|\.reset\()\s*$")
DELETE = re.compile(r"(?<![=\w] )(?<!=)(?<!operator )(?<!operator)\bdelete\b")


# What may stand between the end of the last thing and the first line of a function.
NOT_YET = re.compile(r"(?:\s|(?:public|private|protected)\s*:|#[^\n]*)*")


def load_rules(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def blank(text):
    """The same text, every character of a comment or inside a string replaced by a blank; lines stay where they are."""

    def replace(match):
        whole = match.group(0)
        if match.lastgroup == "number":
            return whole.replace("'", " ")
        emptied = re.sub(r"[^\n]", " ", whole)
        if match.group("string") or match.group("raw"):
            return '"' + emptied[1:-1] + '"' if len(whole) >= 2 else emptied
        return emptied

    return TOKEN.sub(replace, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


class Rooms:
    """The arrows between rooms, from the merlon_room lines of CMakeLists.txt."""

    def __init__(self, cmake):
        self.order, self.direct, self.problems = [], {}, []
        names = {}
        for match in ROOM.finditer(cmake):
            room, rest = match.group(1), match.group(2)
            names[room.replace("/", "_")] = room
            deps = re.search(r"DEPS\s+(.*?)(?:\bLIBS\b|$)", rest, re.DOTALL)
            self.direct[room] = []
            for name in deps.group(1).split() if deps else []:
                if name in names and names[name] != room:
                    self.direct[room].append(names[name])
                else:
                    self.problems.append((line_of(cmake, match.start()),
                                          f"{room} depends on {name}, which is not a room above it in the list"))
            self.order.append(room)

    def reachable(self, room):
        seen, pending = {room}, [room]
        while pending:
            for other in self.direct.get(pending.pop(), []):
                if other not in seen:
                    seen.add(other)
                    pending.append(other)
        return seen

    def of(self, path):
        """The room of a path below src/, the longest that fits."""
        fitting = [room for room in self.order if path.startswith(room + "/")]
        return max(fitting, key=len) if fitting else None


def is_test(path):
    """Tests, fuzz targets, suites that every implementation of an interface runs, and what tests share."""
    return path.startswith("tests/") or bool(re.search(r"(_(test|fuzz|contract|fixture)|[/_]test_\w+)\.(cpp|h)$", path))


def permitted(rule, path, rules):
    """May the file at this path (relative to src/) do what the rule is about?"""
    if "never" in rule:
        return not path.startswith(tuple(room if room.endswith("/") else room + "/" for room in rules[rule["never"]]))
    return path.startswith(tuple(place for place in rule.get("only", []) if place != "tests"))


def check_includes(path, code_path, text, rooms, rules):
    room = rooms.of(code_path)
    for match in INCLUDE.finditer(text):
        line = line_of(text, match.start(1) if match.group(1) else match.start(2))
        header = match.group(1) or match.group(2)
        for rule in rules["includes"]:
            if re.match(rule["match"], header) and not (is_test(path) and "tests" in rule.get("only", [])):
                if not permitted(rule, code_path, rules):
                    yield Finding(path, line, "include", f"{header} may not be included here: {rule['instead']}")
        target = rooms.of(header) if match.group(1) else None
        if match.group(1) and target is None and "/" not in header and header != "access/builtin_roles_data.h":
            yield Finding(path, line, "include-path", f"write the path from src/: \"ROOM/{header}\"")
        if target is None or target == room:
            continue
        yield from check_arrow(path, code_path, line, room, target, header, rooms, rules)


def check_arrow(path, code_path, line, room, target, header, rooms, rules):
    programs = rules["programs_may_include"]
    if code_path in programs:
        if target not in programs[code_path]:
            yield Finding(path, line, "room-arrow",
                          f"{code_path} only hands over to {programs[code_path][0]}: it may not include {target}")
    elif room is None:
        yield Finding(path, line, "room", f"{path} is in no room: CMakeLists.txt has no merlon_room for it")
    elif target not in rooms.reachable(room):
        yield Finding(path, line, "room-arrow",
                      f"{room} may not include {target}: it is not below it (CMakeLists.txt, DEPS)")
    elif room.startswith("services/") and target.startswith("services/"):
        if rooms.order.index(target) > rooms.order.index(room):
            yield Finding(path, line, "service-order", f"{target} comes after {room}: let it register a handler here")
        elif header != target + "/api.h" and not is_test(path):
            yield Finding(path, line, "service-api", f"a service uses another through its api.h alone, not {header}")


def check_calls(path, code_path, code, rules):
    for rule in rules["calls"]:
        if is_test(path) and "tests" in rule.get("only", []):
            continue
        if permitted(rule, code_path, rules):
            continue
        for match in re.finditer(r"(?<![\w.>])(?:" + rule["match"] + ")", code):
            yield Finding(path, line_of(code, match.start()), "banned-call",
                          f"'{match.group(0).strip(' (')}': {rule['instead']}")
    preprocessed = re.sub(r"(?m)^[ \t]*#.*$", lambda m: " " * len(m.group(0)), code)
    for match in NEW.finditer(preprocessed):
        if not OWNED_NEW.search(preprocessed[max(0, match.start() - 200):match.start()]):
            yield Finding(path, line_of(code, match.start()), "raw-new", "use std::make_unique or a container")
    for match in DELETE.finditer(preprocessed):
        yield Finding(path, line_of(code, match.start()), "raw-new", "no delete: let the owner be a type")


def check_types(path, code, rules):
    for match in TYPE.finditer(code):
        words = set(re.findall(r"[A-Z][a-z0-9]*", match.group(1)))
        for word in sorted(words & set(rules["type_names"])):
            yield Finding(path, line_of(code, match.start()), "banned-name",
                          f"'{match.group(1)}': '{word}' says nothing: name the type for what it is")


def statement_head(code, brace):
    """What stands before a brace, back to the end of the statement or block before it."""
    start = max(code.rfind(character, 0, brace) for character in ";{}")
    return start + 1, code[start + 1:brace]


def opens_function(head):
    """Does this head, at the level of a namespace or class, open a function's body?"""
    head = re.sub(r"(?m)^[ \t]*#.*$", "", head).strip()
    head = re.sub(r"^(public|private|protected)\s*:", "", head).strip()
    if ")" not in head or re.match(r"(namespace|class|struct|union|enum|extern\s*\")\b", head):
        return False
    assigned = re.search(r"(?<![=<>!+\-*/|&^])=(?!=)", head)
    if assigned and "operator" not in head and "](" not in head[assigned.start():].replace(" ", ""):
        # a default argument stands inside parentheses; an initializer does not
        before = head[:assigned.start()]
        return before.count("(") > before.count(")")
    return True


def functions(code):
    """(first line, last line) of each function body, not counting those inside another."""
    position, depth_stack = 0, []
    inside = None  # (depth at which the function's brace was opened, its first line)
    for match in re.finditer(r"[{}]", code):
        position = match.start()
        if match.group(0) == "{":
            if inside is None:
                start, head = statement_head(code, position)
                if opens_function(head):
                    first = start + NOT_YET.match(head).end()
                    inside = (len(depth_stack), line_of(code, first))
            depth_stack.append(position)
        elif depth_stack:
            depth_stack.pop()
            if inside and len(depth_stack) == inside[0]:
                yield inside[1], line_of(code, position)
                inside = None


def check_functions(path, code, rules):
    limit = rules["limits"]["function"]
    for first, last in functions(code):
        if last - first + 1 > limit:
            yield Finding(path, first, "function-length",
                          f"{last - first + 1} lines, at most {limit}: split it where its task changes")


def check_coroutines(path, code):
    """The forms that GCC 12 miscompiles: two co_awaits in a statement, or a braced temporary or a lambda with one."""
    for match in re.finditer(r"\bco_await\b", code):
        depth, line = 0, line_of(code, match.start())
        for position in range(match.end(), len(code)):
            character = code[position]
            if character in "(":
                depth += 1
            elif character == ")":
                depth -= 1
                if depth < 0:
                    break
            elif character == ";":
                break
            elif character == "{":
                yield Finding(path, line, "co-await", "GCC 12 destroys a braced temporary twice: name it first")
                break
            elif character == "[" and not re.search(r"[\w)\]]\s*$", code[max(0, position - 20):position]):
                yield Finding(path, line, "co-await", "GCC 12 destroys a lambda's captures twice: name it first")
                break
            elif character == "c" and code.startswith("co_await", position) and not code[position - 1].isalnum():
                yield Finding(path, line, "co-await", "one co_await in a statement: name the first result")
                break
        if re.search(r"\b(switch\s*\(|TRY\s*\()\s*$", code[max(0, match.start() - 30):match.start()]):
            yield Finding(path, line, "co-await", "GCC 12 traps or crashes on it in switch() or TRY(): name the result")


def check(root, sources, cmake, rules):
    rooms = Rooms(cmake)
    for line, problem in rooms.problems:
        yield Finding("CMakeLists.txt", line, "room-order", problem + ": the list is the architecture's order")
    for path, text in sources.items():
        code = blank(text)
        if path.endswith(".h") and "#pragma once" not in text:
            yield Finding(path, 1, "pragma-once", "a header has #pragma once")
        yield from check_types(path, code, rules)
        yield from check_functions(path, code, rules)
        yield from check_coroutines(path, code)
        if path.startswith("src/"):
            code_path = path[len("src/"):]
            if code_path not in rules["programs_may_include"] and rooms.of(code_path) is None:
                yield Finding(path, 1, "room", "is in no room: CMakeLists.txt has no merlon_room for its folder")
            yield from check_includes(path, code_path, text, rooms, rules)
            yield from check_calls(path, code_path, code, rules)
