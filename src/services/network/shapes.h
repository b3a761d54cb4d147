// The declared shapes of Microsoft.Network's types.
#pragma once

#include "schema/shape.h"

namespace merlon::network {

schema::Shape security_rule_shape();
schema::Shape security_group_shape();
schema::Shape application_group_shape();
schema::Shape peering_shape();
schema::Shape subnet_shape();
schema::Shape route_shape();
schema::Shape route_table_shape();
schema::Shape virtual_network_shape();
schema::Shape ip_configuration_shape();
schema::Shape network_interface_shape();
schema::Shape public_ip_address_shape();
schema::Shape network_watcher_shape();
schema::Shape flow_log_shape();
schema::Shape flow_analytics_shape();
schema::Shape flow_log_settings_shape();  // of configureFlowLog

}  // namespace merlon::network
