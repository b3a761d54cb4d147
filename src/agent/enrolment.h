// What enrolment left in the state directory: who this machine is to which server.
#pragma once

#include <string>

#include "agent/state_files.h"
#include "base/secret.h"
#include "machine/messages.h"

namespace merlon::agent {

struct Enrolment {
  std::string server_url;
  std::string host;  // to connect to: as the person wrote it
  std::string port;
  std::string machine_id;
  std::string resource_id;
  std::string authority_pem;  // pinned: the fleet follows it, not an address
  std::string agents_name;    // SNI, and the name to verify

  JsonObject to_json() const;
  static Result<Enrolment> from_json(const JsonObject& json);
  uint16_t port_number() const;
};

Result<Enrolment> read_enrolment(const StateFiles& files);

}  // namespace merlon::agent
