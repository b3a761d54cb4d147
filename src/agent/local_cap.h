// The local cap: a file of root's that limits what any server may ever do on this machine, so that a stolen
// server is not root on every machine (trust.md, Machines). Written with defaults at enrolment, edited by
// hand.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/server_range.h"
#include "base/clock.h"
#include "base/json.h"

namespace merlon::agent {

struct LocalCap {
  // Beside these "ssh": sshd lets in whom the server certifies, as any login.
  std::vector<std::string> capabilities = {"firewall", "identity", "carry"};
  // Where the agent may lead those whom the server has let in, when the server cannot come by itself.
  std::vector<uint16_t> carried_ports = {22, 3389};
  // Where it may call servers for that, beside the addresses of its own server's name.
  std::vector<ServerRange> servers;
  Duration longest_grant = std::chrono::hours(24);
  unsigned widest_v4 = 0, widest_v6 = 0;  // shortest source prefix that an opening may have
  // Interfaces that are inside the machine: bridges, virtual pairs, tunnels. One that carries the default
  // route or an address of the machine's is outside all the same.
  std::vector<std::string> internal_interfaces = {"docker*", "br-*", "veth*", "virbr*",
                                                  "cni*",    "wg*",  "tun*"};
  // The bits of connection marks that are Merlon's. The default stays clear of what Tailscale (0xff0000) and
  // container networks (low bits) set; a change counts from the next start of the machine.
  uint32_t mark_mask = 0xff00ff00;

  bool allows(std::string_view capability) const;
  void allow(const std::string& capability, bool allowed);
  JsonObject to_json() const;
  static Result<LocalCap> from_json(const JsonObject& json);
};

}  // namespace merlon::agent
