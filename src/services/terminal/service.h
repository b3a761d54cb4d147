// What the pages ask of the server. Not for other rooms: api.h is theirs.
#pragma once

#include "services/ssh_edge/api.h"
#include "services/terminal/api.h"
#include "services/terminal/web_session.h"

namespace merlon::terminal {

class Service final : public Terminal {
 public:
  explicit Service(TerminalParts parts) : parts_(std::move(parts)), core_(parts_.platform.core) {}

  bool handles(const net::Request& request) const override;
  net::Response handle(const net::Request& request) override;
  std::expected<net::TunnelPlan, net::Response> upgrade(const net::Request& request) override;
  void connect_with(Connect connect) override { connect_ = std::move(connect); }
  Result<void> tick() override;

 private:
  Result<net::Response> answer(const net::Request& request);
  Result<net::Response> answer_api(const net::Request& request);
  Result<net::TunnelPlan> open_terminal(const net::Request& request);
  Result<net::TunnelPlan> begin(const net::Request& request, ssh_edge::Visitor visitor,
                                const ssh::Destination& to);
  Result<WebSession> visitor(const net::Request& request);

  // by_link.cpp
  Result<std::optional<WebSession>> link_holder(const net::Request& request);
  Result<net::Response> answer_link(const net::Request& request);
  Result<net::TunnelPlan> open_by_link(const net::Request& request);

  // sign_in.cpp
  net::Response begin_sign_in(const net::Request& request);
  net::Response end_sign_in(const net::Request& request);
  Result<std::string> redeem(const net::Request& request, const std::string& verifier);
  Result<WebSession> make_session(const net::Request& request, const std::string& bearer,
                                  const std::string& cookie);
  Result<net::Response> sign_out(const net::Request& request);
  std::string main_origin(const net::Request& request) const;

  // recordings.cpp
  Result<net::Response> ask_recordings(const net::Request& request, const WebSession& session);
  net::Response ask_as(const net::Request& request, const WebSession& session, const std::string& method,
                       const std::string& path, const net::Query& query, const std::string& body);

  const TerminalParts parts_;
  const resource::Core& core_;
  Connect connect_;
  Timestamp swept_{};
};

// A page's file with the headers of all of them; nothing for another path.
std::optional<net::Response> asset(const net::Request& request);
// What every answer of the pages has, whatever it is.
void harden(net::Response& response);
net::Response failed(const Error& error);
std::unexpected<Error> not_here();
bool is_path(const net::Request& request, std::initializer_list<std::string_view> wanted);
bool has_link(const net::Request& request);  // whose cookie it brings, whatever has become of it
// Whether the browser says that a page of this very origin sends it.
bool is_from_own_page(const net::Request& request);

}  // namespace merlon::terminal
