#!/usr/bin/env python3
"""Which files cmake/batches.py lets share a compiler run: none that mentions what another declares for itself."""
import glob
import os
import sys
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import batches  # noqa: E402

UNNAMED = 'namespace merlon::room {\nnamespace {\n%s\n}  // namespace\n\n%s\n}  // namespace merlon::room\n'


def source(name, unnamed="", named=""):
    return batches.Source(name, '#include "room/room.h"\n' + UNNAMED % (unnamed, named))


def together(*sources):
    """The batches as a set of names joined, each."""
    return {"".join(sorted(batch)) for batch in batches.batches(sources, 8)}


class Names(unittest.TestCase):
    def declares(self, code, *names, unnamed=True):
        self.assertEqual(set(source("a", code).own if unnamed else source("a", "", code).own), set(names), code)

    def test_variables(self):
        self.declares("constexpr size_t kMax = 3;", "kMax")
        self.declares("constexpr uint64_t kLeast = uint64_t{4} << 20U;\nconstexpr int kMost = 1;", "kLeast", "kMost")
        self.declares("constexpr uint8_t kTcp = 6, kUdp = 17;", "kTcp", "kUdp")
        self.declares("constexpr std::array<Row, 3> kRows{{Row{1}, Row{2}, Row{3}}};", "kRows")
        self.declares("thread_local std::map<std::string, int> held;", "held")
        self.declares("const auto kLess = [](int a, int b) { return a < b; };", "kLess")
        self.declares("std::function<void(int)> hook;", "hook")

    def test_functions(self):
        self.declares("int f(int a, int b) {\n  return a < b ? g(a) : 0;\n}\nint h();", "f", "h")
        self.declares("std::vector<std::pair<A, B>>\nlong_name(const C& c) { return {}; }", "long_name")
        self.declares("template <class T, size_t N = sizeof(int)>\nT take(std::span<T, N> from) { return from[0]; }", "take")
        self.declares("[[gnu::noinline]] void start() {}", "start")
        self.declares("bool operator<(const A& a, const A& b) { return a.x < b.x; }", "operator")

    def test_types(self):
        self.declares("struct A { int x = 1; void f() {} };", "A")
        self.declares("class B final : public C {\n public:\n  B() {}\n};", "B")
        self.declares("enum class D : uint8_t { one, two };", "D")
        self.declares("enum E : size_t { kGet, kPut = 4, kErase };", "E", "kGet", "kPut", "kErase")
        self.declares("enum : uint8_t { kRead };", "kRead")
        self.declares("using F = std::map<int, int>;\nusing room::G;\nnamespace fs = std::filesystem;", "F", "G", "fs")

    def test_nothing_in_comments_strings_and_directives(self):
        self.declares('// int a;\n/* int b; */\n#define C(x) \\\n  int x;\nconstexpr char kD[] = "int e;";', "kD")
        self.declares('constexpr auto kPage = R"html(<a> { " int b; )html";\nconstexpr char kQuote = \'"\';', "kPage", "kQuote")
        self.declares("constexpr int kMany = 10'000;\nconstexpr int kMore = 20'000;", "kMany", "kMore")

    def test_outside_the_unnamed_namespace_only_what_stays_in_the_file(self):
        self.declares("int f() { return 1; }\nconst Table& table() { return t; }\nint A::g() { return 2; }", unnamed=False)
        self.declares("constexpr int kMax = 1;\nstatic int f() { return 1; }", "kMax", "f", unnamed=False)
        self.declares("struct A::Inside { int x; };\nstruct Outside { int x; };", "Outside", unnamed=False)


class Batches(unittest.TestCase):
    def test_files_that_know_nothing_of_each_other_share_one(self):
        self.assertEqual(together(source("a", "int f() { return 1; }"), source("b", "int g() { return 1; }")), {"ab"})

    def test_the_same_name_parts_them(self):
        self.assertEqual(together(source("a", "bool ok(int x);"), source("b", "bool ok(long x);")), {"a", "b"})

    def test_a_mention_parts_them(self):
        # Alone, b calls what its header declares; beside a, it would call a's, which fits better.
        self.assertEqual(together(source("a", "bool ok(int x);"), source("b", "", "bool f() { return ok(1); }")), {"a", "b"})

    def test_members_and_other_namespaces_are_no_mention(self):
        caller = source("b", "", "bool f(A& a, A* p) { return a.ok(1) && p->ok(1) && other::ok(1); }")
        self.assertEqual(together(source("a", "bool ok(int x);"), caller), {"ab"})

    def test_the_same_alias_is_no_harm(self):
        same = [source(name, "using Id = resource::Id;", f"Id {name}();") for name in ("a", "b")]
        self.assertEqual(together(*same), {"ab"})
        self.assertEqual(together(same[0], source("b", "using Id = grant::Id;")), {"a", "b"})
        self.assertEqual(together(same[0], source("b", "", "Id g();")), {"a", "b"})

    def test_what_acts_on_the_rest_of_the_file_stays_alone(self):
        for line in ("#define X 1", "#  undef X", "#pragma GCC poison x", "#include <linux/in.h>", "using namespace std;"):
            self.assertEqual(together(batches.Source("a", line + "\n"), source("b")), {"a", "b"}, line)

    def test_what_is_not_understood_stays_alone(self):
        self.assertEqual(together(source("a", "int (*hook)(int) = nullptr;"), source("b")), {"a", "b"})

    def test_no_more_than_asked_for(self):
        self.assertEqual(sorted(map(len, batches.batches([source(str(i)) for i in range(20)], 8))), [4, 8, 8])


class Tree(unittest.TestCase):
    def test_each_file_is_in_one_batch_at_most_and_beside_files_of_its_room(self):
        root = os.path.dirname(HERE)
        code = batches.cmake_code(root, 8)
        listed = [line.strip().strip('"') for line in code.split("\n") if line.startswith('  "')]
        self.assertEqual(len(listed), len(set(listed)))
        # Most of them, or this is worth nothing.
        products = [path for path in glob.glob(os.path.join(root, "src", "**", "*.cpp"), recursive=True)
                    if not path.endswith(("_test.cpp", "_fuzz.cpp"))]
        self.assertGreater(len(listed), 0.9 * len(products))
        for batch in code.split("set_source_files_properties")[1:]:
            paths = [line.strip().strip('"') for line in batch.split("\n") if line.startswith('  "')]
            self.assertEqual(len({os.path.dirname(path) for path in paths}), 1, paths)


if __name__ == "__main__":
    unittest.main()
