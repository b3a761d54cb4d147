// What a request must be like before anyone asks what it may do: its version, its body, its ids for
// correlation. Pure functions.
#pragma once

#include <string>

#include "base/json.h"
#include "base/uuid.h"
#include "net/http.h"
#include "resource/resource_id.h"

namespace merlon::resource {

// Any well-formed date is accepted, with or without "-preview" and its kin: Merlon speaks one version of each
// type and ignores what newer clients add. Errors: MissingApiVersionParameter, InvalidApiVersionParameter.
Result<std::string> check_api_version(const net::Request& request);
// The parsed body of PUT, PATCH and POST; empty when there is none. Errors: UnsupportedMediaType,
// InvalidRequestContent.
Result<JsonObject> parse_body(const net::Request& request);
// The caller's x-ms-correlation-request-id when it is a UUID, else the request's own id.
std::string correlation_id_of(const net::Request& request);
// 404 SubscriptionNotFound, 400 InvalidSubscriptionId.
Result<void> check_subscription(const net::Request& request, const Uuid& ours);
// A path that no route declares: what exactly is unknown.
Error unknown_path(const net::Request& request, bool provider_known);

}  // namespace merlon::resource
