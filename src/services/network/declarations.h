// What the network service declares to the Resource Manager, part by part.
#pragma once

#include "services/network/service.h"

namespace merlon::network {

void add_types(resource::Manager& resources, Service& service);
void add_tag_routes(const Platform& platform, Service& service);
void add_address_routes(const Platform& platform);
void add_next_hop_routes(const Platform& platform, Service& service);
void add_diagnostic_route(const Platform& platform, Service& service);
void add_flow_log_routes(const Platform& platform, Service& service);
void add_question_routes(const Platform& platform, Service& service);
void add_explain_route(resource::Manager& resources, Service& service);

}  // namespace merlon::network
