// For the tests of rooms above: people without the pages at which they sign in.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "identity/sessions.h"

namespace merlon::identity {

// The session of a person who has signed in: one each, made when it is first asked for.
inline std::string session_of(store::Store& store, const TenantId& tenant, const Uuid& person,
                              Timestamp now) {
  const auto known = store::read_value<bool>(store, [&](store::Reader& reader) -> Result<bool> {
    return TRY(store::get<Session>(reader, tenant, person.text())).has_value();
  });
  EXPECT_TRUE(known.has_value());
  if (known && *known) return person.text();
  Session session;
  session.id = person;
  session.user = person;
  session.method = "password";
  session.expires = now + std::chrono::hours(24 * 365);
  EXPECT_TRUE(
      store.write([&](store::Transaction& tx) { return store::put(tx, tenant, session); }).has_value());
  return person.text();
}

}  // namespace merlon::identity
