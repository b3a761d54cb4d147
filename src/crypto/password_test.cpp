// Argon2id hashes: what verifies, what does not, and what a hostile record cannot make us do.
#include "crypto/password.h"

#include <gtest/gtest.h>

namespace merlon::crypto {
namespace {

TEST(Password, VerifiesItsOwnHashAndNoOther) {
  const auto hash = hash_password(Secret("correct horse"));
  ASSERT_TRUE(hash);
  EXPECT_TRUE(hash->starts_with("$argon2id$v=19$m=65536,t=3,p=1$")) << *hash;
  EXPECT_TRUE(verify_password(Secret("correct horse"), *hash));
  EXPECT_FALSE(verify_password(Secret("correct horsf"), *hash));
  EXPECT_FALSE(verify_password(Secret(""), *hash));
  EXPECT_FALSE(verify_password(Secret(std::string_view("correct horse\0", 14)), *hash));
  EXPECT_NE(*hash_password(Secret("correct horse")), *hash);
}

TEST(Password, RefusesRecordsThatAreNotItsOwn) {
  const Secret password("x");
  EXPECT_FALSE(verify_password(password, ""));
  EXPECT_FALSE(verify_password(password, "$argon2id$"));
  EXPECT_FALSE(verify_password(password, "$argon2i$v=19$m=65536,t=3,p=1$c29tZXNhbHRzb21lc2E$AAAA"));
  EXPECT_FALSE(verify_password(password, std::string(5000, '$')));
  // Four gigabytes and a million passes: must be refused before it is tried.
  EXPECT_FALSE(verify_password(password,
                               "$argon2id$v=19$m=4194304,t=1000000,p=1$c29tZXNhbHRzb21lc2FsdA$"
                               "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
}

TEST(Password, BoundsItsLength) {
  EXPECT_FALSE(hash_password(Secret(std::string(4097, 'a'))));
  EXPECT_FALSE(verify_password(Secret(std::string(4097, 'a')), "$argon2id$"));
}

}  // namespace
}  // namespace merlon::crypto
