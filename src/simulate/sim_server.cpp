// Starting, killing, asking.
#include "simulate/sim_server.h"

#include <filesystem>

#include "server/backup.h"
#include "server/first_start.h"
#include "server/restore.h"
#include "server/state_schema.h"

namespace merlon::simulate {
namespace {

namespace fs = std::filesystem;

// Half of a token's life: what the client would do.
constexpr Duration kTokenKept = std::chrono::minutes(30);

net::Request request_of(const Ask& ask, const std::string& id) {
  net::Request request;
  request.method = ask.method;
  request.target = ask.target;
  const auto parsed = net::parse_target(ask.target);
  MERLON_CHECK(parsed.has_value());
  request.path = parsed->path;
  request.segments = parsed->segments;
  request.query = parsed->query;
  request.body = ask.body;
  request.host = kHost;
  request.peer = ask.peer;
  request.plane = ask.plane;
  request.client_certificate_pem = ask.certificate;
  request.request_id = id;
  const bool form = ask.target.ends_with("/token");
  if (!ask.body.empty())
    request.headers.set("Content-Type", form ? "application/x-www-form-urlencoded" : "application/json");
  if (!ask.token.empty()) request.headers.set("Authorization", "Bearer " + ask.token);
  if (!ask.if_match.empty()) request.headers.set("If-Match", ask.if_match);
  return request;
}

// What is on the disk of a process that was killed: the files as they are, without anybody closing them.
void copy_state(const std::string& from, const std::string& to) {
  fs::create_directory(to);
  fs::permissions(to, fs::perms::owner_all);
  for (const auto& entry : fs::directory_iterator(from)) {
    const std::string name = entry.path().filename().string();
    if (name == "reserve") {
      fs::create_hard_link(entry.path(), to + "/" + name);  // never written to, only there or gone
    } else if (name != "lock" && name != "merlon.db-shm") {
      fs::copy_file(entry.path(), to + "/" + name);
    }
  }
}

}  // namespace

SimServer::~SimServer() {
  faults_.dead = true;
  serving_ = false;  // whoever asked may be gone
}

Result<void> SimServer::start() {
  faults_.dead = false;
  faults_.kill_in = 0;
  server::AssemblyParameters parameters;
  parameters.state_dir = directory_;
  parameters.domain = kDomain;
  parameters.root_key = directory_ + "/root.key";
  auto store = make_faulty(TRY(store::open_sqlite_store(directory_, server::state_schema())), faults_);
  assembly_ = TRY(server::Assembly::assemble(std::move(store), parameters, clock_, random_));
  TRY(server::first_start(*assembly_, directory_, "8443", server::KeepBootstrap::yes));
  // As server.cpp has it: a disk that is full keeps nobody from starting.
  if (const auto ended = assembly_->grants().expire_due();
      !ended && ended.error().kind != ErrorKind::unavailable)
    return std::unexpected(ended.error());
  serving_ = true;
  return {};
}

void SimServer::kill() {
  faults_.dead = true;
  serving_ = false;
  const std::string next = directory_ + "-" + std::to_string(++lives_);
  copy_state(directory_, next);
  assembly_.reset();
  fs::remove_all(directory_);
  directory_ = next;
}

void SimServer::stop() {
  assembly_->machines().stop();
  serving_ = false;
  assembly_->stop();
  assembly_.reset();
}

Result<std::string> SimServer::back_up(const std::string& directory) {
  server::StateLocation location;
  location.state_dir = directory_;
  return TRY(server::back_up(location, directory + "/" + std::to_string(++backups_) + ".backup", clock_,
                             random_))
      .file;
}

Result<void> SimServer::restore(const std::string& file) {
  server::StateLocation location;
  location.state_dir = directory_ + "-" + std::to_string(++lives_);
  fs::create_directory(location.state_dir);
  fs::permissions(location.state_dir, fs::perms::owner_all);
  fs::copy_file(directory_ + "/root.key", location.state_dir + "/root.key");
  TRY(server::restore(location, file, clock_, random_));
  fs::remove_all(directory_);
  directory_ = location.state_dir;
  tokens_.clear();
  return {};
}

void SimServer::deliver(const Ask& ask, std::function<void(net::Response)> respond) {
  ++handled_;
  last_request_id_ = Uuid::generate(random_).text();
  assembly_->handle(request_of(ask, last_request_id_),
                    net::Responder([this, respond = std::move(respond)](net::Response response) {
                      if (serving_) respond(std::move(response));
                    }));
}

net::Response SimServer::call(const Ask& ask) {
  net::Response answer{.status = 0, .headers = {}, .body = {}};
  deliver(ask, [&](net::Response response) { answer = std::move(response); });
  return answer;
}

std::string SimServer::token_of(const Client& client) {
  Token& kept = tokens_[client.name];
  const Duration age = clock_.now() - kept.issued;
  if (!kept.text.empty() && age >= Duration(0) && age < kTokenKept) return kept.text;
  const std::string scope = "https://" + std::string(kHost) + "//.default";
  const auto answer = call({.method = "POST",
                            .target = "/" + assembly_->settings().tenant.text() + "/oauth2/v2.0/token",
                            .body = "grant_type=client_credentials&client_id=" + client.client_id +
                                    "&client_secret=" + net::percent_encode(client.secret) +
                                    "&scope=" + net::percent_encode(scope),
                            .token = {},
                            .if_match = {},
                            .peer = client.address,
                            .certificate = {}});
  const auto json = parse_json_object(answer.body);
  kept.text = json ? string_at(*json, "access_token").value_or("") : std::string();
  kept.issued = clock_.now();
  return kept.text;
}

net::Response SimServer::call(const Client& client, std::string method, const std::string& path,
                              const JsonObject& body, const std::string& if_match) {
  const bool bodiless = method == "GET" || method == "DELETE";
  Ask ask{.method = std::move(method),
          .target = path,
          .body = bodiless ? std::string() : to_text(body),
          .token = token_of(client),
          .if_match = if_match,
          .peer = client.address,
          .certificate = {}};
  if (ask.token.empty()) return {.status = 503, .headers = {}, .body = {}};  // signing in is a write too
  return call(ask);
}

void SimServer::tick() {
  ++handled_;
  assembly_->tick();
}

}  // namespace merlon::simulate
