#!/usr/bin/env python3
"""Each rule of scripts/tidy finds a violation planted for it, at its line, and leaves clean code alone."""
import importlib.machinery
import importlib.util
import os
import shutil
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import tidy_cpp  # noqa: E402

loader = importlib.machinery.SourceFileLoader("tidy", os.path.join(HERE, "tidy"))
tidy = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
loader.exec_module(tidy)

CMAKE = """# The build.
merlon_room(base LIBS fmt::fmt)
merlon_room(net DEPS base)
merlon_room(store DEPS base)
merlon_room(ledger DEPS store)
merlon_room(services/network DEPS ledger)
merlon_room(services/jit DEPS services_network)
merlon_room(agent DEPS net)
merlon_room(cli DEPS services_jit agent)
"""
# Split, so that this file does not contain what it plants.
TO_DO = "TO" + "DO"


class Tree(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="merlon-tidy-test.")
        self.addCleanup(shutil.rmtree, self.root)
        self.write("CMakeLists.txt", CMAKE)

    def write(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)

    def findings(self, tools=False):
        return {f"{f.path}:{f.line}: {f.rule}" for f in tidy.run(self.root, tools=tools)}

    def planted(self, path, body, *expected, tools=False):
        """Code after an opening comment, so it starts at line 2; expected are LINE: RULE of this file."""
        self.write(path, "// A file of the test.\n" + body)
        self.assertEqual(self.findings(tools), {f"{path}:{line}" for line in expected}, body)

    def clean(self, path, body, tools=False):
        self.planted(path, body, tools=tools)


class Arrows(Tree):
    def test_a_room_includes_what_is_below_it(self):
        self.clean("src/ledger/a.cpp", '#include "store/store.h"\n#include "base/bytes.h"\n')

    def test_not_what_is_beside_or_above_it(self):
        self.planted("src/ledger/a.cpp", '#include "net/server.h"\n#include "services/jit/api.h"\n',
                     "2: room-arrow", "3: room-arrow")

    def test_a_file_outside_every_room(self):
        self.planted("src/attic/a.cpp", "int x;\n", "1: room")

    def test_a_service_uses_an_earlier_one_through_its_api(self):
        self.clean("src/services/jit/a.cpp", '#include "services/network/api.h"\n')
        self.planted("src/services/jit/a.cpp", '#include "services/network/records.h"\n', "2: service-api")

    def test_a_service_does_not_use_a_later_one(self):
        self.write("CMakeLists.txt", CMAKE.replace("services/network DEPS ledger", "services/network DEPS ledger net"))
        self.planted("src/services/network/a.cpp", '#include "services/jit/api.h"\n', "2: room-arrow")

    def test_a_room_depends_on_rooms_above_it_in_the_list(self):
        self.write("CMakeLists.txt", "# The build.\nmerlon_room(base DEPS net)\nmerlon_room(net)\n")
        self.assertEqual(self.findings(), {"CMakeLists.txt:2: room-order"})

    def test_main_only_hands_over(self):
        self.clean("src/main.cpp", '#include "cli/commands.h"\n')
        self.planted("src/main.cpp", '#include "ledger/ledger.h"\n', "2: room-arrow")
        os.remove(os.path.join(self.root, "src/main.cpp"))
        self.clean("src/session.cpp", '#include "ssh/session_process.h"\n')
        self.planted("src/session.cpp", '#include "ledger/ledger.h"\n', "2: room-arrow")

    def test_includes_are_written_from_src(self):
        self.planted("src/base/a.cpp", '#include "bytes.h"\n', "2: include-path")


class Libraries(Tree):
    def test_each_library_has_its_room(self):
        for header in ("boost/asio/io_context.hpp", "boost/beast/http.hpp", "openssl/ssl.h", "openssl/evp.h", "sqlite3.h",
                       "nftables/libnftables.h", "libmnl/libmnl.h", "regex", "coroutine", "thread", "sodium.h"):
            self.planted("src/cli/a.cpp", f"#include <{header}>\n", "2: include")

    def test_and_may_be_used_there(self):
        self.clean("src/net/a.cpp", "#include <boost/asio/post.hpp>\n#include <openssl/ssl.h>\n#include <coroutine>\n")
        self.clean("src/store/b.cpp", "#include <sqlite3.h>\n#include <thread>\n")
        self.clean("src/agent/firewall_apply.cpp", "#include <nftables/libnftables.h>\n")

    def test_nftables_only_in_the_firewall_files_of_the_agent(self):
        self.planted("src/agent/channel.cpp", "#include <nftables/libnftables.h>\n", "2: include")

    def test_no_sockets_below_the_services(self):
        self.planted("src/ledger/a.cpp", "#include <sys/socket.h>\n", "2: include")

    def test_gtest_only_in_tests(self):
        self.planted("src/base/a.cpp", "#include <gtest/gtest.h>\n", "2: include")
        os.remove(os.path.join(self.root, "src/base/a.cpp"))
        self.clean("src/base/a_test.cpp", "#include <gtest/gtest.h>\n#include <thread>\n")


class Calls(Tree):
    def test_banned_calls(self):
        for call in ('system("ls")', 'std::system("ls")', 'popen("ls", "r")', "strcpy(a, b)", "std::sprintf(a, b)",
                     "gets(a)", "rand()", "std::regex pattern", "std::thread t(f)", "std::async(f)", "assert(a)",
                     "std::random_device source", "malloc(3)"):
            self.planted("src/base/a.cpp", f"void f() {{ {call}; }}\n", "2: banned-call")

    def test_what_only_looks_like_one(self):
        self.clean("src/base/a.cpp", 'void f() { x.system(1); random_bytes(3); std::this_thread::yield(); p->rand(); }\n'
                                     '// system("ls") is not called\nconst char* s = "system(";\n'
                                     'auto r = R"(popen(")";\nint t = std::thread::hardware_concurrency();\n'
                                     "static_assert(true); int n = 1'000'000;\n")

    def test_threads_and_clocks_have_their_rooms(self):
        self.clean("src/net/a.cpp", "std::thread t;\nauto n = std::chrono::steady_clock::now();\n")
        self.planted("src/ledger/b.cpp", "auto n = std::chrono::system_clock::now();\n", "2: banned-call")

    def test_coroutines_only_in_net(self):
        self.planted("src/cli/a.cpp", "void f() { co_return; }\n", "2: banned-call")

    def test_raw_new_and_delete(self):
        self.planted("src/base/a.cpp", "auto* p = new int;\nvoid f() { delete p; }\n", "2: raw-new", "3: raw-new")
        self.clean("src/base/a.cpp", "struct A {\n  A(const A&) = delete;\n};\n#include <new>\n"
                                     "std::unique_ptr<A> a(new A(1));\n")


class Coroutines(Tree):
    def test_forms_that_gcc_12_breaks(self):
        for statement in ("co_await f(Options{1})", "auto x = co_await f({1, 2})", "co_await f([p] { return p; })",
                          "g(co_await a(), co_await b())", "TRY(co_await f())"):
            self.planted("src/net/a.cpp", f"task g() {{\n  {statement};\n}}\n", "3: co-await")
        self.planted("src/net/a.cpp", "task g() {\n  switch (co_await f()) {\n  }\n}\n", "3: co-await")

    def test_forms_that_it_does_not(self):
        self.clean("src/net/a.cpp", "task g() {\n  auto r = co_await f(x, buffers[1]);\n"
                                    "  if (auto s = co_await f(x); !s) {\n    co_return A{1};\n  }\n"
                                    "  co_await timer.wait();\n  co_await timer.wait();\n}\n")


class Text(Tree):
    def test_words(self):
        for word in (TO_DO, "FIX" + "ME", "X" * 3, "HA" + "CK", "for " + "now"):
            self.planted("src/base/a.cpp", f"// {word}: later\n", "2: banned-word")

    def test_names_of_files(self):
        self.write("src/base/string_utils.h", "// A file.\n#pragma once\n")
        self.write("src/base/helpers/a.h", "// A file.\n#pragma once\n")
        self.assertEqual(self.findings(), {"src/base/string_utils.h:1: banned-name", "src/base/helpers/a.h:1: banned-name"})

    def test_names_of_types(self):
        self.planted("src/base/a.cpp", "class SessionManager {};\nstruct JsonHelper {};\n",
                     "2: banned-name", "3: banned-name")
        self.clean("src/base/a.cpp", "class ManagedIdentity {};\n")

    def test_opening_comment_and_pragma(self):
        self.write("src/base/a.h", "int x;\n")
        self.assertEqual(self.findings(), {"src/base/a.h:1: opening-comment", "src/base/a.h:1: pragma-once"})

    def test_line_length_counts_characters(self):
        self.clean("src/base/a.cpp", "// " + "ü " * 53 + "ü\n")
        self.planted("src/base/a.cpp", "// " + "u " * 58 + "uuu\n", "2: line-length")
        self.clean("src/base/a.cpp", '    const char* digest = "' + "a" * 120 + '";\n')

    def test_file_length(self):
        self.planted("src/base/a.cpp", "int x;\n" * 500, "501: file-length")
        self.clean("src/base/a.cpp", "int x;\n" * 499)

    def test_blanks_at_the_end(self):
        self.planted("src/base/a.cpp", "int x; \n", "2: blanks")

    def test_an_excuse_needs_its_reason(self):
        self.clean("src/base/a.cpp", "// tidy: allow(raw-new) because the library frees it\nauto* p = new int;\n")
        self.planted("src/base/a.cpp", "auto* p = new int;  // tidy: allow(raw-new)\n", "2: raw-new")
        self.planted("src/base/a.cpp", "auto* p = new int;  // tidy: allow(words) because so\n", "2: raw-new")


class Functions(Tree):
    BODY = "  x();\n"

    def test_length(self):
        for head in ("void f(int a = 3) {\n", "TEST(Suite, Name) {\n", "A::A() : b_(1) {\n", "template <class T>\nT g() {\n",
                     "Result<int> A::f(const std::string& s) const {\n", "bool operator==(const A& a) {\n"):
            self.clean("src/base/a.cpp", head + self.BODY * (69 - head.count("\n")) + "}\n")
            self.planted("src/base/a.cpp", head + self.BODY * (70 - head.count("\n")) + "}\n", "2: function-length")

    def test_inside_a_class_and_a_namespace(self):
        self.planted("src/base/a.cpp", "namespace a {\nclass B : public C<int> {\n public:\n  void f() {\n" +
                     self.BODY * 70 + "  }\n};\n}\n", "5: function-length")

    def test_tables_and_namespaces_may_be_long(self):
        self.clean("src/base/a.cpp", "namespace a {\nconst std::array kTable = {\n" + "    f(1),\n" * 90 + "};\n}\n")
        self.clean("src/base/a.cpp", "enum class A {\n" + "  b,\n" * 90 + "};\n")

    def test_braces_in_strings_and_comments(self):
        self.assertEqual(tidy_cpp.blank('a("{"); // {\nb(\'{\');').count("{"), 0)
        self.assertEqual(list(tidy_cpp.functions(tidy_cpp.blank('void f() { a("}"); }\nvoid g() {\n}\n'))), [(1, 1), (2, 3)])


class Tools(Tree):
    """These run the compiler, the formatter and ShellCheck."""

    def test_header_alone(self):
        self.planted("src/base/a.h", "#pragma once\nstd::string name();\n", "3: header", tools=True)
        self.clean("src/base/a.h", "#pragma once\n#include <string>\nstd::string name();\n", tools=True)

    def test_a_change_below_is_seen_through_the_cache(self):
        self.write("src/base/b.h", "// A file.\n#pragma once\nusing B = int;\n")
        self.clean("src/base/a.h", '#pragma once\n#include "base/b.h"\nB name();\n', tools=True)
        self.write("src/base/b.h", "// A file.\n#pragma once\n")
        self.assertEqual(self.findings(tools=True), {"src/base/a.h:4: header"})

    def test_format(self):
        shutil.copy(os.path.join(HERE, "..", ".clang-format"), self.root)
        self.planted("src/base/a.cpp", "int  x ;\n", "2: format", tools=True)
        self.clean("src/base/a.cpp", "int x;\n", tools=True)

    def test_shell(self):
        self.write("scripts/a", "#!/bin/sh\n# A script.\nrm $1\n")
        self.assertEqual(self.findings(tools=True), {"scripts/a:3: shell"})


if __name__ == "__main__":
    unittest.main()
