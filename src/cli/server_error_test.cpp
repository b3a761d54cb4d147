// Refusals in every form that a server, or something in front of it, gives them.
#include "cli/server_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace merlon::cli {
namespace {

using testing::HasSubstr;

net::Response response(int status, std::string body) {
  net::Response made;
  made.status = status;
  made.body = std::move(body);
  return made;
}

TEST(ServerError, AzureBody) {
  const Error error =
      error_of(response(400, R"({"error":{"code":"InvalidParameter","message":"No.","target":"lifetime",)"
                             R"("details":[{"code":"A","message":"first","target":"x"},7]}})"));
  EXPECT_EQ(error.kind, ErrorKind::invalid);
  EXPECT_EQ(error.code, "InvalidParameter");
  EXPECT_EQ(error.message, "No.");
  EXPECT_EQ(error.target, "lifetime");
  ASSERT_EQ(error.details.size(), 1U);
  EXPECT_EQ(error.details.front().message, "first");
}

TEST(ServerError, SignInBodyIsForPeople) {
  const Error error = error_of(
      response(401, R"({"error":"invalid_client","error_description":)"
                    R"("AADSTS7000215: Invalid client secret provided. Trace ID: 1 Correlation ID: 2"})"));
  EXPECT_EQ(error.code, "AADSTS7000215");
  EXPECT_EQ(error.message, "Invalid client secret provided.");
  EXPECT_EQ(error.kind, ErrorKind::unauthenticated);
}

TEST(ServerError, AnythingElseSaysItsStatus) {
  for (const char* body : {"", "<html>", "[]", "{}", R"({"error":5})", R"({"error":{"code":7}})"}) {
    const Error error = error_of(response(502, body));
    EXPECT_EQ(error.kind, ErrorKind::unavailable) << body;
    EXPECT_EQ(error.code, "Http502") << body;
    EXPECT_THAT(error.message, HasSubstr("502")) << body;
  }
}

TEST(ServerError, AFloodIsCut) {
  const Error error =
      error_of(response(400, R"({"error":{"code":"A","message":")" + std::string(100'000, 'x') + R"("}})"));
  EXPECT_LT(error.message.size(), 5000U);
}

TEST(ServerError, KindsFollowTheStatus) {
  EXPECT_EQ(error_of(response(403, "")).kind, ErrorKind::forbidden);
  EXPECT_EQ(error_of(response(404, "")).kind, ErrorKind::not_found);
  EXPECT_EQ(error_of(response(409, "")).kind, ErrorKind::conflict);
  EXPECT_EQ(error_of(response(412, "")).kind, ErrorKind::precondition_failed);
  EXPECT_EQ(error_of(response(429, "")).kind, ErrorKind::throttled);
  EXPECT_EQ(error_of(response(500, "")).kind, ErrorKind::internal);
}

TEST(Hint, SaysWhatToDoNext) {
  EXPECT_THAT(hint_of(error_of(response(401, ""))), HasSubstr("merlon login"));
  EXPECT_THAT(hint_of(error_of(response(403, ""))), HasSubstr("role why"));
  EXPECT_EQ(hint_of(error_of(response(409, ""))), "");
  Error untrusted;
  untrusted.kind = ErrorKind::unavailable;
  untrusted.code = "ServerNotTrusted";
  EXPECT_THAT(hint_of(untrusted), HasSubstr("MERLON_CA"));
}

}  // namespace
}  // namespace merlon::cli
