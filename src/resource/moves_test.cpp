// Moves between resource groups: what goes along, what holds a resource where it is, and that a refused move
// moves nothing.
#include "resource/documents.h"
#include "resource/resource_fixture.h"

namespace merlon::resource {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

class MovesTest : public ResourceFixture {
 protected:
  void SetUp() override {
    make_group();
    make_group("rg2");
  }
  const std::string target_ = kSubscription + "/resourceGroups/rg2";
  const std::string there_ = target_ + "/providers/Toy.Things";

  static std::string body(const std::vector<std::string>& ids, const std::string& target) {
    JsonArray listed(ids.begin(), ids.end());
    return to_text(JsonObject{{"resources", listed}, {"targetResourceGroup", target}});
  }
  Answer move(const std::vector<std::string>& ids) {
    return send("POST", kGroup + "/moveResources", body(ids, target_));
  }
  Answer validate(const std::vector<std::string>& ids) {
    return send("POST", kGroup + "/validateMoveResources", body(ids, target_));
  }
  std::vector<std::string> details(const Answer& answer) {
    std::vector<std::string> codes;
    if (const JsonArray* listed = array_at(answer.body, "error.details")) {
      for (const Json& one : *listed) codes.push_back(string_at(one.as_object(), "code").value_or(""));
    }
    return codes;
  }
};

TEST_F(MovesTest, ResourcesGoWithAllThatIsInThem) {
  make_lid("lid");
  make_box("a", R"({"color":"blue","size":3,"items":[{"name":"pen"}],"lid":{"id":")" + kLids + "/LID\"}}");
  send("PUT", kBoxes + "/a/notes/n", R"({"properties":{"text":"hello"}})");
  const Answer expand = send("GET", kGroup + "/resources?api-version=2021-04-01&$expand=createdTime");
  const std::string created =
      string_at(array_at(expand.body, "value")->at(0).as_object(), "createdTime").value();
  clock_.advance(std::chrono::minutes(5));
  EXPECT_EQ(validate({kBoxes + "/A", kLids + "/lid"}).status, 204);
  EXPECT_EQ(send("GET", kBoxes + "/a").status, 200);
  const Answer moved = move({kBoxes + "/A", kLids + "/lid"});
  ASSERT_EQ(moved.status, 202) << moved.text;
  const std::string poll = moved.headers.find("Location")->substr(std::string(kOrigin).size());
  EXPECT_EQ(send("GET", poll).status, 204);
  EXPECT_THAT(send("GET", kGroup + "/resources").names(), IsEmpty());
  EXPECT_EQ(send("GET", kBoxes + "/a").code(), "ResourceNotFound");
  const Answer box = send("GET", there_ + "/boxes/a");
  ASSERT_EQ(box.status, 200) << box.text;
  EXPECT_EQ(box.at("id"), there_ + "/boxes/a");
  EXPECT_EQ(box.at("properties.color"), "blue");
  EXPECT_EQ(int_at(box.body, "properties.size"), 3);
  EXPECT_TRUE(ascii_iequal(box.at("properties.lid.id"), there_ + "/lids/lid")) << box.text;
  EXPECT_EQ(send("GET", there_ + "/boxes/a/items/pen").at("id"), there_ + "/boxes/a/items/pen");
  EXPECT_EQ(send("GET", there_ + "/boxes/a/notes/n").at("properties.text"), "hello");
  const Answer after = send("GET", target_ + "/resources?api-version=2021-04-01&$expand=createdTime");
  EXPECT_EQ(string_at(array_at(after.body, "value")->at(0).as_object(), "createdTime"), created);
  const auto entered = entries("Toy.Things/boxes/delete");
  ASSERT_THAT(entered, SizeIs(1));
  EXPECT_EQ(string_at(entered[0].details, "movedTo"), there_ + "/boxes/a");
  EXPECT_THAT(entries("Microsoft.Resources/subscriptions/resourceGroups/moveResources/action"), SizeIs(1));
}

TEST_F(MovesTest, EverythingThatIsInTheWayIsNamedAndNothingMoves) {
  make_lid("lid");
  make_box("a", R"({"lid":{"id":")" + kLids + "/lid\"}}");
  make_box("glued");
  make_box("taken");
  ASSERT_EQ(send("PUT", there_ + "/boxes/taken", R"({"location":"local"})").status, 201);
  const std::string rule = kGroup + "/providers/Toy.Things/locations/here/rules/r";
  ASSERT_EQ(send("PUT", rule, "{}").status, 200);
  for (const Answer& refused : {validate({kLids + "/lid", kBoxes + "/glued", kBoxes + "/taken", rule}),
                                move({kLids + "/lid", kBoxes + "/glued", kBoxes + "/taken", rule})}) {
    EXPECT_EQ(refused.status, 409);
    EXPECT_EQ(refused.code(), "ResourceMoveProviderValidationFailed");
    EXPECT_THAT(details(refused), UnorderedElementsAre("MissingMoveDependentResources", "BoxIsGlued",
                                                       "ResourceAlreadyExists", "ResourceMoveNotSupported"));
    EXPECT_THAT(refused.text, HasSubstr(kBoxes + "/a' refers to"));
  }
  EXPECT_EQ(send("GET", kLids + "/lid").status, 200);
  EXPECT_THAT(entries("Toy.Things/lids/delete"), IsEmpty());
  make_box("b", R"({"items":[{"name":"pen"}]})");
  send("PUT", kBoxes + "/b/notes/n", "{}");
  EXPECT_THAT(details(move({kBoxes + "/b/items/pen"})), ElementsAre("ResourceMoveNotSupported"));
  EXPECT_THAT(details(move({kBoxes + "/b/notes/n"})), ElementsAre("ResourceMoveNotSupported"));
}

// What cannot refer to what moves is passed over by its type and its text; to parse every document of the
// subscription, inside the one transaction, held up every other write.
TEST_F(MovesTest, DocumentsThatCannotReferToItAreNotParsed) {
  make_lid("lid");
  must(store_->write([&](store::Transaction& tx) -> Result<void> {
    for (const std::string& key : {ascii_lower(there_ + "/boxes/large"), ascii_lower(kLids + "/large")})
      TRY(tx.put(Documents::table(), core_->tenant, {key, "not parsed", {std::nullopt, std::nullopt}}));
    return {};
  }));
  EXPECT_EQ(validate({kLids + "/lid"}).status, 204);
  EXPECT_EQ(move({kLids + "/lid"}).status, 202);
  EXPECT_EQ(send("PUT", kSubscription + "/tagNames/room").status, 201);
  EXPECT_EQ(send("DELETE", kSubscription + "/tagNames/room").status, 200);
}

// An id has 2,048 characters at most, and a group's name may be longer there than here.
TEST_F(MovesTest, WhatLooksLikeAnIdAndWouldGetTooLongStaysAsItIs) {
  const std::string there = std::string(80, 'b');
  make_group(there);
  std::string text = kLids + "/p";
  while (text.size() < 1'990) text += "/x/" + std::string(40, 'n');
  const JsonObject lid{{"location", "local"}, {"properties", JsonObject{{"note", text}}}};
  ASSERT_EQ(send("PUT", kLids + "/p", to_text(lid)).status, 201);
  const Answer moved = send("POST", kGroup + "/moveResources",
                            body({kLids + "/p"}, kSubscription + "/resourceGroups/" + there));
  EXPECT_EQ(moved.status, 202) << moved.text;
  const Answer shown =
      send("GET", kSubscription + "/resourceGroups/" + there + "/providers/Toy.Things/lids/p");
  EXPECT_EQ(shown.status, 200) << shown.text;
  EXPECT_EQ(string_at(shown.body, "properties.note"), text);
}

TEST_F(MovesTest, ARequestThatIsNoMove) {
  make_box("a");
  EXPECT_EQ(send("POST", kGroup + "/moveResources", "{}").status, 400);
  EXPECT_EQ(send("POST", kGroup + "/moveResources", body({}, target_)).status, 400);
  EXPECT_EQ(send("POST", kGroup + "/moveResources", body({kBoxes + "/a"}, kGroup)).code(),
            "InvalidTargetResourceGroup");
  EXPECT_EQ(send("POST", kGroup + "/moveResources", body({kBoxes + "/a"}, kBoxes + "/a")).code(),
            "InvalidTargetResourceGroup");
  EXPECT_EQ(
      send("POST", kGroup + "/moveResources", body({kBoxes + "/a"}, kSubscription + "/resourceGroups/x"))
          .code(),
      "ResourceGroupNotFound");
  const std::string elsewhere = "/subscriptions/33333333-3333-4333-8333-333333333333/resourceGroups/x";
  EXPECT_EQ(send("POST", kGroup + "/moveResources", body({kBoxes + "/a"}, elsewhere)).code(),
            "SubscriptionNotFound");
  EXPECT_EQ(move({there_ + "/boxes/a"}).code(), "ResourceNotInSourceResourceGroup");
  EXPECT_EQ(move({kGroup}).code(), "ResourceNotInSourceResourceGroup");
  EXPECT_EQ(move({kBoxes + "/none"}).code(), "ResourceNotFound");
  EXPECT_EQ(move({"a"}).code(), "InvalidResourceId");
  EXPECT_EQ(send("GET", kBoxes + "/a").status, 200);
}

TEST_F(MovesTest, NeedsTheRightInBothGroups) {
  make_box("a");
  const Person ada = make_person("ada");
  assign(ada, kContributor, kGroup);
  const auto ask = [&](const std::string& verb) {
    return send_as(ada.token, "POST", kGroup + "/" + verb, body({kBoxes + "/a"}, target_));
  };
  for (const char* verb : {"moveResources", "validateMoveResources"}) {
    const Answer refused = ask(verb);
    EXPECT_EQ(refused.status, 403) << verb;
    EXPECT_THAT(refused.message(), HasSubstr("resourceGroups/write"));
  }
  EXPECT_EQ(send("GET", kBoxes + "/a").status, 200);
  assign(ada, kContributor, target_);
  EXPECT_EQ(ask("validateMoveResources").status, 204);
  EXPECT_EQ(ask("moveResources").status, 202);
}

TEST_F(MovesTest, RolesOnTheResourceEndAndLocksGoAlong) {
  make_box("a", R"({"items":[{"name":"pen"}]})");
  const Person ada = make_person("ada");
  assign(ada, kReader, kBoxes + "/a");
  const std::string lock = "/providers/Microsoft.Authorization/locks/l";
  for (const std::string& scope : {kBoxes + "/a", kBoxes + "/a/items/pen"}) {
    ASSERT_EQ(send("PUT", scope + lock, R"({"properties":{"level":"CanNotDelete"}})").status, 201);
  }
  ASSERT_EQ(move({kBoxes + "/a"}).status, 202);
  EXPECT_EQ(send_as(ada.token, "GET", there_ + "/boxes/a").status, 403);
  EXPECT_EQ(send("GET", there_ + "/boxes/a" + lock).at("id"), there_ + "/boxes/a" + lock);
  EXPECT_EQ(send("DELETE", there_ + "/boxes/a").code(), "ScopeLocked");
  EXPECT_EQ(send("DELETE", there_ + "/boxes/a/items/pen").code(), "ScopeLocked");
  // Nothing of the old ids is left for a new resource of that name.
  ASSERT_EQ(make_box("a").status, 201);
  EXPECT_EQ(send_as(ada.token, "GET", kBoxes + "/a").status, 403);
  EXPECT_EQ(send("DELETE", kBoxes + "/a").status, 200);
}

TEST_F(MovesTest, ALockedGroupLetsNothingInOrOut) {
  make_box("a");
  const std::string lock = "/providers/Microsoft.Authorization/locks/l";
  const auto set = [&](const std::string& scope, const char* level) {
    EXPECT_EQ(send("PUT", scope + lock, std::string(R"({"properties":{"level":")") + level + "\"}}").status,
              201);
  };
  for (const char* level : {"ReadOnly", "CanNotDelete"}) {
    set(kGroup, level);
    EXPECT_EQ(move({kBoxes + "/a"}).code(), "ScopeLocked") << level;
    EXPECT_EQ(send("DELETE", kGroup + lock).status, 200);
  }
  set(target_, "ReadOnly");
  EXPECT_EQ(move({kBoxes + "/a"}).code(), "ScopeLocked");
  EXPECT_EQ(validate({kBoxes + "/a"}).code(), "ScopeLocked");
  EXPECT_EQ(send("DELETE", target_ + lock).status, 200);
  set(target_, "CanNotDelete");
  EXPECT_EQ(move({kBoxes + "/a"}).status, 202);
}

}  // namespace
}  // namespace merlon::resource
