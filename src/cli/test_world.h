// Test only: a context in a directory of its own, and a server that says what the test tells it to, over real
// TLS.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/cli.h"
#include "crypto/system_random.h"
#include "net/server.h"
#include "net/test_certificates.h"

namespace merlon::cli::test {

class World {
 public:
  World() {
    std::string pattern = std::filesystem::temp_directory_path().string() + "/merlon-cli-XXXXXX";
    MERLON_CHECK(::mkdtemp(pattern.data()) != nullptr);
    directory = pattern;
    environment["HOME"] = directory;
  }
  ~World() { std::filesystem::remove_all(directory); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  int run(std::vector<std::string> arguments) {
    out.str({});
    err.str({});
    return cli::run(std::move(arguments), context);
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(directory + "/" + name) << text;
    return directory + "/" + name;
  }

  std::string directory;
  std::map<std::string, std::string> environment;
  std::ostringstream out, err;
  ManualClock clock;
  crypto::SystemRandom random;
  Context context{.environment = [this](const char* name) -> std::optional<std::string> {
                    const auto found = environment.find(name);
                    if (found == environment.end() || found->second.empty()) return std::nullopt;
                    return found->second;
                  },
                  .out = out,
                  .err = err,
                  .clock = clock,
                  .random = random};
};

inline net::Response json_answer(int status, const JsonObject& body) {
  net::Response response;
  response.status = status;
  response.headers.set("Content-Type", "application/json");
  response.body = to_text(body);
  return response;
}

inline net::Response refusal(int status, const std::string& code, const std::string& message) {
  return json_answer(status, {{"error", {{"code", code}, {"message", message}}}});
}

inline JsonObject list_of(JsonArray values) { return {{"value", std::move(values)}}; }

// Answers "METHOD /path" as told; anything else is 404. Tokens, the subscription and one machine are there.
class Server {
 public:
  using Reply = std::function<net::Response(const net::Request&)>;

  explicit Server(World& world) : identity_(authority_.issue("server", "DNS:localhost,IP:127.0.0.1")) {
    net::ServerParameters parameters;
    parameters.listen = {"127.0.0.1:0"};
    parameters.identity = {identity_.certificate_pem, Secret(std::string_view(identity_.key_pem))};
    parameters.names = {"localhost"};
    parameters.limits.workers = 2;
    parameters.handler = [this](net::Request request, net::Responder respond) { respond(answer(request)); };
    auto started = net::Server::start(std::move(parameters));
    MERLON_CHECK(started.has_value());
    server_ = *std::move(started);
    endpoint = "https://" + server_->addresses().front();
    world.environment["MERLON_ENDPOINT"] = endpoint;
    world.environment["MERLON_CA"] = world.write("ca.pem", authority_.certificate_pem());
    world.environment["MERLON_CLIENT_ID"] = "app";
    world.environment["MERLON_CLIENT_SECRET"] = "s3cret";
    world.environment["MERLON_TENANT"] = "tenant";
    on("POST /tenant/oauth2/v2.0/token", JsonObject{{"access_token", "t1"}, {"expires_in", 3599}});
    on("GET /subscriptions", list_of({JsonObject{{"subscriptionId", "sub"}}}));
    on("GET /subscriptions/sub/providers/Merlon.Machines/machines", list_of({machine("web", "web-1")}));
  }

  static JsonObject machine(const std::string& group, const std::string& name) {
    const std::string id =
        "/subscriptions/sub/resourceGroups/" + group + "/providers/Merlon.Machines/machines/" + name;
    return {
        {"id", id}, {"name", name}, {"properties", JsonObject{{"status", "Connected"}, {"mode", "audit"}}}};
  }

  void on(const std::string& what, Reply reply) {
    const std::lock_guard lock(mutex_);
    replies_[what] = std::move(reply);
  }
  void on(const std::string& what, const JsonObject& body) {
    on(what, Reply([body](const net::Request&) { return json_answer(200, body); }));
  }
  std::vector<net::Request> requests(const std::string& what) const {
    const std::lock_guard lock(mutex_);
    std::vector<net::Request> found;
    for (const net::Request& request : log_)
      if (request.method + " " + request.path == what) found.push_back(request);
    return found;
  }

  std::string endpoint;

 private:
  net::Response answer(const net::Request& request) {
    Reply reply;
    {
      const std::lock_guard lock(mutex_);
      log_.push_back(request);
      const auto found = replies_.find(request.method + " " + request.path);
      if (found != replies_.end()) reply = found->second;
    }
    return reply ? reply(request)
                 : refusal(404, "NotFound", "Nothing at " + request.method + " " + request.path);
  }

  net::test::Authority authority_{"Test Authority"};
  net::test::Issued identity_;
  mutable std::mutex mutex_;
  std::map<std::string, Reply> replies_;
  std::vector<net::Request> log_;
  std::unique_ptr<net::Server> server_;  // last: it stops before what its handler uses goes
};

}  // namespace merlon::cli::test
