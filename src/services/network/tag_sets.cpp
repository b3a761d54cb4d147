// Loading and removing sets of service tags, and what that means for rules that name them.
#include <fmt/format.h>

#include "base/text.h"
#include "services/network/service.h"

namespace merlon::network {
namespace {

using resource::WriteContext;

std::unexpected<Error> taken(const ServiceTag& tag) {
  return fail(ErrorKind::conflict, "ServiceTagInAnotherSet",
              fmt::format("The service tag '{}' is in the set '{}' already. Rename it, or remove that set "
                          "first.",
                          tag.name, tag.set),
              tag.name);
}

bool same(const ServiceTag& a, const ServiceTag& b) { return to_text(a.to_json()) == to_text(b.to_json()); }

}  // namespace

Result<Service::TagChange> Service::load_tags(WriteContext& context, const std::string& set_name,
                                              ServiceTagFile file) {
  const TenantId& tenant = platform_.core.tenant;
  store::Transaction& tx = context.tx;
  TagChange change;
  change.set = {.name = set_name,
                .cloud = file.cloud,
                .change_number = file.change_number,
                .tags = static_cast<int64_t>(file.tags.size()),
                .loaded = context.call.now,
                .loaded_by = context.actor.name};
  const auto sets = TRY(store::scan_all<ServiceTagSet>(tx, tenant));
  if (sets.size() >= kTagSetsMax && !TRY(store::get<ServiceTagSet>(tx, tenant, change.set.key())))
    return fail(ErrorKind::invalid, "ServiceTagSetsLimitReached",
                fmt::format("There are {} sets of service tags already. Remove one first.", sets.size()));
  std::set<std::string> affected;
  for (ServiceTag& before : TRY(store::find<ServiceTag>(tx, tenant, "set", change.set.key()))) {
    if (file.tags.contains(before.key())) continue;
    std::set<std::string> users;
    for (const RuleReference& reference :
         TRY(store::find<RuleReference>(tx, tenant, "target", RuleReference::tag_target(before.key()))))
      users.insert(reference.group);
    change.removed += before.retired ? 0 : 1;
    if (users.empty()) {
      TRY(store::erase<ServiceTag>(tx, tenant, before.key()));
      continue;
    }
    change.retired[before.name] = std::move(users);
    before.retired = true;
    TRY(store::put(tx, tenant, before));
  }
  for (auto& [key, tag] : file.tags) {
    tag.set = change.set.key();
    const auto before = TRY(store::get<ServiceTag>(tx, tenant, key));
    if (before && before->set != tag.set && !before->retired) return taken(*before);
    if (before && same(*before, tag)) continue;
    ++(before ? change.changed : change.added);
    TRY(store::put(tx, tenant, tag));
    if (before && before->prefixes != tag.prefixes) affected.insert(key);
  }
  TRY(store::put(tx, tenant, change.set));
  std::set<std::string> vms;
  for (const std::string& tag : affected) vms.merge(TRY(machines_naming(tx, RuleReference::tag_target(tag))));
  change.machines = vms.size();
  TRY(recompile_all(context, vms));
  return change;
}

Result<Service::TagChange> Service::remove_tags(WriteContext& context, const std::string& set_name) {
  TagChange change = TRY(load_tags(context, set_name, {}));
  TRY(store::erase<ServiceTagSet>(context.tx, platform_.core.tenant, change.set.key()));
  return change;
}

}  // namespace merlon::network
