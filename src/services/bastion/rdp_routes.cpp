// Remote Desktop through a gateway (decision 0054): the .rdp file that `az network bastion rdp` fetches and
// starts a client with, and the WebSocket at which that client arrives. Sources: azure-cli-extensions,
// src/bastion, custom.py; learn.microsoft.com, "Supported RDP properties"; MS-TSGU.
#include <fmt/format.h>

#include "base/text.h"
#include "resource/request_checks.h"
#include "services/bastion/rdp_gateway.h"
#include "services/bastion/service.h"

namespace merlon::bastion {
namespace {

using resource::WriteContext;

std::string query_text(const net::Request& request, std::string_view name) {
  const std::string* value = request.query.find(name);
  return value == nullptr ? std::string() : *value;
}

std::string bearer_of(const net::Request& request) {
  const std::string authorization(request.headers.value_or("Authorization", ""));
  return ascii_istarts_with(authorization, "Bearer ") ? authorization.substr(7) : std::string();
}

// What the client is to call it, which is also how the machine's own certificate is checked.
std::string name_for_client(const Judged& judged) {
  return judged.target.is_machine ? judged.target.id.name() : judged.place.address.text();
}

Result<void> check_target(const RdpGatewayWish& wish, const TunnelToken& token, const Judged& judged) {
  const bool named = ascii_iequal(wish.target, name_for_client(judged)) ||
                     ascii_iequal(wish.target, judged.place.address.text());
  if (named && wish.port == token.way.port) return {};
  return fail(
      ErrorKind::forbidden, "TargetNotCovered",
      fmt::format("This .rdp file is for port {} of '{}', and for no other machine or port. Ask for one: 'az "
                  "network bastion rdp'.",
                  token.way.port, name_for_client(judged)));
}

}  // namespace

Result<std::string> Service::rdp_file(const net::Request& request) {
  const std::string bastion = TRY(plane_host(request));
  const std::string port = query_text(request, "rdpport");
  const std::string format = query_text(request, "format");
  if (!format.empty() && !ascii_iequal(format, "rdp"))
    return fail(ErrorKind::invalid, "InvalidFormat", "'format' must be 'rdp'.");
  WayIn way = TRY(store::read_value<WayIn>(platform_.core.store, [&](store::Reader& reader) {
    return asked_way(reader, request, bearer_of(request), query_text(request, "resourceId"),
                     port.empty() ? std::to_string(kRdpPort) : port);
  }));
  if (way.port == kSshPort)
    return fail(ErrorKind::forbidden, "InvalidPort",
                "Port 22 is SSH's, and an .rdp file is for Remote Desktop. Use 'merlon ssh' or 'az network "
                "bastion ssh'.",
                "rdpport");
  way.bastion = bastion;
  way.protocol = Protocol::rdp;
  const std::string secret = new_token(platform_.core.random);
  std::string target, gateway;
  TRY(as_caller(way, [&](WriteContext& context) -> Result<void> {
    const Judged judged = TRY(judge(context, way, false));
    target = name_for_client(judged);
    gateway = judged.host.dns_name;  // with the port
    TunnelToken token;
    token.digest = token_digest(new_token(platform_.core.random));  // nobody has an authToken for it
    token.bastion = judged.host.id.key();
    token.websocket = token_digest(secret);
    token.websocket_until = context.call.now + kGatewayTokenLife;
    token.is_for_gateway = true;
    token.expires = token.websocket_until;
    token.way = way;
    TRY(keep_token(context, token));
    return context.record("Merlon.Bastion/rdpFiles/write", judged.target.id.text(),
                          {{"bastion", bastion}, {"port", way.port}});
  }));
  return fmt::format(
      "full address:s:{}:{}\r\n"
      "gatewayhostname:s:{}\r\n"
      "gatewayusagemethod:i:1\r\n"         // always
      "gatewayprofileusagemethod:i:1\r\n"  // as this file says
      "gatewaycredentialssource:i:5\r\n"   // by the token
      "gatewayaccesstoken:s:{}\r\n"
      "authentication level:i:2\r\n"  // warn when the machine's certificate is not trusted
      "prompt for credentials:i:1\r\n"
      "autoreconnection enabled:i:0\r\n"  // the token is too old for it soon
      "enablerdsaadauth:i:{}\r\n",
      target, way.port, gateway, secret, ascii_iequal(query_text(request, "enablerdsaad"), "true") ? 1 : 0);
}

net::TunnelPlan Service::gateway(const net::Request& request, const std::string& bastion) {
  net::TunnelPlan plan;
  plan.dialog = std::make_shared<RdpGatewayDialog>(
      [this, bastion, peer = request.peer](const RdpGatewayWish& wish) -> Result<net::TunnelPlan> {
        return redeem({.bastion = bastion,
                       .token = wish.token,
                       .peer = peer,
                       .is_for_gateway = true,
                       .check = [&wish](const TunnelToken& token, const Judged& judged) {
                         return check_target(wish, token, judged);
                       }});
      });
  return plan;
}

}  // namespace merlon::bastion
