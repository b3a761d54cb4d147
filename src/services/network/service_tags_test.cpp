// Service tags: what a file must be like, and what happens to rules and machines when one is loaded.
#include "services/network/service_tags.h"

#include "services/network/network_fixture.h"

namespace merlon::network {
namespace {

using machine::Access;

JsonObject file_of(const std::string& values) {
  return must(parse_json_object(R"({"values":)" + values + "}"));
}

TEST(ReadServiceTags, TakesMicrosoftsFormat) {
  const auto file = read_service_tags(must(parse_json_object(
      R"({"changeNumber":300,"cloud":"Public","values":[{"name":"Sql","id":"Sql","properties":{"changeNumber":7,)"
      R"("region":"","regionId":0,"platform":"Azure","systemService":"AzureSQL","networkFeatures":["NSG"],)"
      R"("addressPrefixes":["10.0.0.0/9","10.128.0.0/9","2001:db8::/48"]}}]})")));
  ASSERT_TRUE(file.has_value()) << file.error().message;
  EXPECT_EQ(file->change_number, "300");
  const ServiceTag& tag = file->tags.at("sql");
  EXPECT_EQ(tag.system_service, "AzureSQL");
  EXPECT_EQ(tag.prefixes, (std::vector{*IpPrefix::parse("10.0.0.0/8"), *IpPrefix::parse("2001:db8::/48")}));
}

TEST(ReadServiceTags, RefusesWhatIsNotOneAndSaysWhich) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"([{"name":"Sql"}])", "values[0]"},
      {R"([{"name":"a b","properties":{"addressPrefixes":[]}}])", "name for a tag"},
      {R"([{"name":"10.0.0.1","properties":{"addressPrefixes":[]}}])", "name for a tag"},
      {R"([{"name":"virtualnetwork","properties":{"addressPrefixes":[]}}])", "platform"},
      {R"([{"name":"AzurePlatformDNS","properties":{"addressPrefixes":[]}}])", "platform"},
      {R"([{"name":"Sql","properties":{"addressPrefixes":["10.0.0.0/33"]}}])", "10.0.0.0/33"},
      {R"([{"name":"Sql","properties":{"addressPrefixes":[7]}}])", "'Sql'"},
      {R"([{"name":"Sql","properties":{"addressPrefixes":"10.0.0.0/8"}}])", "addressPrefixes"},
      {R"([{"name":"Sql","properties":{"changeNumber":true,"addressPrefixes":[]}}])", "changeNumber"},
      {R"([{"name":"Sql","properties":{"addressPrefixes":[]}},{"name":"SQL","properties":{"addressPrefixes":[]}}])",
       "twice"},
      {"7", "values"}};
  for (const auto& [values, named] : cases) {
    const auto file = read_service_tags(file_of(values));
    ASSERT_FALSE(file.has_value()) << values;
    EXPECT_EQ(file.error().code, "InvalidServiceTags");
    EXPECT_NE(file.error().message.find(named), std::string::npos) << file.error().message;
  }
}

class ServiceTags : public NetworkFixture {
 protected:
  static inline const std::string kSets = kSubscription + "/providers/Merlon.Network/serviceTagSets/";
  // {"tag", "prefix"}…
  static std::string file(const std::vector<std::pair<std::string, std::string>>& tags,
                          const std::string& number = "1") {
    std::string values;
    for (const auto& [name, prefix] : tags)
      values += (values.empty() ? "" : ",") + (R"({"name":")" + name) +
                R"(","properties":{"addressPrefixes":[")" + prefix + R"("]}})";
    return R"({"changeNumber":)" + number + R"(,"cloud":"Public","values":[)" + values + "]}";
  }
  Answer allow_from(const std::string& group, const std::string& tag) {
    return put_security_group(
        group, rule_json("tagged", 100, "Allow",
                         R"("sourceAddressPrefix":")" + tag + R"(","destinationAddressPrefix":"*")"));
  }
};

TEST_F(ServiceTags, MachinesFollowTheFile) {
  const auto vm = enrol("m1", "10.9.0.5");
  const Answer unknown = allow_from("m1-nsg", "Storage");
  EXPECT_EQ(unknown.status, 400);
  EXPECT_EQ(unknown.code(), "SecurityRuleInvalidAddressPrefix");
  EXPECT_NE(unknown.message().find("Storage"), std::string::npos) << "by its name, as it was written";
  EXPECT_NE(unknown.message().find("merlon network service-tags import"), std::string::npos);

  const Answer loaded =
      put(kSets + "azure", file({{"Storage", "203.0.113.0/24"}, {"Sql", "198.51.100.0/24"}}));
  ASSERT_EQ(loaded.status, 201) << loaded.text;
  EXPECT_EQ(int_at(loaded.body, "properties.change.added"), 2);
  ASSERT_EQ(allow_from("m1-nsg", "storage").status, 200) << "names compare without case";
  EXPECT_EQ(verdict(vm, "203.0.113.9", "10.9.0.5").access, Access::allow);
  EXPECT_EQ(verdict(vm, "198.51.100.9", "10.9.0.5").access, Access::deny);

  const Answer again =
      put(kSets + "azure", file({{"Storage", "192.0.2.0/24"}, {"Sql", "198.51.100.0/24"}}, "2"));
  ASSERT_EQ(again.status, 200) << again.text;
  EXPECT_EQ(int_at(again.body, "properties.change.machines"), 1);
  EXPECT_EQ(verdict(vm, "203.0.113.9", "10.9.0.5").access, Access::deny);
  EXPECT_EQ(verdict(vm, "192.0.2.9", "10.9.0.5").access, Access::allow);

  // Gone from the file, kept by the rule, and told.
  const Answer less = put(kSets + "azure", file({{"Sql", "198.51.100.0/24"}}, "3"));
  ASSERT_EQ(less.status, 200) << less.text;
  const JsonArray* retired = array_at(less.body, "properties.change.retired");
  ASSERT_TRUE(retired != nullptr && retired->size() == 1) << less.text;
  EXPECT_EQ(string_at(retired->front().as_object(), "tag"), "Storage");
  EXPECT_EQ(verdict(vm, "192.0.2.9", "10.9.0.5").access, Access::allow);
  const Answer shown = get(kProvider + "networkSecurityGroups/m1-nsg");
  EXPECT_EQ(put(kProvider + "networkSecurityGroups/m1-nsg", shown.text).status, 200)
      << "who had it may write it back";
  EXPECT_EQ(allow_from("other", "Storage").status, 400) << "who had it not may not begin";
  // The last rule lets go: the tag is forgotten.
  ASSERT_EQ(allow_from("m1-nsg", "Sql").status, 200);
  EXPECT_EQ(allow_from("m1-nsg", "Storage").status, 400);
}

TEST_F(ServiceTags, SetsDoNotTakeEachOthersNamesAndABadFileChangesNothing) {
  ASSERT_EQ(put(kSets + "azure", file({{"Storage", "203.0.113.0/24"}})).status, 201);
  ASSERT_EQ(put(kSets + "corp", file({{"corp-offices", "192.0.2.0/24"}})).status, 201);
  const Answer taken = put(kSets + "corp", file({{"STORAGE", "0.0.0.0/0"}}));
  EXPECT_EQ(taken.status, 409);
  EXPECT_EQ(taken.code(), "ServiceTagInAnotherSet");
  EXPECT_EQ(put(kSets + "corp", file({{"corp-offices", "nowhere"}})).status, 400);
  const Answer tags = get(kSubscription + "/providers/Microsoft.Network/locations/local/serviceTags");
  ASSERT_EQ(tags.status, 200) << tags.text;
  EXPECT_NE(tags.text.find("192.0.2.0/24"), std::string::npos);
  EXPECT_NE(tags.text.find("203.0.113.0/24"), std::string::npos);
  EXPECT_NE(tags.text.find("AzurePlatformIMDS"), std::string::npos);
  EXPECT_EQ(remove(kSets + "corp").status, 200);
  EXPECT_EQ(remove(kSets + "corp").status, 404);
  EXPECT_EQ(get(kSets + "corp").status, 404);
  const std::string reader = make_person("reader", kReader, kSubscription);
  EXPECT_EQ(send_as(reader, "PUT", kSets + "azure", file({})).status, 403);
  EXPECT_EQ(send_as(reader, "GET", kSets + "azure").status, 200);
}

TEST_F(ServiceTags, ATagTooWideForAMachineIsRefusedWhole) {
  enrol("m1", "10.9.0.5");
  std::string prefixes;
  for (int i = 0; i < 20'002; ++i)  // no two are neighbours: they cannot be merged
    prefixes += (i == 0 ? "\"" : ",\"") + std::to_string(11 + i / 16384) + "." +
                std::to_string(i / 64 % 256) + "." + std::to_string(i % 64 * 4) + ".0/24\"";
  const std::string wide =
      R"({"values":[{"name":"Wide","properties":{"addressPrefixes":[)" + prefixes + "]}}]}";
  ASSERT_EQ(put(kSets + "azure", wide).status, 201);
  const Answer refused = allow_from("m1-nsg", "Wide");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.code(), "SecurityRulesTooLarge");
  ASSERT_EQ(put(kSets + "azure", file({{"Wide", "192.0.2.0/24"}})).status, 200);
  ASSERT_EQ(allow_from("m1-nsg", "Wide").status, 200);
  EXPECT_EQ(put(kSets + "azure", wide).code(), "SecurityRulesTooLarge");
  EXPECT_EQ(
      get(kSubscription + "/providers/Microsoft.Network/locations/local/serviceTags").text.find("11.0.4.0"),
      std::string::npos)
      << "nothing of the file was kept";
}

}  // namespace
}  // namespace merlon::network
