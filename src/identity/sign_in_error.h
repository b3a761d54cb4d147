// Why a token was refused, in Entra's form: an AADSTS number with the OAuth error and HTTP status that go
// with it. Clients (MSAL above all) decide by `error`, `suberror` and `error_codes`, people by the text.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "net/http.h"

namespace merlon::identity {

struct SignInError {
  // A failure of ours, or of the store: server_error or temporarily_unavailable. Lets TRY pass store errors
  // on.
  SignInError(Error error);  // NOLINT: implicit on purpose
  SignInError(int aadsts, std::string text);

  int number = 0;
  int status = 500;
  std::string error;  // OAuth's
  std::string suberror;
  std::string message;
  std::string cause;  // for the log alone
};

template <class T>
using SignIn = std::expected<T, SignInError>;

// return refuse(7000215, "Invalid client secret provided. …"); the number must be in the table of
// sign_in_error.cpp.
std::unexpected<SignInError> refuse(int aadsts, std::string message);

// What names a request in answers: the client's own id when it sent one (client-request-id), else ours.
std::string correlation_id(const net::Request& request);

net::Response error_reply(const SignInError& error, const net::Request& request, Timestamp now);

}  // namespace merlon::identity
