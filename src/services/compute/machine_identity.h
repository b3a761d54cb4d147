// The identities that a machine may act as (the `identity` envelope of its document): its own, made and
// removed with it, and those that people have given it. Each is bound to a principal: one that is removed and
// made again under the same name is another, which nobody has given to the machine.
#pragma once

#include "machine/platform.h"

namespace merlon::compute {

schema::Shape machine_identity_shape();

// Puts the envelope that is to be shown in `wanted`, makes or removes the machine's own principal, and asks
// for the right to assign each identity that comes new. Errors: 400 FailedIdentityOperation, 403
// LinkedAuthorizationFailed.
Result<void> settle_identity(Platform& platform, resource::WriteContext& context,
                             const resource::ResourceId& vm, const resource::Resource* existing,
                             JsonObject& wanted);

// Whoever enrols as a machine gets its identities' tokens, so whoever made the enrolment token must be one
// who might have given it them: who may assign each, and write the machine where it has one of its own.
// Errors: 403 LinkedAuthorizationFailed.
Result<void> check_may_become(Platform& platform, store::Reader& reader, const identity::Principal& maker,
                              const resource::ResourceId& vm);

// The machine goes, and its own principal with it.
Result<void> end_identity(resource::WriteContext& context, const JsonObject& document);

}  // namespace merlon::compute
