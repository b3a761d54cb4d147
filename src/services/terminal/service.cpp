// The pages' requests. Whatever changes something, and every WebSocket, must come from a page of the same
// origin: the cookie is never sent with what another site begins, and the header Origin is held against the
// name that was asked.
#include "services/terminal/service.h"

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "base/text.h"
#include "identity/sessions.h"
#include "resource/call.h"
#include "services/ssh_edge/api.h"

namespace merlon::terminal {
namespace {

constexpr auto kSweepEvery = std::chrono::minutes(1);
constexpr size_t kLoginMax = 64;
constexpr size_t kMachineMax = 512;

Result<uint16_t> port_in(const net::Query& query) {
  const std::string* text = query.find("port");
  if (text == nullptr || text->empty()) return bastion::kSshPort;
  uint16_t port = 0;
  const auto [end, fault] = std::from_chars(text->data(), text->data() + text->size(), port);
  if (fault != std::errc() || end != text->data() + text->size() || port == 0)
    return fail(ErrorKind::invalid, "InvalidPort", "The port must be a number between 1 and 65535.");
  return port;
}

Result<std::string> name_in(const net::Query& query, std::string_view name, size_t bytes_max) {
  const std::string* text = query.find(name);
  const auto plain = [](char c) { return c > ' ' && c <= '~'; };
  if (text == nullptr || text->empty() || text->size() > bytes_max || !std::ranges::all_of(*text, plain))
    return fail(ErrorKind::invalid, "InvalidParameter",
                "'" + std::string(name) + "' must have 1 to " + std::to_string(bytes_max) +
                    " printable characters without spaces.");
  return *text;
}

}  // namespace

bool is_path(const net::Request& request, std::initializer_list<std::string_view> wanted) {
  return std::ranges::equal(request.segments, wanted);
}

net::Response failed(const Error& error) {
  if (error.kind == ErrorKind::internal) log_error("a request of a bastion's page failed", error);
  return resource::json_response(net::http_status(error.kind),
                                 {{"code", error.code}, {"message", error.message}});
}

std::unexpected<Error> not_here() {
  return fail(ErrorKind::not_found, "NotFound", "There is nothing at this address of a bastion.");
}

bool is_from_own_page(const net::Request& request) {
  const std::string* origin = request.headers.find("Origin");
  return origin != nullptr && *origin == "https://" + request.host;
}

bool Service::handles(const net::Request& request) const {
  if (!parts_.bastion.handles(request)) return false;
  if (request.segments.empty()) return true;
  const std::string& first = request.segments.front();
  return first == "web" || first == "assets" || first == "sign-in" || first == "signed-in";
}

net::Response Service::handle(const net::Request& request) {
  auto answered = answer(request);
  net::Response response = answered ? *std::move(answered) : failed(answered.error());
  harden(response);
  return response;
}

Result<net::Response> Service::answer(const net::Request& request) {
  const bool reads = request.method == "GET" || request.method == "HEAD";
  TRY(store::read_value<std::string>(
      core_.store, [&](store::Reader& reader) { return parts_.bastion.bastion_at(reader, request.host); }));
  if (reads)
    if (auto file = asset(request)) return *std::move(file);
  if (reads && is_path(request, {"sign-in"})) return begin_sign_in(request);
  if (reads && is_path(request, {"signed-in"})) return end_sign_in(request);
  if (request.segments.empty() || request.segments.front() != "web") return not_here();
  if (!reads && !is_from_own_page(request))
    return fail(ErrorKind::forbidden, "ForeignOrigin",
                "This was not sent by a page of this bastion's, and is refused.");
  return answer_api(request);
}

Result<WebSession> Service::visitor(const net::Request& request) {
  return store::read_value<WebSession>(
      core_.store, [&](store::Reader& reader) { return find_web_session(reader, core_, request); });
}

Result<net::Response> Service::answer_api(const net::Request& request) {
  if (request.method == "POST" && is_path(request, {"web", "sign-out"})) return sign_out(request);
  if (has_link(request)) return answer_link(request);
  const WebSession session = TRY(visitor(request));
  if (request.method == "GET" && is_path(request, {"web", "session"}))
    return resource::json_response(200, {{"name", session.principal.name},
                                         {"bastion", session.bastion.substr(session.bastion.rfind('/') + 1)},
                                         {"link", false}});
  if (request.method == "GET" && is_path(request, {"web", "machines"})) {
    const auto machines = TRY(
        store::read_value<std::vector<bastion::Bastion::Reachable>>(core_.store, [&](store::Reader& reader) {
          return parts_.bastion.reachable(reader, session.principal, session.bastion);
        }));
    JsonArray all;
    for (const auto& machine : machines)
      all.push_back(JsonObject{{"id", machine.id}, {"name", machine.name}, {"system", machine.system}});
    return resource::json_response(200, {{"value", std::move(all)}});
  }
  if (request.segments.size() >= 2 && request.segments[1] == "recordings")
    return ask_recordings(request, session);
  return not_here();
}

std::expected<net::TunnelPlan, net::Response> Service::upgrade(const net::Request& request) {
  auto plan = is_path(request, {"web", "terminal"}) ? open_terminal(request) : not_here();
  if (plan) return *std::move(plan);
  return std::unexpected(failed(plan.error()));
}

// From here on the page is told everything inside the stream: a browser shows no page the answer to a
// WebSocket that did not come about.
Result<net::TunnelPlan> Service::open_terminal(const net::Request& request) {
  if (!is_from_own_page(request))
    return fail(ErrorKind::forbidden, "ForeignOrigin",
                "This WebSocket was not opened by a page of this bastion's, and is refused.");
  if (has_link(request)) return open_by_link(request);
  const WebSession session = TRY(visitor(request));
  ssh::Destination to;
  to.machine = TRY(name_in(request.query, "machine", kMachineMax));
  to.login = TRY(name_in(request.query, "login", kLoginMax));
  to.port = TRY(port_in(request.query));
  to.bastion = session.bastion;
  const std::string* why = request.query.find("justification");
  return begin(request,
               {.principal = session.principal,
                .transport = bastion::Transport::browser,
                .signed_in_by = bastion::SignedInBy::web_session,
                .user_agent = {},
                .justification = why == nullptr ? std::string() : why->substr(0, 1024)},
               to);
}

Result<net::TunnelPlan> Service::begin(const net::Request& request, ssh_edge::Visitor visitor,
                                       const ssh::Destination& to) {
  if (!connect_)
    return fail(ErrorKind::unavailable, "ServerStarting", "The server is starting. Try again in a moment.");
  visitor.user_agent = identity::kept_user_agent(request.headers.value_or("User-Agent", ""));
  net::TunnelPlan plan;
  plan.descriptor = TRY(connect_(ssh_edge::make_person(std::move(visitor)), to,
                                 ssh::Source{.address = request.peer, .port = 0}));
  return plan;
}

Result<void> Service::tick() {
  const Timestamp now = core_.clock.now();
  if (now - swept_ < kSweepEvery && now >= swept_) return {};
  swept_ = now;
  return forget_old_web_sessions(core_, now);
}

std::unique_ptr<Terminal> install(TerminalParts parts) { return std::make_unique<Service>(std::move(parts)); }

const std::vector<store::TableSpec>& tables() {
  static const std::vector<store::TableSpec> all{WebSession::table()};
  return all;
}

}  // namespace merlon::terminal
