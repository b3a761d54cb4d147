#!/usr/bin/env python3
"""The committed table of built-in roles: whole, well-formed, without prose, and what its generator makes of the dump.

The dump itself is not part of the repository (MERLON_CORPUS, default ../shared/data); without it the comparison is
skipped and the run says so, the rest still holds.
"""
import importlib.machinery
import importlib.util
import json
import os
import sys
import unittest

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
CORPUS = os.environ.get("MERLON_CORPUS", os.path.join(ROOT, "..", "shared", "data"))
DUMP = os.path.join(CORPUS, "builtin-roles", "azure-built-in-roles.json")
sys.dont_write_bytecode = True


def load_generator():
    path = os.path.join(ROOT, "scripts", "generate-builtin-roles")
    loader = importlib.machinery.SourceFileLoader("generate_builtin_roles", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


class Table(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.generator = load_generator()
        with open(os.path.join(ROOT, "src", "access", "builtin_roles.json"), encoding="utf-8") as file:
            cls.text = file.read()
        cls.roles = json.loads(cls.text)

    def test_every_role_has_only_known_fields(self):
        lists = {"actions", "notActions", "dataActions", "notDataActions"}
        for role in self.roles:
            fields = lists | {"id", "name", "condition", "conditionVersion", "more"}
            self.assertLessEqual(set(role), fields, role["name"])
            self.assertRegex(role["id"], r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
            for entry in [role, *role.get("more", [])]:
                for name in lists & set(entry):
                    for operation in entry[name]:
                        self.assertRegex(operation, r"^[A-Za-z0-9.*/_{}:-]+$", role["name"])

    def test_one_role_per_line_sorted_by_name(self):
        self.assertEqual(self.text.count("\n"), len(self.roles) + 2)
        names = [role["name"].lower() for role in self.roles]
        self.assertEqual(names, sorted(names))

    def test_the_roles_everybody_uses(self):
        known = {role["id"]: role for role in self.roles}
        self.assertEqual(known["8e3af657-a8ff-443c-a75c-2fe8c4bcb635"]["actions"], ["*"])
        self.assertEqual(known["acdd72a7-3385-48ef-bd42-f606fba81ae7"]["actions"], ["*/read"])
        contributor = known["b24988ac-6180-42a0-ab88-20f7382dd24c"]
        self.assertIn("Microsoft.Authorization/*/Write", contributor["notActions"])

    def test_it_is_what_the_generator_makes_of_the_dump(self):
        if not os.path.exists(DUMP):
            self.skipTest(f"corpus absent: no {DUMP}; set MERLON_CORPUS")
        with open(DUMP, encoding="utf-8") as file:
            dump = json.load(file)
        self.assertEqual(self.generator.render(dump), self.text)
        print(f"{len(dump)} roles of the corpus compared")

    def test_the_generator_refuses_what_its_form_cannot_say(self):
        good = {"name": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "roleName": "R", "assignableScopes": ["/"],
                "permissions": [{"actions": ["*"]}]}
        self.assertEqual(self.generator.role(good)["actions"], ["*"])
        for change in ({"name": "x"}, {"assignableScopes": ["/subscriptions/1"]}, {"permissions": []},
                       {"permissions": [{"actions": [], "denyActions": ["*"]}]}):
            with self.assertRaises(ValueError, msg=str(change)):
                self.generator.role({**good, **change})
        with self.assertRaises(ValueError):
            self.generator.render([good, good])

    def test_further_entries_keep_their_own_condition(self):
        made = self.generator.role({
            "name": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "roleName": "R", "assignableScopes": ["/"],
            "permissions": [{"actions": ["a/read"]},
                            {"actions": ["b/write"], "condition": "c", "conditionVersion": "2.0"}]})
        self.assertNotIn("condition", made)
        self.assertEqual(made["more"], [{"actions": ["b/write"], "condition": "c"}])


if __name__ == "__main__":
    unittest.main()
