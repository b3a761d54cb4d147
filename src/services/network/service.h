// The rules of networks, interfaces and security groups, and the compilation of both into what machines
// enforce.
#pragma once

#include <set>
#include <vector>

#include "services/network/api.h"
#include "services/network/links.h"
#include "services/network/security_group.h"

namespace merlon::network {

class Service final : public Network {
 public:
  Service(Platform& platform, compute::Compute& compute) : platform_(platform), compute_(compute) {}

  Result<std::vector<VmInterface>> interfaces_of(store::Reader& reader,
                                                 const resource::ResourceId& vm) override;
  Result<void> set_overlay(resource::WriteContext& context, const resource::ResourceId& group,
                           std::string_view owner, std::vector<OverlayRule> rules) override;
  Result<std::vector<resource::ResourceId>> groups_with_overlay(store::Reader& reader,
                                                                std::string_view owner) override;
  void on_allow_removed(
      std::function<Result<void>(resource::WriteContext&, const resource::ResourceId&, const OverlayRule&)>
          hook) override {
    allow_removed_.push_back(std::move(hook));
  }
  void on_layout_changed(
      std::function<Result<void>(resource::WriteContext&, const resource::ResourceId&)> hook) override {
    layout_changed_.push_back(std::move(hook));
  }
  Result<Explanation> explain(store::Reader& reader, const resource::ResourceId& vm,
                              machine::Flow flow) override;

  // Hooks of the declared types (service_types.cpp).
  Result<JsonObject> put_group(resource::WriteContext& context, const resource::ResourceId& id,
                               const resource::Resource* existing, JsonObject wanted);
  Result<void> group_changed(resource::WriteContext& context, const resource::ResourceId& id);
  Result<void> remove_group(resource::WriteContext& context, const resource::Resource& existing);
  Result<JsonObject> put_network(resource::WriteContext& context, const resource::ResourceId& id,
                                 JsonObject wanted);
  Result<void> network_changed(resource::WriteContext& context, const resource::ResourceId& id);
  Result<void> remove_network(resource::WriteContext& context, const resource::Resource& existing);
  Result<JsonObject> put_interface(resource::WriteContext& context, const resource::ResourceId& id,
                                   const resource::Resource* existing, JsonObject wanted);
  Result<void> interface_changed(resource::WriteContext& context, const resource::ResourceId& id);
  Result<void> remove_interface(resource::WriteContext& context, const resource::Resource& existing);

  // What enrolment makes, and what removal takes away (enrolment.cpp).
  Result<void> enrol(resource::WriteContext& context, const machine::Machine& machine,
                     const std::string& group_id);
  Result<void> enrol_interface(resource::WriteContext& context, const resource::ResourceId& nic,
                               const resource::ResourceId& nsg, const machine::ReportedInterface& interface,
                               const std::string& provider);
  Result<void> machine_changed(resource::WriteContext& context, const resource::ResourceId& vm);
  Result<void> machine_removed(resource::WriteContext& context, const resource::ResourceId& vm);

 private:
  // compile.cpp
  Result<std::vector<machine::InterfacePolicy>> compile(store::Reader& reader,
                                                        const resource::ResourceId& vm);
  Result<void> recompile(resource::WriteContext& context, const resource::ResourceId& vm);
  Result<void> recompile_group(resource::WriteContext& context, const std::string& group_key);
  Result<std::vector<IpPrefix>> network_space(store::Reader& reader, const std::string& subnet);
  Result<std::optional<machine::FilterLayer>> layer(store::Reader& reader, const std::string& group_key,
                                                    const TagPrefixes& tags);
  // groups.cpp
  Result<SecurityGroup> group_record(store::Reader& reader, const resource::ResourceId& id);
  Result<void> show_group(resource::WriteContext& context, const resource::ResourceId& id,
                          SecurityGroup group);
  Result<JsonObject> shown_document(store::Reader& reader, const resource::ResourceId& id,
                                    SecurityGroup& group, JsonObject document);
  Result<std::set<std::string>> machines_of_group(store::Reader& reader, const std::string& group_key);
  Result<void> refresh_references(resource::WriteContext& context, const std::string& group_key);
  Result<void> layout_changed(resource::WriteContext& context, const std::string& vm_key);

  Platform& platform_;
  compute::Compute& compute_;
  std::vector<
      std::function<Result<void>(resource::WriteContext&, const resource::ResourceId&, const OverlayRule&)>>
      allow_removed_;
  std::vector<std::function<Result<void>(resource::WriteContext&, const resource::ResourceId&)>>
      layout_changed_;
};

}  // namespace merlon::network
