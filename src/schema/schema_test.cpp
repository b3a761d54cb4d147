// Shapes over an invented service's document, RFC 7396's own examples, and what hostile documents get told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/ip.h"
#include "schema/shape.h"

namespace merlon::schema {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

JsonObject json(std::string_view text) {
  auto parsed = parse_json_object(text);
  EXPECT_TRUE(parsed) << parsed.error().message << text;
  return parsed.value_or(JsonObject());
}
std::string canonical(const JsonObject& object) { return to_canonical_text(Json(object)); }

std::optional<std::string> check_prefix(std::string_view text) {
  if (IpPrefix::parse(text)) return std::nullopt;
  return "is not an IP address or CIDR prefix";
}

Shape rule() {
  return object(
      {required("name", text().with_range(1, 80)), required("priority", integer().with_range(100, 4096)),
       required("access", text_of({"Allow", "Deny"})),
       defaulted("protocol", text_of({"Tcp", "Udp", "*"}), "*"),
       optional("source", text().with_check(check_prefix)), read_only("provisioningState", text())});
}

Shape document() {
  return object(
      {create_only("location", text()), optional("tags", map_of(text().with_range(0, 256)).with_range(0, 15)),
       required(
           "properties",
           object({optional("rules", array_of(rule()).with_range(0, 3)), defaulted("flush", boolean(), false),
                   optional("weight", number().with_range(0, 1)), optional("extra", anything()),
                   read_only("resourceGuid", text()),
                   defaulted("limits", object({defaulted("perMinute", integer(), 60)}), JsonObject())}))});
}

std::vector<std::string> targets(const Error& error) {
  std::vector<std::string> all;
  for (const ErrorDetail& detail : error.details) all.push_back(detail.target);
  return all;
}

TEST(Conform, KeepsWhatTheShapeNamesAndNothingElse) {
  const auto kept = conform(document(), json(R"({
    "location": "westeurope", "id": "/x", "unknown": 1, "tags": {"a": "b"},
    "properties": {"resourceGuid": "g", "rules": [{"name": "r", "priority": 100, "access": "deny", "more": [],
      "provisioningState": "Succeeded", "source": "10.0.0.0/8"}],
      "weight": 0.5, "extra": {"q": [1, null]}}})"));
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_EQ(canonical(*kept), canonical(json(R"({
    "location": "westeurope", "tags": {"a": "b"},
    "properties": {"rules": [{"name": "r", "priority": 100, "access": "Deny", "protocol": "*",
      "source": "10.0.0.0/8"}],
      "flush": false, "weight": 0.5, "extra": {"q": [1, null]}, "limits": {"perMinute": 60}}})")));
}

TEST(Conform, IsIdempotent) {
  const auto once =
      conform(document(), json(R"({"properties":{"rules":[{"name":"r","priority":100,"access":"ALLOW"}]}})"));
  ASSERT_TRUE(once);
  const auto twice = conform(document(), *once);
  ASSERT_TRUE(twice);
  EXPECT_EQ(to_text(*once), to_text(*twice));
}

TEST(Conform, EnumsAreCanonicalised) {
  for (const char* given : {"Deny", "deny", "DENY", "dEnY"}) {
    const auto kept = conform(object({required("a", text_of({"Allow", "Deny"}))}), JsonObject{{"a", given}});
    ASSERT_TRUE(kept);
    EXPECT_EQ(string_at(*kept, "a"), "Deny");
  }
  for (const char* given : {"", "Den", "Denyy", " Deny", "Deny "}) {
    const auto refused =
        conform(object({required("a", text_of({"Allow", "Deny"}))}), JsonObject{{"a", given}});
    ASSERT_FALSE(refused) << given;
    EXPECT_EQ(refused.error().message,
              std::string("The request content is not valid: 'a' must be one of 'Allow', "
                          "'Deny', not '") +
                  given + "'.");
  }
}

TEST(Conform, NullMeansNotThere) {
  auto kept = conform(
      document(),
      json(R"({"location":null,"tags":{"a":null,"b":"c"},"properties":{"flush":null,"rules":null}})"));
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_EQ(canonical(*kept), R"({"properties":{"flush":false,"limits":{"perMinute":60}},"tags":{"b":"c"}})");
  const auto refused = conform(document(), json(R"({"properties":null})"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().target, "properties");
  EXPECT_THAT(refused.error().message, HasSubstr("'properties' is required, but missing"));
  EXPECT_FALSE(conform(object({optional("a", array_of(text()))}), json(R"({"a":[null]})")));
}

TEST(Conform, EveryFaultIsTold) {
  const auto refused = conform(document(), json(R"({
    "location": 7, "tags": {"k": 1, "m": true},
    "properties": {"rules": [{"name": "", "priority": 99, "access": "Maybe", "source": "10.0.0.0/33"},
      {}, "x"],
      "flush": "false", "weight": 1.5, "limits": []}})"));
  ASSERT_FALSE(refused);
  const Error& error = refused.error();
  EXPECT_EQ(error.kind, ErrorKind::invalid);
  EXPECT_EQ(error.code, "InvalidRequestContent");
  EXPECT_EQ(error.target, "location");
  EXPECT_THAT(error.message, HasSubstr("'location' must be a string, not a number."));
  EXPECT_THAT(error.message, HasSubstr("14 faults in all"));
  EXPECT_THAT(
      targets(error),
      ElementsAre("location", "tags.k", "tags.m", "properties.rules[0].name", "properties.rules[0].priority",
                  "properties.rules[0].access", "properties.rules[0].source", "properties.rules[1].name",
                  "properties.rules[1].priority", "properties.rules[1].access", "properties.rules[2]",
                  "properties.flush", "properties.weight", "properties.limits"));
  EXPECT_EQ(error.details[3].message, "'properties.rules[0].name' must have 1 to 80 characters, not 0.");
  EXPECT_EQ(error.details[4].message, "'properties.rules[0].priority' must be 100 to 4096, not 99.");
  EXPECT_EQ(error.details[6].message, "'properties.rules[0].source' is not an IP address or CIDR prefix.");
  EXPECT_EQ(error.details[10].message, "'properties.rules[2]' must be an object, not a string.");
  for (const ErrorDetail& detail : error.details) EXPECT_EQ(detail.code, "InvalidRequestContent");
}

TEST(Conform, PathsGoOnFromTheCallersOwn) {
  const auto refused =
      conform(rule(), json(R"({"name":"r","priority":1,"access":"Allow"})"), "properties.rule");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().target, "properties.rule.priority");
}

TEST(Conform, Integers) {
  const Shape shape = object({required("n", integer())});
  const auto with = [&](const char* number) {
    return conform(shape, json(std::string(R"({"n":)") + number + "}"));
  };
  EXPECT_EQ(int_at(*with("9223372036854775807"), "n"), 9223372036854775807);
  EXPECT_EQ(int_at(*with("-9223372036854775808"), "n"), -9223372036854775807 - 1);
  EXPECT_EQ(int_at(*with("3.0"), "n"), 3);
  EXPECT_EQ(int_at(*with("1e3"), "n"), 1000);
  for (const char* wrong : {"9223372036854775808", "18446744073709551615", "3.5", "1e300", "-1e300", "1e16",
                            "\"3\"", "true", "[3]", "{}"}) {
    EXPECT_FALSE(with(wrong)) << wrong;
  }
}

TEST(Conform, NumbersAndBooleans) {
  const Shape shape = object({optional("x", number().with_range(-1, 1)), optional("b", boolean())});
  EXPECT_TRUE(conform(shape, json(R"({"x":1,"b":true})")));
  EXPECT_TRUE(conform(shape, json(R"({"x":-1.0})")));
  EXPECT_FALSE(conform(shape, json(R"({"x":1.0001})")));
  EXPECT_FALSE(conform(shape, json(R"({"x":-2})")));
  EXPECT_FALSE(conform(shape, json(R"({"x":"1"})")));
  EXPECT_FALSE(conform(shape, json(R"({"b":1})")));
  EXPECT_FALSE(conform(shape, json(R"({"b":"true"})")));
}

TEST(Conform, LengthsCountCharacters) {
  const Shape shape = object({required("s", text().with_range(2, 3))});
  EXPECT_TRUE(conform(shape, JsonObject{{"s", "äöü"}}));
  EXPECT_FALSE(conform(shape, JsonObject{{"s", "ä"}}));
  EXPECT_FALSE(conform(shape, JsonObject{{"s", "abcd"}}));
}

TEST(Conform, CountsOfArraysAndMaps) {
  const auto rules = conform(document(), json(R"({"properties":{"rules":[1,2,3,4]}})"));
  ASSERT_FALSE(rules);
  EXPECT_THAT(targets(rules.error()), ElementsAre("properties.rules"));
  EXPECT_THAT(rules.error().message, HasSubstr("must have 0 to 3 elements, not 4"));
  JsonObject many{{"properties", JsonObject()}};
  JsonObject tags;
  for (int i = 0; i < 16; ++i) tags["t" + std::to_string(i)] = "v";
  many["tags"] = tags;
  EXPECT_FALSE(conform(document(), many));
}

// A string can be a secret in the wrong field: only enums tell back what came, and not all of it.
TEST(Conform, ErrorsDoNotRepeatValues) {
  const auto refused =
      conform(rule(), json(R"({"name":"r","priority":100,"access":"Allow","source":"hunter2"})"));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, Not(HasSubstr("hunter2")));
  const auto enumeration =
      conform(object({required("a", text_of({"x"}))}), JsonObject{{"a", std::string(100'000, 'z')}});
  ASSERT_FALSE(enumeration);
  EXPECT_LT(enumeration.error().message.size(), 300U);
}

TEST(Conform, AnswersToManyFaultsAreBounded) {
  JsonArray wrong;
  for (int i = 0; i < 10'000; ++i) wrong.push_back(1);
  const auto refused =
      conform(object({optional("a", array_of(text()).with_range(0, 10'000))}), JsonObject{{"a", wrong}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().details.size(), 50U);
  EXPECT_THAT(refused.error().message, HasSubstr("10000 faults"));
  const auto key = conform(object({optional("m", map_of(text()))}),
                           JsonObject{{"m", JsonObject{{std::string(100'000, 'k'), 1}}}});
  ASSERT_FALSE(key);
  EXPECT_LT(key.error().target.size(), 200U);
}

// Work on a list may take its square of time.
TEST(Conform, ListsAndMapsAreBoundedWhereNothingElseIsSaid) {
  JsonArray many;
  JsonObject named;
  for (int i = 0; i < 1001; ++i) {
    many.push_back("x");
    named[std::to_string(i)] = "x";
  }
  EXPECT_FALSE(conform(object({optional("a", array_of(text()))}), JsonObject{{"a", many}}));
  EXPECT_FALSE(conform(object({optional("a", map_of(text()))}), JsonObject{{"a", named}}));
  EXPECT_TRUE(
      conform(object({optional("a", array_of(text()).with_range(0, 2000))}), JsonObject{{"a", many}}));
  many.pop_back();
  EXPECT_TRUE(conform(object({optional("a", array_of(text()))}), JsonObject{{"a", many}}));
}

TEST(Conform, NamesMatchExactly) {
  const auto refused = conform(object({required("priority", integer())}), json(R"({"Priority":1})"));
  EXPECT_FALSE(refused);
  const auto dotted =
      conform(object({optional("a", object({optional("b", text())}))}), json(R"({"a.b":"x"})"));
  ASSERT_TRUE(dotted);
  EXPECT_TRUE(dotted->empty());
}

TEST(CreateOnly, DifferencesAreNamedByPath) {
  const Shape shape =
      object({create_only("location", text()),
              optional("p", object({create_only("kind", anything()), optional("x", text())})),
              optional("list", array_of(object({required("name", text()), create_only("id", integer())}))),
              optional("map", map_of(object({create_only("v", text())})))});
  const JsonObject stored = json(R"({"location":"we","p":{"kind":{"a":1,"b":2},"x":"1"},
    "list":[{"name":"n1","id":1},{"name":"n2","id":2}],"map":{"k":{"v":"1"}}})");
  EXPECT_THAT(changed_create_only(shape, stored, stored), IsEmpty());
  JsonObject wanted = json(R"({"location":"ne","p":{"kind":{"b":2,"a":1},"x":"2"},
    "list":[{"name":"n2","id":3},{"name":"n1","id":1},{"name":"new","id":9}],
    "map":{"k":{"v":"2"},"l":{"v":"9"}}})");
  EXPECT_THAT(changed_create_only(shape, stored, wanted), ElementsAre("location", "list[0].id", "map.k.v"));
  wanted = json(R"({"p":{"kind":{"a":1}}})");
  EXPECT_THAT(changed_create_only(shape, stored, wanted), ElementsAre("location", "p.kind"));
  EXPECT_THAT(changed_create_only(shape, json("{}"), json(R"({"location":"x"})")), ElementsAre("location"));
  EXPECT_THAT(changed_create_only(shape, json("{}"), json(R"({"location":null})")), IsEmpty());
}

// RFC 7396 appendix A, row by row, each value as the member "v" of a document.
TEST(MergePatch, TheExamplesOfTheRfc) {
  const std::vector<std::array<const char*, 3>> rows = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", R"({})"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
      {R"({"a":"b"})", R"(["c"])", R"(["c"])"},
      {R"({"a":"foo"})", R"("bar")", R"("bar")"},
      {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
      {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"}};
  for (const auto& [target, patch, result] : rows) {
    JsonObject document{{"v", *parse_json(target)}};
    merge_patch(document, JsonObject{{"v", *parse_json(patch)}});
    EXPECT_EQ(to_text(document), to_text(JsonObject{{"v", *parse_json(result)}})) << target << " + " << patch;
  }
  JsonObject document = json(R"({"v":{"a":"foo"}})");
  merge_patch(document, json(R"({"v":null})"));
  EXPECT_TRUE(document.empty());
}

TEST(MergePatch, KeepsTheOrderOfTheRest) {
  JsonObject document = json(R"({"a":1,"b":2,"c":3,"d":4})");
  merge_patch(document, json(R"({"b":null,"e":5,"a":0})"));
  EXPECT_EQ(to_text(document), R"({"a":0,"c":3,"d":4,"e":5})");
}

TEST(OpenApi, SaysWhatTheShapeSays) {
  const JsonObject schema = to_openapi(document().describe("A thing."));
  EXPECT_EQ(canonical(schema), canonical(json(R"({
    "type": "object", "description": "A thing.", "required": ["properties"],
    "properties": {
      "location": {"type": "string", "x-ms-mutability": ["create", "read"]},
      "tags": {"type": "object", "minProperties": 0, "maxProperties": 15,
        "additionalProperties": {"type": "string", "minLength": 0, "maxLength": 256}},
      "properties": {"type": "object", "properties": {
        "rules": {"type": "array", "minItems": 0, "maxItems": 3, "items": {
          "type": "object", "required": ["name", "priority", "access"], "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 80},
            "priority": {"type": "integer", "format": "int64", "minimum": 100, "maximum": 4096},
            "access": {"type": "string", "enum": ["Allow", "Deny"]},
            "protocol": {"type": "string", "enum": ["Tcp", "Udp", "*"], "default": "*"},
            "source": {"type": "string"},
            "provisioningState": {"type": "string", "readOnly": true}}}},
        "flush": {"type": "boolean", "default": false},
        "weight": {"type": "number", "minimum": 0, "maximum": 1},
        "extra": {},
        "resourceGuid": {"type": "string", "readOnly": true},
        "limits": {"type": "object", "default": {}, "properties": {
          "perMinute": {"type": "integer", "format": "int64", "default": 60}}}}}}})")));
}

TEST(OpenApi, AnythingIsAnEmptySchema) { EXPECT_EQ(to_text(to_openapi(anything())), "{}"); }

}  // namespace
}  // namespace merlon::schema
