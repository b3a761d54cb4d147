// The records of references.
#include "services/network/memberships.h"

namespace merlon::network {

const store::TableSpec& Membership::table() {
  static const store::TableSpec spec{"asg_members", {{"asg", store::Unique::no}, {"nic", store::Unique::no}}};
  return spec;
}

JsonObject Membership::to_json() const {
  JsonArray texts;
  for (const IpAddress& address : addresses) texts.emplace_back(address.text());
  return {{"group", group},
          {"nic", nic},
          {"network", network},
          {"nicText", nic_text},
          {"addresses", std::move(texts)}};
}

Result<Membership> Membership::from_json(const JsonObject& json) {
  Membership member;
  member.group = TRY(require_string(json, "group"));
  member.nic = TRY(require_string(json, "nic"));
  member.network = TRY(require_string(json, "network"));
  member.nic_text = TRY(require_string(json, "nicText"));
  if (const JsonArray* texts = array_at(json, "addresses"))
    for (const Json& element : *texts)
      if (const auto address = IpAddress::parse(element.as_string())) member.addresses.push_back(*address);
  return member;
}

const store::TableSpec& RuleReference::table() {
  static const store::TableSpec spec{"rule_references",
                                     {{"target", store::Unique::no}, {"nsg", store::Unique::no}}};
  return spec;
}

Result<RuleReference> RuleReference::from_json(const JsonObject& json) {
  return RuleReference{TRY(require_string(json, "target")), TRY(require_string(json, "group"))};
}

const store::TableSpec& PeeringLink::table() {
  static const store::TableSpec spec{"peering_links",
                                     {{"network", store::Unique::no}, {"remote", store::Unique::no}}};
  return spec;
}

Result<PeeringLink> PeeringLink::from_json(const JsonObject& json) {
  return PeeringLink{TRY(require_string(json, "network")), TRY(require_string(json, "name")),
                     TRY(require_string(json, "remote")), TRY(require_string(json, "state"))};
}

}  // namespace merlon::network
