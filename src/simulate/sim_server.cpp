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
constexpr Duration kIdle = std::chrono::seconds(1);  // as sqlite_writer.cpp has it

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

}  // namespace

class SimServer::AtWork {
 public:
  explicit AtWork(SimServer& server) : server_(server), outermost_(server.disk()->faults().fail_in == 0) {
    if (outermost_) server_.disk()->faults().fail_in = server_.fail_in_;
  }
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;
  ~AtWork() {
    if (outermost_) server_.fail_in_ = std::exchange(server_.disk()->faults().fail_in, 0);
  }

 private:
  SimServer& server_;
  const bool outermost_;
};

SimServer::~SimServer() {
  faults_.dead = true;
  serving_ = false;  // whoever asked may be gone
  if (disk_) disk_->break_down();
}

Result<void> SimServer::start() {
  const AtWork at_work(*this);
  try {
    return start_process();
  } catch (const ServerKilled&) {
    return fail(ErrorKind::unavailable, "Killed", "The simulated server died while it started.");
  }
}

Result<void> SimServer::start_process() {
  faults_.dead = false;
  faults_.kill_in = 0;
  server::AssemblyParameters parameters;
  parameters.state_dir = directory_;
  parameters.domain = kDomain;
  parameters.root_key = directory_ + "/root.key";
  auto store = TRY(open_store());
  commits_.reset();
  assembly_ =
      TRY(server::Assembly::assemble(make_faulty(std::move(store), faults_), parameters, clock_, random_));
  TRY(server::first_start(*assembly_, directory_, "8443", server::KeepBootstrap::yes));
  // As server.cpp has it: a disk that is full keeps nobody from starting.
  if (const auto ended = assembly_->grants().expire_due();
      !ended && ended.error().kind != ErrorKind::unavailable)
    return std::unexpected(ended.error());
  serving_ = true;
  return {};
}

Result<std::unique_ptr<store::ServerStore>> SimServer::open_store() {
  if (database_ != nullptr) return database_->connect(number_);
  store::WriterMode mode;
  mode.callers_thread = true;
  mode.instead_of_exit = [this](const Error&) {
    faults_.dead = true;
    throw ServerKilled();
  };
  auto store = TRY(store::open_embedded_store(state_disk_on(disk_), std::move(mode), server::state_schema()));
  store_ = store.get();
  return store;
}

void SimServer::die(Death how) {
  faults_.dead = true;
  serving_ = false;
  if (database_ != nullptr) return assembly_.reset();
  auto next = how == Death::power_lost ? disk_->after_power_loss(random_) : disk_->after_kill();
  disk_->break_down();  // what still unwinds writes nothing
  disk_failures_ += disk_->faults().failed;
  assembly_.reset();
  store_ = nullptr;
  disk_ = std::move(next);
}

void SimServer::stop() {
  try {
    const AtWork at_work(*this);
    assembly_->machines().stop();
    serving_ = false;
    assembly_->listen_to_others({});
    assembly_->stop();
    faults_.dead = true;  // what could not be written cannot be written by destructors
    assembly_.reset();
    store_ = nullptr;
  } catch (const ServerKilled&) {
    die(Death::killed);
  }
}

void SimServer::fill_disk(bool full) {
  disk()->faults().full = full;
  if (!full && store_ != nullptr) store_->idle();  // which takes its reserve back within a second
}

// The product reads a state directory of the machine's own.
Result<std::string> SimServer::back_up(const std::string& directory) {
  server::StateLocation location;
  location.state_dir = directory_;
  TRY(disk_->save(directory_));
  auto report =
      server::back_up(location, directory + "/" + std::to_string(++backups_) + ".backup", clock_, random_);
  SimDisk().save(directory_).value();
  return TRY(std::move(report)).file;
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
  disk_ = std::make_shared<SimDisk>();
  TRY(disk_->load(directory_));
  TRY(SimDisk().save(directory_));
  tokens_.clear();
  return {};
}

void SimServer::deliver(const Ask& ask, std::function<void(net::Response)> respond) {
  ++handled_;
  last_request_id_ = Uuid::generate(random_).text();
  const AtWork at_work(*this);
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

void SimServer::answer_waits() {
  const AtWork at_work(*this);
  assembly_->machines().answer_waits();
}

void SimServer::tick() {
  ++handled_;
  const AtWork at_work(*this);
  assembly_->tick();
  if (store_ == nullptr) return;
  const uint64_t commits = assembly_->store().commit_count();
  if (commits_ != commits) {
    commits_ = commits;
    quiet_since_ = clock_.boottime();
  } else if (clock_.boottime() - quiet_since_ >= kIdle) {
    store_->idle();
  }
}

}  // namespace merlon::simulate
