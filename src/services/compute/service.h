// The rules of virtual machines.
#pragma once

#include <vector>

#include "services/compute/api.h"

namespace merlon::compute {

class Service final : public Compute {
 public:
  explicit Service(Platform& platform) : platform_(platform) {}

  Result<std::vector<resource::ResourceId>> interfaces_of(store::Reader& reader,
                                                          const resource::ResourceId& vm) override;
  Result<void> attach_interface(resource::WriteContext& context, const resource::ResourceId& vm,
                                const resource::ResourceId& nic, bool primary) override;
  void on_changed(
      std::function<Result<void>(resource::WriteContext&, const resource::ResourceId&)> hook) override {
    changed_.push_back(std::move(hook));
  }
  void on_remove(
      std::function<Result<void>(resource::WriteContext&, const resource::ResourceId&)> hook) override {
    removed_.push_back(std::move(hook));
  }

  Result<JsonObject> put(resource::WriteContext& context, const resource::ResourceId& id,
                         const resource::Resource* existing, JsonObject wanted);
  Result<void> changed(resource::WriteContext& context, const resource::ResourceId& vm);
  Result<void> remove(resource::WriteContext& context, const resource::Resource& existing);
  Result<void> enrol(resource::WriteContext& context, machine::Machine& machine);
  Result<void> forget(resource::WriteContext& context, const machine::Machine& machine);
  Result<JsonObject> instance_view(store::Reader& reader, const resource::ResourceId& vm, Timestamp now);

 private:
  using Hook = std::function<Result<void>(resource::WriteContext&, const resource::ResourceId&)>;
  Platform& platform_;
  std::vector<Hook> changed_, removed_;
};

}  // namespace merlon::compute
