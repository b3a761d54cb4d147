// Declared types and their embedded children, as a client meets them.
#include "resource/resource_fixture.h"

namespace merlon::resource {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class TypedResourcesTest : public ResourceFixture {
 protected:
  void SetUp() override { make_group(); }
  std::string etag_of(const Answer& answer) {
    const std::string* etag = answer.headers.find("ETag");
    return etag == nullptr ? std::string() : *etag;
  }
};

TEST_F(TypedResourcesTest, APutAnswersWhatGetShows) {
  const Answer made = send("PUT", kSubscription + "/resourcegroups/RG1/providers/toy.things/BOXES/Alpha",
                           R"({"location":"Local","tags":{"env":"test"},"id":"/other","unknown":1,
                               "properties":{"color":"RED","serial":"mine"}})");
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.at("name"), "Alpha");
  EXPECT_EQ(made.at("type"), "Toy.Things/boxes");
  EXPECT_EQ(made.at("location"), "local");
  EXPECT_EQ(made.at("tags.env"), "test");
  EXPECT_EQ(made.at("properties.color"), "red");
  EXPECT_EQ(made.at("properties.serial"), "made by the hook");
  EXPECT_EQ(made.at("properties.provisioningState"), "Succeeded");
  EXPECT_FALSE(made.body.contains("unknown"));
  EXPECT_EQ(made.at("etag"), etag_of(made));
  EXPECT_THAT(made.at("etag"), testing::MatchesRegex("W/\"[0-9a-f]{32}\""));
  const Answer got = send("GET", kBoxes + "/ALPHA");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.text, made.text);
  EXPECT_EQ(etag_of(got), etag_of(made));
  // The creator's spelling stays, whoever writes next.
  const Answer again = make_box("alpha", R"({"color":"blue"})");
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.at("name"), "Alpha");
  EXPECT_NE(etag_of(again), etag_of(made));
  EXPECT_FALSE(again.body.contains("tags"));  // a PUT replaces
}

TEST_F(TypedResourcesTest, HeadSaysWhetherItExists) {
  EXPECT_EQ(send("HEAD", kBoxes + "/a").status, 404);
  make_box("a");
  EXPECT_EQ(send("HEAD", kBoxes + "/a").status, 204);
}

TEST_F(TypedResourcesTest, APatchMerges) {
  EXPECT_EQ(send("PATCH", kBoxes + "/a", R"({"tags":{"x":"1"}})").code(), "ResourceNotFound");
  send("PUT", kBoxes + "/a",
       R"({"location":"local","tags":{"a":"1","b":"2"},"properties":{"color":"red","size":3}})");
  const Answer patched =
      send("PATCH", kBoxes + "/a", R"({"tags":{"b":null,"c":"3"},"properties":{"color":"blue"}})");
  ASSERT_EQ(patched.status, 200) << patched.text;
  EXPECT_EQ(to_text(*object_at(patched.body, "tags")), R"({"a":"1","c":"3"})");
  EXPECT_EQ(patched.at("properties.color"), "blue");
  EXPECT_EQ(int_at(patched.body, "properties.size"), 3);
  EXPECT_EQ(send("PATCH", kBoxes + "/a", R"({"properties":{"color":"green"}})").code(),
            "InvalidRequestContent");
}

TEST_F(TypedResourcesTest, WhatIsFixedStaysFixed) {
  make_box("a", R"({"size":3})");
  const Answer size = make_box("a", R"({"size":4})");
  EXPECT_EQ(size.status, 409);
  EXPECT_EQ(size.code(), "PropertyChangeNotAllowed");
  EXPECT_THAT(size.at("error.target"), HasSubstr("size"));
  const Answer moved = send("PUT", kBoxes + "/a", R"({"location":"moon"})");
  EXPECT_EQ(moved.status, 409);
  EXPECT_EQ(moved.code(), "InvalidResourceLocation");
  EXPECT_EQ(send("PUT", kBoxes + "/b", R"({"tags":{}})").code(), "LocationRequired");
  EXPECT_EQ(send("PUT", kBoxes + "/b", R"({"location":"a/b"})").status, 400);
}

TEST_F(TypedResourcesTest, ChecksTags) {
  const auto with = [&](const std::string& tags) {
    return send("PUT", kBoxes + "/t", R"({"location":"local","tags":)" + tags + "}").code();
  };
  EXPECT_EQ(with(R"({"a/b":"1"})"), "InvalidTagNameCharacters");
  EXPECT_EQ(with(R"({"Env":"1","env":"2"})"), "DuplicateTagName");
  EXPECT_EQ(with(R"({"a":")" + std::string(257, 'x') + "\"}"), "TagValueTooLong");
  EXPECT_EQ(with(R"({"a":1})"), "InvalidRequestContent");
  std::string many;
  for (int i = 0; i < 51; ++i) many += (i == 0 ? "\"t" : ",\"t") + std::to_string(i) + R"(":"")";
  EXPECT_EQ(with("{" + many + "}"), "TooManyTags");
}

TEST_F(TypedResourcesTest, NeedsItsGroupAndItsParent) {
  const std::string elsewhere = kSubscription + "/resourceGroups/none/providers/Toy.Things/boxes/a";
  for (const char* method : {"PUT", "GET", "DELETE", "PATCH"}) {
    const Answer answer = send(method, elsewhere, method[0] == 'P' ? R"({"location":"local"})" : "");
    EXPECT_EQ(answer.status, 404) << method;
    EXPECT_EQ(answer.code(), "ResourceGroupNotFound") << method;
  }
  const Answer orphan = send("PUT", kBoxes + "/a/notes/n", "{}");
  EXPECT_EQ(orphan.status, 404);
  EXPECT_EQ(orphan.code(), "ParentResourceNotFound");
  EXPECT_EQ(send("GET", kBoxes + "/a/notes").code(), "ParentResourceNotFound");
  make_box("a");
  EXPECT_EQ(send("PUT", kBoxes + "/a/notes/n", R"({"properties":{"text":"hi"}})").status, 201);
  EXPECT_THAT(send("GET", kBoxes + "/a/notes").names(), ElementsAre("n"));
}

TEST_F(TypedResourcesTest, ConditionsProtectAgainstLostUpdates) {
  const Answer first = make_box("a");
  const std::string box = kBoxes + "/a";
  const std::string body = R"({"location":"local","properties":{"color":"blue"}})";
  EXPECT_EQ(send("PUT", box, body, {{"If-None-Match", "*"}}).status, 412);
  EXPECT_EQ(send("PUT", box, body, {{"If-Match", "\"0123\""}}).code(), "PreconditionFailed");
  EXPECT_EQ(send("GET", box).at("properties.color"), "red");
  const Answer second = send("PUT", box, body, {{"If-Match", etag_of(first)}});
  EXPECT_EQ(second.status, 200);
  EXPECT_EQ(send("PUT", box, body, {{"If-Match", etag_of(first)}}).status, 412);
  EXPECT_EQ(send("PATCH", box, "{}", {{"If-Match", "\"x\", " + etag_of(second)}}).status, 200);
  EXPECT_EQ(send("DELETE", box, "", {{"If-Match", etag_of(first)}}).status, 412);
  EXPECT_EQ(send("GET", box, "", {{"If-None-Match", etag_of(second)}}).status, 304);
  EXPECT_EQ(send("PUT", kBoxes + "/b", body, {{"If-Match", "*"}}).status, 412);
  EXPECT_EQ(send("PUT", kBoxes + "/b", body, {{"If-None-Match", "*"}}).status, 201);
}

TEST_F(TypedResourcesTest, ReferencesAreCheckedAndNeedTheirOwnRight) {
  const std::string with_lid = R"({"location":"local","properties":{"lid":{"id":")" + kLids + R"(/l"}}})";
  const Answer missing = send("PUT", kBoxes + "/a", with_lid);
  EXPECT_EQ(missing.status, 400);
  EXPECT_EQ(missing.code(), "InvalidResourceReference");
  EXPECT_EQ(make_box("a", R"({"lid":{"id":"l"}})").code(), "LinkedInvalidPropertyId");
  make_lid("l");
  const Person ada = make_person("ada");
  assign(ada, kContributor, kBoxes + "/a");
  assign(ada, kReader, kSubscription);
  const Answer denied = send_as(ada.token, "PUT", kBoxes + "/a", with_lid);
  EXPECT_EQ(denied.status, 403);
  EXPECT_EQ(denied.code(), "LinkedAuthorizationFailed");
  EXPECT_THAT(denied.message(),
              HasSubstr("'Toy.Things/lids/join/action' on the linked scope(s) '" + kLids + "/l'"));
  EXPECT_EQ(send("GET", kBoxes + "/a").status, 404);
  const auto entered = entries("Toy.Things/boxes/write");
  EXPECT_EQ(entered.back().decision, ledger::Decision::denied);
  EXPECT_EQ(string_at(entered.back().details, "linkedAction"), "Toy.Things/lids/join/action");
  EXPECT_EQ(send("PUT", kBoxes + "/a", with_lid).status, 201);
  // What was there before is not ada's statement when she only patches a tag.
  EXPECT_EQ(send_as(ada.token, "PATCH", kBoxes + "/a", R"({"tags":{"a":"b"}})").status, 200);
  EXPECT_EQ(send_as(ada.token, "PUT", kBoxes + "/a", with_lid).status, 403);
}

TEST_F(TypedResourcesTest, DeletesAnswerByWhetherThereWasSomething) {
  make_box("a");
  send("PUT", kBoxes + "/a/notes/n", "{}");
  const Person ada = make_person("ada");
  assign(ada, kOwner, kBoxes + "/a");
  EXPECT_EQ(send("DELETE", kBoxes + "/a").status, 200);
  EXPECT_EQ(send("DELETE", kBoxes + "/a").status, 204);
  EXPECT_EQ(send("GET", kBoxes + "/a/notes/n").status, 404);
  EXPECT_EQ(entries("Toy.Things/boxes/notes/delete").size(), 1U);
  make_box("a");  // a new thing of an old name: nobody's rights come back
  EXPECT_EQ(send_as(ada.token, "GET", kBoxes + "/a").status, 403);
}

TEST_F(TypedResourcesTest, A202CanBePolled) {
  make_lid("l");
  const Answer gone = send("DELETE", kLids + "/l");
  ASSERT_EQ(gone.status, 202);
  const std::string status_url =
      gone.headers.find("Azure-AsyncOperation")->substr(std::string(kOrigin).size());
  const std::string result_url = gone.headers.find("Location")->substr(std::string(kOrigin).size());
  EXPECT_EQ(*gone.headers.find("Retry-After"), "1");
  const Answer status = send("GET", status_url);
  EXPECT_EQ(status.status, 200) << status.text;
  EXPECT_EQ(status.at("status"), "Succeeded");
  EXPECT_EQ(send("GET", result_url).status, 204);
  EXPECT_EQ(send_as(make_person("eve").token, "GET", status_url).status, 403);
  EXPECT_EQ(send("GET", kSubscription + "/operationresults/8e3af657-a8ff-443c-a75c-2fe8c4bcb635").status,
            404);
}

TEST_F(TypedResourcesTest, ListsComeInPages) {
  for (const char* name : {"e", "b", "d", "a", "c"}) make_box(name);
  make_group("rg10");
  send("PUT", kSubscription + "/resourceGroups/rg10/providers/Toy.Things/boxes/z", R"({"location":"local"})");
  EXPECT_THAT(send("GET", kBoxes).names(), ElementsAre("a", "b", "c", "d", "e"));
  const std::string all = kSubscription + "/providers/Toy.Things/boxes";
  std::vector<std::string> names;
  std::string next = all + "?api-version=2024-01-01&$top=2";
  int pages = 0;
  while (!next.empty()) {
    const Answer page = send("GET", next);
    ASSERT_EQ(page.status, 200) << page.text;
    for (const auto& name : page.names()) names.push_back(name);
    next = page.at("nextLink");
    if (!next.empty()) {
      ASSERT_TRUE(next.starts_with(std::string(kOrigin) + "/subscriptions/")) << next;
      next = next.substr(std::string(kOrigin).size());
    }
    ++pages;
  }
  EXPECT_EQ(pages, 3);
  EXPECT_THAT(names, ElementsAre("a", "b", "c", "d", "e", "z"));
  for (const char* query :
       {"$top=0", "$top=-1", "$top=x", "$skiptoken=abc", "$skiptoken=", "$skiptoken=bTE6"}) {
    EXPECT_EQ(send("GET", all + "?api-version=2024-01-01&" + query).status, 400) << query;
  }
}

TEST_F(TypedResourcesTest, ATokenOfOneListDoesNotOpenAnother) {
  for (const char* name : {"a", "b"}) make_box(name);
  make_group("rg2");
  const Answer page = send("GET", kBoxes + "?api-version=2024-01-01&$top=1");
  const std::string next = page.at("nextLink");
  const std::string token = next.substr(next.find("skiptoken=") + 10);
  const Answer other = send(
      "GET", kSubscription +
                 "/resourceGroups/rg2/providers/Toy.Things/boxes?api-version=2024-01-01&$skiptoken=" + token);
  EXPECT_EQ(other.status, 400);
  EXPECT_EQ(other.code(), "InvalidSkipToken");
}

TEST_F(TypedResourcesTest, ListsShowWhatTheCallerMayRead) {
  make_box("a");
  make_box("b");
  const Person ada = make_person("ada");
  EXPECT_EQ(send_as(ada.token, "GET", kBoxes).status, 403);
  assign(ada, kReader, kBoxes + "/b");
  EXPECT_THAT(send_as(ada.token, "GET", kBoxes).names(), ElementsAre("b"));
  EXPECT_THAT(send_as(ada.token, "GET", kSubscription + "/providers/Toy.Things/boxes").names(),
              ElementsAre("b"));
  make_group("rg2");
  assign(ada, kReader, kSubscription + "/resourceGroups/rg2");
  EXPECT_EQ(send_as(ada.token, "GET", kSubscription + "/providers/Toy.Things/lids").status, 200);
}

TEST_F(TypedResourcesTest, PlacesGiveLocationsAndLists) {
  const std::string rules = kGroup + "/providers/Toy.Things/locations/West%20Europe/rules";
  const Answer made = send("PUT", rules + "/default", R"({"properties":{}})");
  ASSERT_EQ(made.status, 200) << made.text;
  EXPECT_EQ(made.at("location"), "westeurope");
  EXPECT_EQ(made.at("type"), "Toy.Things/locations/rules");
  EXPECT_THAT(send("GET", kGroup + "/providers/Toy.Things/rules").names(), ElementsAre("default"));
  EXPECT_THAT(send("GET", kSubscription + "/providers/Toy.Things/rules").names(), ElementsAre("default"));
  EXPECT_THAT(send("GET", rules).names(), ElementsAre("default"));
  EXPECT_THAT(send("GET", kSubscription + "/providers/Toy.Things/locations/west%20europe/rules").names(),
              ElementsAre("default"));
  EXPECT_THAT(send("GET", kSubscription + "/providers/Toy.Things/locations/moon/rules").names(), IsEmpty());
}

TEST_F(TypedResourcesTest, ElementsAreWrittenThroughTheirParent) {
  const std::string items = kBoxes + "/a/items";
  EXPECT_EQ(send("PUT", items + "/cup", "{}").code(), "ResourceNotFound");
  make_box("a", R"({"color":"red","items":[{"name":"Pen","properties":{"weight":1}}]})");
  const int puts = box_puts_;
  const Answer made = send("PUT", items + "/cup", R"({"properties":{"weight":2}})");
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(box_puts_, puts + 1);
  EXPECT_EQ(made.at("id"), items + "/cup");
  EXPECT_EQ(made.at("type"), "Toy.Things/boxes/items");
  EXPECT_EQ(made.at("properties.provisioningState"), "Succeeded");
  EXPECT_EQ(made.at("etag"), etag_of(made));
  EXPECT_THAT(send("GET", items).names(), ElementsAre("Pen", "cup"));
  EXPECT_EQ(send("GET", items + "/pen").at("name"), "Pen");
  EXPECT_EQ(send("PUT", items + "/PEN", R"({"properties":{"weight":9}})").status, 200);
  EXPECT_EQ(send("GET", items + "/pen").at("name"), "Pen");
  EXPECT_EQ(int_at(send("GET", items + "/Pen").body, "properties.weight"), 9);
  const Answer parent = send("GET", kBoxes + "/a");
  EXPECT_EQ(parent.at("properties.color"), "red");
  EXPECT_EQ(array_at(parent.body, "properties.items")->size(), 2U);
  EXPECT_EQ(send("DELETE", items + "/cup").status, 200);
  EXPECT_EQ(send("DELETE", items + "/cup").status, 204);
  EXPECT_THAT(send("GET", items).names(), ElementsAre("Pen"));
  EXPECT_EQ(send("GET", items + "/cup").status, 404);
}

TEST_F(TypedResourcesTest, ElementsAnswerToTheirOwnTagAndTheirParents) {
  make_box("a", R"({"items":[{"name":"pen"}]})");
  const std::string pen = kBoxes + "/a/items/pen";
  const std::string own = etag_of(send("GET", pen));
  const std::string parent = etag_of(send("GET", kBoxes + "/a"));
  EXPECT_NE(own, parent);
  const std::string body = R"({"properties":{"weight":1}})";
  EXPECT_EQ(send("PUT", pen, body, {{"If-Match", "W/\"00\""}}).status, 412);
  EXPECT_EQ(send("PUT", pen, body, {{"If-None-Match", "*"}}).status, 412);
  EXPECT_EQ(send("PUT", pen, body, {{"If-Match", own}}).status, 200);
  EXPECT_EQ(send("PUT", pen, body, {{"If-Match", parent}}).status, 412);  // the parent has changed with it
  EXPECT_EQ(send("PUT", pen, body, {{"If-Match", etag_of(send("GET", kBoxes + "/a"))}}).status, 200);
  EXPECT_EQ(
      send("PUT", kBoxes + "/a/items/new", "{}", {{"If-Match", etag_of(send("GET", kBoxes + "/a"))}}).status,
      201);
}

TEST_F(TypedResourcesTest, ElementNamesAreUniqueAndClean) {
  EXPECT_EQ(make_box("a", R"({"items":[{"name":"x"},{"name":"X"}]})").code(), "DuplicateResourceName");
  EXPECT_EQ(make_box("a", R"({"items":[{"name":"a/b"}]})").code(), "InvalidResourceName");
  EXPECT_EQ(make_box("a", R"({"items":[{"name":"a\"b"}]})").code(), "InvalidResourceName");
  EXPECT_EQ(send("GET", kBoxes + "/a").status, 404);
}

}  // namespace
}  // namespace merlon::resource
