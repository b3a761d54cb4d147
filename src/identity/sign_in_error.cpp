// The table of AADSTS numbers that Merlon gives, and the body that carries them
// (learn.microsoft.com/entra/identity-platform/reference-error-codes).
#include "identity/sign_in_error.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "base/log.h"
#include "base/time_text.h"
#include "base/uuid.h"
#include "identity/reply.h"

namespace merlon::identity {
namespace {

struct Fact {
  int number;
  std::string_view error;
  int status;
  std::string_view suberror = {};
};

constexpr std::array kFacts = {
    Fact{.number = 28000, .error = "invalid_scope", .status = 400},    // more than one resource
    Fact{.number = 50011, .error = "invalid_request", .status = 400},  // redirect URI not registered
    Fact{.number = 50053, .error = "invalid_grant", .status = 400},    // too many failures
    Fact{.number = 50055, .error = "invalid_grant", .status = 400, .suberror = "user_password_expired"},
    Fact{.number = 50057, .error = "invalid_grant", .status = 400},         // user disabled
    Fact{.number = 50058, .error = "login_required", .status = 400},        // prompt=none, and nobody there
    Fact{.number = 50072, .error = "interaction_required", .status = 400},  // no second factor to ask for
    Fact{.number = 50076, .error = "invalid_grant", .status = 400, .suberror = "basic_action"},  // MFA needed
    Fact{.number = 50126, .error = "invalid_grant", .status = 400},    // wrong user name or password
    Fact{.number = 50147, .error = "invalid_request", .status = 400},  // code challenge missing or wrong
    Fact{.number = 50148, .error = "invalid_grant", .status = 400},    // code verifier does not fit
    Fact{.number = 50173, .error = "invalid_grant", .status = 400},    // grant revoked
    Fact{.number = 50196, .error = "temporarily_unavailable", .status = 429},  // a loop of requests
    Fact{.number = 50199, .error = "interaction_required", .status = 400},     // a click is wanted
    Fact{.number = 54005, .error = "invalid_grant", .status = 400},            // code used twice
    Fact{.number = 65001, .error = "invalid_grant", .status = 400, .suberror = "consent_required"},
    Fact{.number = 65004, .error = "access_denied", .status = 400},  // the user said no
    Fact{.number = 70000, .error = "invalid_grant", .status = 400, .suberror = "bad_token"},
    Fact{.number = 70003, .error = "unsupported_grant_type", .status = 400},
    Fact{.number = 70005, .error = "unsupported_response_type", .status = 400},
    Fact{.number = 70008, .error = "invalid_grant", .status = 400},  // code expired
    Fact{.number = 70011, .error = "invalid_scope", .status = 400},
    Fact{.number = 70016, .error = "authorization_pending", .status = 400},
    Fact{.number = 70018, .error = "bad_verification_code", .status = 400},  // no such device code
    Fact{.number = 70019, .error = "expired_token", .status = 400},          // device code expired
    Fact{.number = 90002, .error = "invalid_request", .status = 400},        // tenant not found
    Fact{.number = 90014, .error = "invalid_request", .status = 400},  // a field is missing or malformed
    Fact{.number = 70021, .error = "invalid_client", .status = 401},   // federated credential gone
    Fact{.number = 90033, .error = "temporarily_unavailable", .status = 503},
    Fact{.number = 90061, .error = "invalid_request", .status = 400},   // a foreign issuer cannot be asked
    Fact{.number = 120000, .error = "invalid_request", .status = 400},  // password change: new one too weak
    Fact{.number = 500011, .error = "invalid_resource", .status = 400},
    Fact{.number = 500112, .error = "invalid_grant", .status = 400},  // another redirect URI than before
    Fact{.number = 500121, .error = "invalid_grant", .status = 400},  // wrong second factor
    Fact{.number = 700016, .error = "unauthorized_client", .status = 400},  // no such application
    Fact{.number = 700024, .error = "invalid_client", .status = 401},       // assertion outside its time
    Fact{.number = 700025, .error = "invalid_client", .status = 401},       // public client with a credential
    Fact{.number = 700027, .error = "invalid_client", .status = 401},       // assertion does not verify
    Fact{.number = 700211, .error = "invalid_client", .status = 401},       // federated credential: issuer
    Fact{.number = 700212, .error = "invalid_client", .status = 401},       // audience
    Fact{.number = 700213, .error = "invalid_client", .status = 401},       // subject
    Fact{.number = 700082,
         .error = "invalid_grant",
         .status = 400,
         .suberror = "bad_token"},                                      // refresh token expired
    Fact{.number = 900144, .error = "invalid_request", .status = 400},  // a parameter is missing
    Fact{.number = 900561, .error = "invalid_request", .status = 400},  // GET where POST is wanted
    Fact{.number = 1002012, .error = "invalid_scope", .status = 400},  // client credentials without /.default
    Fact{.number = 7000112, .error = "unauthorized_client", .status = 400},  // application disabled
    Fact{.number = 7000215, .error = "invalid_client", .status = 401},       // wrong secret
    Fact{.number = 7000218, .error = "invalid_client", .status = 401},       // no credential
    Fact{.number = 7000222, .error = "invalid_client", .status = 401},       // expired secret
    Fact{.number = 7000229, .error = "unauthorized_client", .status = 400},  // no service principal
    Fact{.number = 9002313, .error = "invalid_request", .status = 400},      // malformed
};

// Entra's own form, "2026-11-22 18:23:35Z", not RFC 3339.
std::string timestamp_text(Timestamp now) {
  std::string text = to_rfc3339(std::chrono::floor<std::chrono::seconds>(now));
  std::ranges::replace(text, 'T', ' ');
  return text;
}

}  // namespace

SignInError::SignInError(int aadsts, std::string text) : number(aadsts), message(std::move(text)) {
  const auto fact = std::ranges::find(kFacts, aadsts, &Fact::number);
  MERLON_CHECK(fact != kFacts.end());
  status = fact->status;
  error = fact->error;
  suberror = fact->suberror;
}

SignInError::SignInError(Error failure) : cause(failure.cause.empty() ? failure.message : failure.cause) {
  const bool again = failure.kind == ErrorKind::unavailable || failure.kind == ErrorKind::throttled;
  number = again ? 90033 : 90020;
  status = again ? 503 : 500;
  error = again ? "temporarily_unavailable" : "server_error";
  message = again ? "A transient error has occurred. Please try again."
                  : "An internal error occurred. See the log.";
}

std::unexpected<SignInError> refuse(int aadsts, std::string message) {
  return std::unexpected(SignInError(aadsts, std::move(message)));
}

std::string correlation_id(const net::Request& request) {
  const std::string* given = request.headers.find("client-request-id");
  if (given == nullptr) given = request.query.find("client-request-id");
  const auto id = given == nullptr ? std::nullopt : Uuid::parse(*given);
  return id ? id->text() : request.request_id;
}

net::Response error_reply(const SignInError& error, const net::Request& request, Timestamp now) {
  if (error.status >= 500)
    log(LogLevel::error, "a sign-in failed for a reason of ours",
        {{"cause", error.cause}, {"requestId", request.request_id}});
  const std::string correlation = correlation_id(request);
  const std::string timestamp = timestamp_text(now);
  const std::string number = std::to_string(error.number);
  JsonObject body{
      {"error", error.error},
      {"error_description", "AADSTS" + number + ": " + error.message + " Trace ID: " + request.request_id +
                                " Correlation ID: " + correlation + " Timestamp: " + timestamp},
      {"error_codes", JsonArray{error.number}},
      {"timestamp", timestamp},
      {"trace_id", request.request_id},
      {"correlation_id", correlation},
      {"error_uri", "https://login.microsoftonline.com/error?code=" + number}};
  if (!error.suberror.empty()) body["suberror"] = error.suberror;
  net::Response response = json_reply(error.status, body);
  if (error.status == 503) response.headers.set("Retry-After", "2");
  // RFC 6749 section 5.2: a client that used the header is answered with the scheme.
  if (error.status == 401 && request.headers.find("Authorization") != nullptr)
    response.headers.set("WWW-Authenticate", "Basic realm=\"merlon\"");
  return response;
}

}  // namespace merlon::identity
