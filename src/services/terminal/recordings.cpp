// Recordings, for the pages: each question goes to the Resource Manager as that of whoever is signed in,
// within this bastion, so that rights, step-up policies and the ledger are what they are for every other
// client. The token for it is made here, lives for minutes, and never leaves the server.
#include "base/text.h"
#include "identity/issuer.h"
#include "services/terminal/service.h"

namespace merlon::terminal {
namespace {

constexpr auto kTokenLife = std::chrono::minutes(5);
constexpr std::string_view kApiVersion = "2024-01-01";

std::string segments_path(const std::string& bastion, std::string_view rest) {
  return bastion + "/providers/Merlon.Bastion/" + std::string(rest);
}

}  // namespace

Result<net::Response> Service::ask_recordings(const net::Request& request, const WebSession& session) {
  const auto& segments = request.segments;
  const bool posts = request.method == "POST";
  std::string path;
  if (segments.size() == 2 && request.method == "GET") {
    path = segments_path(session.bastion, "recordings");
  } else if (segments.size() == 3 && posts && segments[2] == "search") {
    path = segments_path(session.bastion, "searchRecordings");
  } else if (segments.size() >= 3 && segments.size() <= 4 && Uuid::parse(segments[2])) {
    path = segments_path(session.bastion, "recordings/" + segments[2]);
    const bool asks = segments.size() == 4 && posts && (segments[3] == "content" || segments[3] == "verify");
    if (asks) path += "/" + segments[3];
    if (!asks && (segments.size() == 4 || request.method != "GET")) path.clear();
  }
  if (path.empty())
    return fail(ErrorKind::not_found, "NotFound", "There is nothing at this address of a bastion.");
  net::Query query;
  for (const std::string_view name : {"$skiptoken", "$top", "machine", "user"})
    if (const std::string* value = request.query.find(name)) query.items.emplace_back(name, *value);
  net::Response response = ask_as(request, session, request.method, path, query, request.body);
  // Of the answer's headers none is for a page: what it needs is in the body.
  net::Response shown;
  shown.status = response.status;
  shown.body = std::move(response.body);
  shown.headers.set("Content-Type", "application/json; charset=utf-8");
  return shown;
}

net::Response Service::ask_as(const net::Request& request, const WebSession& session,
                              const std::string& method, const std::string& path, const net::Query& query,
                              const std::string& body) {
  const std::string origin = main_origin(request);
  net::Request asked;
  asked.method = method;
  asked.path = path;
  for (const std::string_view segment : split(std::string_view(path).substr(1), '/'))
    asked.segments.emplace_back(segment);
  asked.query = query;
  asked.query.items.emplace_back("api-version", kApiVersion);
  asked.target = path + "?";
  for (const auto& [name, value] : asked.query.items)
    asked.target += net::percent_encode(name) + "=" + net::percent_encode(value) + "&";
  asked.target.pop_back();
  asked.body = body;
  if (!body.empty()) asked.headers.set("Content-Type", "application/json");
  asked.peer = request.peer;
  asked.host = origin.substr(std::string_view("https://").size());
  asked.request_id = request.request_id;
  identity::TokenSubject subject;
  subject.principal = session.principal;
  subject.audience = origin;
  subject.scope = "user_impersonation";
  subject.user_principal_name = session.principal.name;
  subject.session_id = session.principal.session_id;
  subject.display_name = session.principal.name;
  subject.stamp = session.stamp;
  const auto token = core_.issuer.issue(subject, origin, kTokenLife);
  if (!token) {
    net::Response response;
    response.status = 503;
    response.body =
        R"({"error":{"code":"Unavailable","message":"The server cannot do this now. Try again."}})";
    return response;
  }
  asked.headers.set("Authorization", "Bearer " + *token);
  return parts_.platform.resources.handle(asked, origin);
}

}  // namespace merlon::terminal
