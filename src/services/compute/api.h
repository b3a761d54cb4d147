// Virtual machines, for the services after this one. A machine that enrols becomes a
// Microsoft.Compute/virtualMachines resource whose power and provisioning state follow its agent.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "machine/platform.h"

namespace merlon::compute {

class Compute {
 public:
  virtual ~Compute() = default;
  // Network interfaces that the virtual machine's document names, primary first. Error: ResourceNotFound for
  // no such machine.
  virtual Result<std::vector<resource::ResourceId>> interfaces_of(store::Reader& reader,
                                                                  const resource::ResourceId& vm) = 0;
  // Adds the interface to the document (used at enrolment, by the network service).
  virtual Result<void> attach_interface(resource::WriteContext& context, const resource::ResourceId& vm,
                                        const resource::ResourceId& nic, bool primary) = 0;
  // Runs when a virtual machine's document changed its interfaces, or it is being removed.
  virtual void on_changed(
      std::function<Result<void>(resource::WriteContext&, const resource::ResourceId& vm)> hook) = 0;
  virtual void on_remove(
      std::function<Result<void>(resource::WriteContext&, const resource::ResourceId& vm)> hook) = 0;
};

// Declares the resource types and the enrolment hook (first of all: it makes the virtual machine and sets
// Machine::resource_id).
std::unique_ptr<Compute> install(Platform& platform);
const std::vector<store::TableSpec>& tables();

}  // namespace merlon::compute
