// Requests of the agent channel.
#include "agent/http_exchange.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

#include "crypto/x509.h"
#include "machine/fields.h"

namespace merlon::agent {
namespace {

constexpr Duration kAnswerWithin{10'000};  // beyond what the request itself waits for
constexpr size_t kAnswerBytesMax = 8 * 1024 * 1024;
constexpr size_t kAddressesMax = 16;

struct FreeList {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

std::vector<IpAddress> resolve(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &raw) != 0) return {};
  const std::unique_ptr<addrinfo, FreeList> list(raw);
  std::vector<IpAddress> found;
  for (const addrinfo* entry = raw; entry != nullptr && found.size() < kAddressesMax;
       entry = entry->ai_next) {
    if (entry->ai_family == AF_INET) {
      found.push_back(
          IpAddress::from_v4(ntohl(reinterpret_cast<const sockaddr_in*>(entry->ai_addr)->sin_addr.s_addr)));
    } else if (entry->ai_family == AF_INET6) {
      std::array<uint8_t, 16> bytes{};
      std::copy_n(reinterpret_cast<const sockaddr_in6*>(entry->ai_addr)->sin6_addr.s6_addr, bytes.size(),
                  bytes.begin());
      found.push_back(IpAddress::from_v6(bytes));
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace

Result<JsonObject> body_of(const net::Response& response) {
  const auto json = parse_json_object(response.body, {.bytes_max = kAnswerBytesMax});
  if (response.status / 100 == 2) {
    if (!json)
      return fail(ErrorKind::unavailable, "AnswerNotUnderstood",
                  "The server's answer is no JSON object. Check that the URL is a Merlon server's.");
    return *json;
  }
  const std::string code = json ? string_at(*json, "error.code").value_or("") : std::string();
  const std::string message = json ? string_at(*json, "error.message").value_or("") : std::string();
  return fail(ErrorKind::unavailable, code.empty() ? "ServerRefused" : code.substr(0, 64),
              message.empty() ? "The server answered with HTTP status " + std::to_string(response.status) +
                                    ". Check that the URL is a Merlon server's."
                              : message.substr(0, 1024));
}

Result<machine::SyncAnswer> read_sync_answer(std::string_view body) {
  return machine::SyncAnswer::from_json(TRY(parse_json_object(body, {.bytes_max = kAnswerBytesMax})));
}

Result<std::unique_ptr<HttpExchange>> HttpExchange::make(Identity identity, Resolved resolved, int wake_fd) {
  std::unique_ptr<HttpExchange> exchange(new HttpExchange(std::move(identity), std::move(resolved), wake_fd));
  TRY(exchange->use_certificate(exchange->identity_.certificate_pem));
  return exchange;
}

namespace {

net::ClientParameters parameters_of(const Identity& identity) {
  net::ClientParameters parameters;
  parameters.host = identity.enrolment.host;
  parameters.port = identity.enrolment.port;
  parameters.server_name = identity.enrolment.agents_name;
  parameters.authorities_pem = identity.enrolment.authority_pem;
  parameters.certificate_pem = identity.certificate_pem;
  parameters.private_key_pem = identity.key_pem;
  parameters.response_bytes_max = kAnswerBytesMax;
  return parameters;
}

}  // namespace

Result<machine::TokenAnswer> HttpTokens::token(const machine::TokenRequest& request) {
  const std::lock_guard lock(mutex_);
  if (!client_) client_ = net::Client::make(parameters_of(identity_));
  net::ClientRequest sent;
  sent.method = "POST";
  sent.target = "/agent/v1/token";
  sent.headers.set("Content-Type", "application/json");
  sent.body = to_text(request.to_json());
  sent.timeout = kAnswerWithin;
  auto response = client_->send(sent);
  // A kept connection that the server has closed meanwhile: asking twice costs an entry in the ledger at
  // most.
  if (!response && std::exchange(connected_, false)) response = client_->send(sent);
  connected_ = response.has_value();
  if (!response) return std::unexpected(response.error());
  return machine::TokenAnswer::from_json(TRY(body_of(*response)));
}

void HttpTokens::use_certificate(const std::string& pem) {
  const std::lock_guard lock(mutex_);
  identity_.certificate_pem = pem;
  client_.reset();
  connected_ = false;
}

Result<void> HttpExchange::use_certificate(const std::string& pem) {
  const crypto::CertificateFacts facts = TRY(crypto::read_certificate(pem));
  renew_after_ = facts.not_before + (facts.not_after - facts.not_before) / 2;
  identity_.certificate_pem = pem;
  client_ = net::Client::make(parameters_of(identity_));
  connected_ = false;
  return {};
}

Result<JsonObject> HttpExchange::post(std::string_view path, const JsonObject& body, Duration timeout,
                                      int stop_fd) {
  if (!connected_ && !IpAddress::parse(identity_.enrolment.host))
    if (const auto addresses = resolve(identity_.enrolment.host); !addresses.empty()) resolved_(addresses);
  net::ClientRequest request;
  request.method = "POST";
  request.target = path;
  request.headers.set("Content-Type", "application/json");
  request.body = to_text(body);
  request.timeout = timeout;
  request.stop_fd = stop_fd;
  const auto response = client_->send(request);
  connected_ = response.has_value();
  if (!response) return std::unexpected(response.error());
  return body_of(*response);
}

Result<machine::SyncAnswer> HttpExchange::sync(const machine::SyncRequest& request) {
  // Only a request that waits carries no observation: giving it up makes none come twice.
  const JsonObject body =
      TRY(post("/agent/v1/sync", request.to_json(), Duration(request.wait_ms) + kAnswerWithin,
               request.wait_ms > 0 ? wake_fd_ : -1));
  const auto answer = machine::SyncAnswer::from_json(body);
  const auto calls = machine::read_calls(body);
  if (!answer || !calls) client_->close();
  if (!answer) return answer;
  if (!calls) return std::unexpected(calls.error());
  if (calls_ && answer->nonce == request.nonce && !answer->released) calls_(*calls);
  return answer;
}

Result<std::string> HttpExchange::renew() {
  const auto key = TRY(crypto::PrivateKey::from_pem(identity_.key_pem));
  const std::string wanted = TRY(crypto::make_request(key, identity_.enrolment.machine_id));
  const JsonObject answer = TRY(post("/agent/v1/renew", {{"request", wanted}}, kAnswerWithin));
  const std::string pem = TRY(machine::text_field(answer, "certificate", machine::kPemMax));
  if (TRY(crypto::read_certificate(pem)).spki_hash_hex != crypto::spki_hash_hex(key.public_key()))
    return fail(ErrorKind::unavailable, "WrongCertificate",
                "The server renewed a certificate for another key; the old one stays in use.");
  TRY(use_certificate(pem));
  if (renewed_) renewed_(pem);
  return pem;
}

}  // namespace merlon::agent
