// Reading postgres://…: nothing of it may reach a log, since it may hold a password, and what crosses a
// network asks for a verified certificate unless its owner says otherwise.

#include <cstdlib>
#include <map>

#include "store/libpq.h"
#include "store/postgres_connection.h"

namespace merlon::store {
namespace {

using Options = std::map<std::string, std::string>;

std::unexpected<Error> malformed() {
  // libpq's own message would quote the address, password and all.
  return fail(ErrorKind::invalid, "InvalidStore",
              "The store's address cannot be read. Write postgres://USER@HOST:PORT/DATABASE, with special "
              "characters percent-encoded, or postgres:///DATABASE?host=/run/postgresql for a local socket.");
}

Result<Options> parse_options(const std::string& url) {
  char* problem = nullptr;
  PQconninfoOption* parsed = libpq().parse_address(url.c_str(), &problem);
  if (problem != nullptr) libpq().free_memory(problem);
  if (parsed == nullptr) return malformed();
  Options options;
  for (const PQconninfoOption* option = parsed; option->keyword != nullptr; ++option)
    if (option->val != nullptr) options[option->keyword] = option->val;
  libpq().free_address(parsed);
  return options;
}

// What the address says, else libpq's environment variable.
std::string effective(const Options& options, const std::string& name, const char* variable) {
  if (const auto found = options.find(name); found != options.end()) return found->second;
  const char* value = std::getenv(variable);
  return value == nullptr ? std::string() : value;
}

// "" and paths are sockets of this machine; a list of hosts is as far away as the farthest.
bool crosses_a_network(const std::string& hosts) {
  size_t at = 0;
  while (at <= hosts.size()) {
    const size_t comma = std::min(hosts.find(',', at), hosts.size());
    const std::string host = hosts.substr(at, comma - at);
    const bool local = host.empty() || host.starts_with('/') || host.starts_with('@') ||
                       host == "localhost" || host.starts_with("127.") || host == "::1";
    if (!local) return true;
    at = comma + 1;
  }
  return false;
}

}  // namespace

Result<PostgresAddress> PostgresAddress::parse(const std::string& url) {
  if (!url.starts_with("postgres://") && !url.starts_with("postgresql://")) return malformed();
  TRY(libpq().loaded());
  Options options = TRY(parse_options(url));
  PostgresAddress address;
  const std::string host = effective(options, "host", "PGHOST");
  const std::string host_address = effective(options, "hostaddr", "PGHOSTADDR");
  const bool networked = crosses_a_network(host_address.empty() ? host : host_address);
  const std::string tls = effective(options, "sslmode", "PGSSLMODE");
  if (networked && tls.empty()) options["sslmode"] = "verify-full";
  if (networked && !tls.empty() && tls != "verify-full") address.weak_tls_ = tls;
  const std::string port = effective(options, "port", "PGPORT");
  address.shown_ = "'" + effective(options, "dbname", "PGDATABASE") + "'" +
                   (host.empty() ? "" : " at " + host) + (port.empty() ? "" : ", port " + port);
  // One that does not answer must not hold the writer for minutes.
  options.try_emplace("connect_timeout", "5");
  options.try_emplace("tcp_user_timeout", "15000");
  options.try_emplace("keepalives_idle", "10");
  options.try_emplace("keepalives_interval", "5");
  options.try_emplace("keepalives_count", "3");
  // Of several hosts, the one that takes writes.
  if (host.find(',') != std::string::npos) options.try_emplace("target_session_attrs", "primary");
  options.try_emplace("application_name", "merlon");
  for (auto& [name, value] : options) address.options_.emplace_back(name, value);
  return address;
}

}  // namespace merlon::store
