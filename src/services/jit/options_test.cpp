// A policy's options: who may ask, why, from where, and what is told to the machine.
#include "services/jit/options.h"

#include "services/jit/jit_fixture.h"

namespace merlon::jit {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class OptionsTest : public JitFixture {
 protected:
  std::string refused(const Answer& answer, int status) {
    EXPECT_EQ(answer.status, status) << to_text(answer.body);
    EXPECT_THAT(told(web_), IsEmpty());
    return answer.code();
  }
  const std::string path_ = kDefaultPolicy + "/providers/Merlon.Jit/options/default";
};

TEST_F(OptionsTest, AreWrittenReadAndRemoved) {
  EXPECT_TRUE(object_at(call(owner_, "GET", path_, {}, 200), "properties")->empty());
  const JsonObject set = set_options({{"cutEstablished", true}});
  EXPECT_EQ(bool_at(set, "properties.cutEstablished"), true);
  EXPECT_EQ(bool_at(set, "properties.liveServer"), false) << "the defaults are shown";
  EXPECT_EQ(to_text(call(owner_, "GET", path_, {}, 200)), to_text(set));
  EXPECT_EQ(send(owner_, "DELETE", path_).status, 200);
  EXPECT_EQ(send(owner_, "DELETE", path_).status, 204);
  EXPECT_EQ(send(owner_, "PUT",
                 kRg + "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/"
                       "none/providers/Merlon.Jit/options/default",
                 {{"properties", JsonObject()}})
                .status,
            404);
}

TEST_F(OptionsTest, TakeARightOfTheirOwn) {
  for (const char* method : {"GET", "PUT", "DELETE"})
    EXPECT_EQ(send(bob_, method, path_, {{"properties", JsonObject()}}).code(), "AuthorizationFailed")
        << method;
}

TEST_F(OptionsTest, SomebodyElsesChangeIsNotLost) {
  set_options({{"cutEstablished", true}});
  const Answer shown = send(owner_, "GET", path_);
  const std::string etag(shown.headers.value_or("ETag", ""));
  ASSERT_NE(etag, "");
  const JsonObject body = {{"properties", JsonObject{{"liveServer", true}}}};
  EXPECT_EQ(send(owner_, "PUT", path_, body, {{"If-Match", etag}}).status, 200);
  EXPECT_EQ(send(owner_, "PUT", path_, body, {{"If-Match", etag}}).status, 412);
  EXPECT_EQ(send(owner_, "PUT", path_, body, {{"If-None-Match", "*"}}).status, 412);
  EXPECT_EQ(send(owner_, "DELETE", path_, {}, {{"If-Match", etag}}).status, 412);
}

TEST_F(OptionsTest, WhatCannotBeMeantIsRefusedAndNamed) {
  const std::vector<std::pair<JsonObject, std::string>> cases = {
      {{{"approval", JsonObject{{"required", 11}}}}, "properties.approval.required"},
      {{{"approval", JsonObject{{"required", -1}}}}, "properties.approval.required"},
      {{{"approval", JsonObject{{"required", 1}, {"waitsFor", "P8D"}}}}, "properties.approval.waitsFor"},
      {{{"approval", JsonObject{{"required", 1}, {"waitsFor", "PT0S"}}}}, "properties.approval.waitsFor"},
      {{{"approval", JsonObject{{"required", 1}, {"waitsFor", "soon"}}}}, "properties.approval.waitsFor"},
      {{{"requesters", JsonArray{"ada"}}}, "properties.requesters[0]"},
      {{{"requesters", JsonArray{Uuid().text()}}}, "properties.requesters"},
      {{{"source", JsonObject{{"widestIPv4", 33}}}}, "properties.source.widestIPv4"},
      {{{"source", JsonObject{{"widestIPv6", 129}}}}, "properties.source.widestIPv6"},
      {{{"ports", JsonArray{JsonObject{{"number", 0}, {"requesters", JsonArray()}}}}},
       "properties.ports[0].number"},
      {{{"ports", JsonArray{JsonObject{{"number", 22}}}}}, "properties.ports[0].requesters"},
      {{{"ports",
         JsonArray{JsonObject{{"number", 22}, {"virtualMachineId", "x"}, {"requesters", JsonArray()}}}}},
       "properties.ports[22].virtualMachineId"},
      {{{"cutEstablished", "yes"}}, "properties.cutEstablished"},
  };
  for (const auto& [properties, target] : cases) {
    const JsonObject answer = set_options(properties, 400);
    EXPECT_EQ(string_at(answer, "error.target"), target) << to_text(properties);
  }
  EXPECT_TRUE(object_at(call(owner_, "GET", path_, {}, 200), "properties")->empty());
}

TEST_F(OptionsTest, WhoMayAskIsFurtherRestricted) {
  const Person cleo = person("cleo");
  assign(cleo.id, asker_role_, kRg);
  set_options({{"requesters", JsonArray{group_of({cleo}).text()}}});
  EXPECT_EQ(refused(initiate(ada_), 403), "JitRequesterNotAllowed");
  EXPECT_EQ(refused(initiate(owner_), 403), "JitRequesterNotAllowed") << "whatever role one has";
  EXPECT_EQ(initiate(cleo).status, 202) << "through the group";
}

TEST_F(OptionsTest, PortByPort) {
  call(owner_, "PUT", kDefaultPolicy, policy_of(web_.vm, {port_policy(22), port_policy(3389)}), 200);
  set_options(
      {{"ports", JsonArray{JsonObject{{"number", 3389}, {"requesters", JsonArray{bob_.id.text()}}}}}});
  const Answer answer = initiate(ada_, {{"number", 3389}});
  EXPECT_EQ(refused(answer, 403), "JitRequesterNotAllowed");
  EXPECT_THAT(answer.message(), HasSubstr("port 3389 of 'web-1'"));
  EXPECT_EQ(initiate(ada_, {{"number", 22}}).status, 202);
  assign(bob_.id, asker_role_, kRg);
  EXPECT_EQ(initiate(bob_, {{"number", 3389}}).status, 202);
}

TEST_F(OptionsTest, AnEmptyListLetsNobodyAsk) {
  set_options({{"ports", JsonArray{JsonObject{{"number", 22}, {"requesters", JsonArray()}}}}});
  EXPECT_EQ(refused(initiate(owner_), 403), "JitRequesterNotAllowed");
}

TEST_F(OptionsTest, ADeletedGroupLetsNobodyIn) {
  const Uuid group = group_of({ada_});
  set_options({{"requesters", JsonArray{group.text()}}});
  must(world_.store().write([&](store::Transaction& tx) { return core().directory.erase_group(tx, group); }));
  EXPECT_EQ(refused(initiate(ada_), 403), "JitRequesterNotAllowed");
}

TEST_F(OptionsTest, AReasonIsRequired) {
  set_options({{"justificationRequired", true}});
  for (const char* why : {"", "   ", "\t\n"})
    EXPECT_EQ(refused(initiate(ada_, {}, why), 400), "JitJustificationRequired");
  EXPECT_EQ(initiate(ada_, {}, "ticket 7").status, 202);
}

TEST_F(OptionsTest, OnlyTheOwnAddress) {
  set_options({{"source", JsonObject{{"ownAddressOnly", true}}}});
  for (const char* source : {"198.51.100.8", "198.51.100.0/24", "*", "2001:db8::1"})
    EXPECT_EQ(refused(initiate(ada_, {{"allowedSourceAddressPrefix", source}}), 400), "JitSourceNotOwn");
  Person local = ada_;
  local.address = "127.0.0.1";
  EXPECT_EQ(refused(initiate(local), 400), "JitSourceRequired");
  EXPECT_EQ(refused(initiate(local, {{"allowedSourceAddressPrefix", "198.51.100.7"}}), 400),
            "JitSourceNotOwn");
  EXPECT_EQ(initiate(ada_).status, 202);
}

TEST_F(OptionsTest, NoWiderThanThePolicySays) {
  set_options({{"source", JsonObject{{"widestIPv4", 24}, {"widestIPv6", 64}}}});
  for (const char* source : {"*", "198.51.100.0/23", "2001:db8::/48"})
    EXPECT_EQ(refused(initiate(ada_, {{"allowedSourceAddressPrefix", source}}), 400), "JitSourceTooWide");
  EXPECT_EQ(initiate(ada_, {{"allowedSourceAddressPrefix", "198.51.100.0/24"}}).status, 202);
  EXPECT_EQ(initiate(ada_, {{"allowedSourceAddressPrefix", "2001:db8::/64"}}).status, 202);
}

TEST_F(OptionsTest, WhatHappensAtTheEndIsToldToTheMachineAndStaysAsItWasAgreed) {
  ASSERT_EQ(initiate(ada_).status, 202);
  EXPECT_FALSE(told(web_).front().cut_established);
  EXPECT_FALSE(told(web_).front().live_server);
  set_options({{"cutEstablished", true}, {"liveServer", true}});
  EXPECT_FALSE(told(web_).front().cut_established) << "what was opened keeps its terms";
  ASSERT_EQ(initiate(ada_).status, 202);
  EXPECT_TRUE(told(web_).front().cut_established);
  EXPECT_TRUE(told(web_).front().live_server);
  EXPECT_EQ(bool_at(openings().front(), "properties.cutEstablished"), true);
}

TEST_F(OptionsTest, SurviveARestart) {
  need_approvals();
  start();
  EXPECT_EQ(initiate(ada_).at("approval.state"), "Pending");
}

}  // namespace
}  // namespace merlon::jit
